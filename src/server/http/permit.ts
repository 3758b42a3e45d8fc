import type { Departure } from '../../context.ts'
import type { ResponseObserver } from '../../net/http1/connection.ts'
import type { Admission, Connection } from '../../traffic/admission.ts'
import type { Exchange } from './exchange.ts'

/** After how long a response that the client has not read gives its permit back, and how long reading may take then. */
const slowReadingMs = 1000
const readingMs = 60_000

/**
 * The right to execute one operation that has arrived completely. It is given back with the response at the latest. Its signal
 * aborts when the client leaves.
 */
export class Permit implements ResponseObserver, Departure {
  /** Set when the permit is not acquired yet. */
  readonly ready: undefined | Promise<void>
  readonly #exchange: Exchange
  readonly #admission: Admission
  #isHeld: boolean
  // Few operations use the signal, so it is made when one does.
  #controller: AbortController | undefined
  #hasLeft = false
  #slow: NodeJS.Timeout | undefined
  #connection: Connection | undefined

  /** @throws GatewayError `OVERLOADED` */
  constructor(exchange: Exchange, admission: Admission) {
    this.#exchange = exchange
    this.#admission = admission
    const waiting = admission.enter()
    this.#isHeld = waiting === undefined
    this.ready = waiting?.then(() => this.#hold())
    exchange.observe(this)
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#hasLeft) this.#controller.abort()
    return this.#controller.signal
  }

  release(): void {
    if (this.#isHeld) this.#admission.leave()
    this.#isHeld = false
  }

  /** A slow reader gives its permit back and counts as an open connection, up to the limit of those and for a minute. */
  unread(): void {
    this.#slow = setTimeout(() => {
      this.release()
      try {
        this.#connection = this.#admission.openConnection(
          this.#exchange,
          this.#exchange.headers.authorization,
        )
        this.#slow = setTimeout(() => this.#exchange.destroy(), readingMs)
      } catch {
        this.#exchange.destroy()
      }
    }, slowReadingMs)
  }

  closed(isSent: boolean): void {
    clearTimeout(this.#slow)
    this.#connection?.close()
    this.release()
    // Aborting an operation that has ended costs more than a small query.
    if (isSent) return
    this.#hasLeft = true
    this.#controller?.abort()
  }

  #hold(): void {
    this.#isHeld = true
    if (!this.#exchange.isGone) return
    this.release()
    throw new Error('The client left while it waited')
  }
}
