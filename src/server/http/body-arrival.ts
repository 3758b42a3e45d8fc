import { GatewayError } from '../../errors.ts'
import type { Admission } from '../../traffic/admission.ts'
import type { BodyMemory, Holding } from '../../traffic/body-memory.ts'
import { statusOf } from '../status.ts'
import type { Exchange } from './exchange.ts'
import { hasFiles } from './request-body.ts'
import { abortRequest } from './responses.ts'

/** How long a body without files may take to arrive: with a well-formed credential, and without. */
const arrivalMs = 60_000
const strangerArrivalMs = 10_000

/** The bytes of one body that have arrived. They count against the memory for bodies once the body comes in pieces. */
export class BodyArrival {
  readonly exchange: Exchange
  #bytes = 0
  #holding: Holding | undefined

  constructor(exchange: Exchange) {
    this.exchange = exchange
  }

  /** @throws GatewayError when the bodies that are arriving take too much memory */
  receive(bytes: number): void {
    this.#bytes += bytes
    this.#holding?.take(bytes)
  }

  /** Counts against `holding` from now on. @throws GatewayError like `receive` */
  count(holding: Holding): void {
    this.#holding = holding
    holding.take(this.#bytes)
  }
}

/** Bounds the memory and time of incomplete bodies. Most bodies come in one piece with their heads and cost nothing here. */
export class BodyArrivals {
  readonly #admission: Admission
  readonly #bodies: BodyMemory
  /** Those of this turn of the event loop. */
  #fresh: BodyArrival[] = []

  constructor(admission: Admission, bodies: BodyMemory) {
    this.#admission = admission
    this.#bodies = bodies
  }

  add(exchange: Exchange): BodyArrival {
    const arrival = new BodyArrival(exchange)
    if (this.#fresh.push(arrival) === 1) setImmediate(() => this.#checkFresh())
    return arrival
  }

  #checkFresh(): void {
    const fresh = this.#fresh
    this.#fresh = []
    for (const arrival of fresh) {
      const { exchange } = arrival
      if (
        !exchange.isComplete &&
        !exchange.isGone &&
        !exchange.url.startsWith('/uploads/') &&
        !hasFiles(exchange)
      )
        this.#bound(arrival)
    }
  }

  #bound(arrival: BodyArrival): void {
    const { exchange } = arrival
    const reject = (error: GatewayError) => abortRequest(exchange, statusOf(error.code), error)
    const holding = this.#bodies.begin(this.#admission.addressOf(exchange), reject)
    const isStranger = this.#admission.principalOf(exchange.headers.authorization) === undefined
    const ms = isStranger ? strangerArrivalMs : arrivalMs
    const deadline = setTimeout(() => {
      const message = `The body did not arrive within ${ms / 1000} seconds`
      if (!exchange.isComplete) abortRequest(exchange, 408, new GatewayError('LIMIT_EXCEEDED', message))
    }, ms)
    try {
      arrival.count(holding)
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      reject(error)
    }
    // Not earlier: a request that was refused meanwhile gives its bytes back here.
    exchange.onceBodyEnds(() => {
      clearTimeout(deadline)
      holding.release()
    })
  }
}
