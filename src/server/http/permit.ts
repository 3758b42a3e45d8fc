import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Departure } from '../../context.ts'
import type { Admission } from '../../traffic/admission.ts'

/** After how long a response that the client has not read gives its permit back, and how long reading may take then. */
const slowReadingMs = 1000
const readingMs = 60_000

/** The right to execute one operation. */
export interface Permit {
  readonly departure: Departure
  /** Set when the permit is not acquired yet. */
  readonly ready: undefined | Promise<void>
  release(): void
}

/** Aborts its signal when the client leaves. Few operations use the signal, so it is made when one does. */
class LazyDeparture implements Departure {
  #controller: AbortController | undefined
  #hasHappened = false

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#hasHappened) this.#controller.abort()
    return this.#controller.signal
  }

  happen(): void {
    this.#hasHappened = true
    this.#controller?.abort()
  }
}

/** Acquires a permit for an operation that has arrived completely. It is released with the response at the latest. */
export function acquirePermit(
  request: IncomingMessage,
  response: ServerResponse,
  admission: Admission,
): Permit {
  const departure = new LazyDeparture()
  const waiting = admission.enter()
  let isHeld = waiting === undefined
  const release = () => {
    if (isHeld) admission.leave()
    isHeld = false
  }
  response.on('prefinish', () => {
    // Most responses are read at once.
    if ((response.socket?.writableLength ?? 0) > 0) boundReading(request, response, admission, release)
  })
  response.on('close', () => {
    release()
    // Aborting an operation that has ended costs more than a small query.
    if (!response.writableFinished) departure.happen()
  })
  const ready = waiting?.then(() => {
    isHeld = true
    if (!response.destroyed) return
    release()
    throw new Error('The client left while it waited')
  })
  return { departure, ready, release }
}

/** A slow reader gives its permit back and counts as an open connection, up to the limit of those and for a minute. */
function boundReading(
  request: IncomingMessage,
  response: ServerResponse,
  admission: Admission,
  release: () => void,
): void {
  const slow = setTimeout(() => {
    release()
    try {
      const connection = admission.openConnection(request, request.headers.authorization)
      response.once('close', () => connection.close())
    } catch {
      response.destroy()
      return
    }
    const limit = setTimeout(() => response.destroy(), readingMs)
    response.once('close', () => clearTimeout(limit))
  }, slowReadingMs)
  response.once('close', () => clearTimeout(slow))
}
