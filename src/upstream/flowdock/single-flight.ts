import type { HttpAnswer } from '../http.ts'

/**
 * Shares reads in progress. A read of the same URL with the same credential joins the one in progress. After a change with the
 * credential, reads that began before are not joined any more, so later reads show the change.
 */
export interface SingleFlight {
  /**
   * @param signal stops waiting; the call is aborted when no operation waits for it
   * @param make makes the call if there is none in progress
   */
  read(
    principal: string,
    address: string,
    signal: AbortSignal | undefined,
    make: (signal: AbortSignal) => Promise<HttpAnswer>,
  ): Promise<HttpAnswer>
  /** A change was made with this credential. */
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
    // Stored after the call was made, because `make` throws when the principal may make no call.
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
        // No other read joins a call that is aborted.
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
