import type { HttpAnswer } from '../http.ts'

/**
 * Reads that are under way. Who asks the same as somebody with the same credential, while that is not answered yet, gets
 * the same answer. A change ends this for all that was asked before it was answered: what is read after it shows it.
 */
export interface SingleFlight {
  /**
   * @param signal stops waiting; the call ends when nobody waits any more
   * @param make makes the call, unless somebody did
   */
  read(
    principal: string,
    address: string,
    signal: AbortSignal | undefined,
    make: (signal: AbortSignal) => Promise<HttpAnswer>,
  ): Promise<HttpAnswer>
  /** Something was changed with this credential. */
  changed(principal: string): void
}

interface Flight {
  readonly answer: Promise<HttpAnswer>
  readonly aborter: AbortController
  waiting: number
}

export function createSingleFlight(): SingleFlight {
  const principals = new Map<string, Map<string, Flight>>()

  function take(
    principal: string,
    address: string,
    make: (signal: AbortSignal) => Promise<HttpAnswer>,
  ): Flight {
    const flights = principals.get(principal) ?? new Map<string, Flight>()
    const known = flights.get(address)
    if (known !== undefined) return known
    const aborter = new AbortController()
    const flight: Flight = { answer: make(aborter.signal), aborter, waiting: 0 }
    // Not before the call is made: a caller who may make none leaves nothing behind.
    principals.set(principal, flights)
    flights.set(address, flight)
    const land = () => {
      if (flights.get(address) === flight) flights.delete(address)
      if (flights.size === 0 && principals.get(principal) === flights) principals.delete(principal)
    }
    flight.answer.then(land, land)
    return flight
  }

  return {
    async read(principal, address, signal, make) {
      signal?.throwIfAborted()
      const flight = take(principal, address, make)
      flight.waiting += 1
      const left = Promise.withResolvers<never>()
      const leave = () => {
        flight.waiting -= 1
        // Nobody joins what is about to be given up.
        if (flight.waiting === 0) {
          const flights = principals.get(principal)
          if (flights?.get(address) === flight) flights.delete(address)
          flight.aborter.abort(signal?.reason)
        }
        left.reject(signal?.reason)
      }
      signal?.addEventListener('abort', leave)
      try {
        return await Promise.race([flight.answer, left.promise])
      } finally {
        signal?.removeEventListener('abort', leave)
      }
    },
    changed(principal) {
      principals.delete(principal)
    },
  }
}
