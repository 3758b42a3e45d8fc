import { UpstreamError } from '../errors.ts'
import type { Http, HttpAnswer, HttpRequest } from './http.ts'

export interface FairnessOptions {
  /** How many calls of one principal may be on their way at once. */
  readonly callsEach: number
  /** How long a call may wait for its turn. */
  readonly waitMs: number
}

interface Lane {
  running: number
  readonly waiting: (() => void)[]
}

/**
 * Calls of which no principal has so many on their way that others find no connection: what is more waits for its turn.
 * Calls of nobody go past this.
 */
export function createFairHttp(http: Http, { callsEach, waitMs }: FairnessOptions): Http {
  const lanes = new Map<string, Lane>()

  function laneOf(principal: string): Lane {
    const known = lanes.get(principal)
    if (known !== undefined) return known
    const made: Lane = { running: 0, waiting: [] }
    lanes.set(principal, made)
    return made
  }

  async function take(lane: Lane, signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>()
    const go = () => turn.resolve()
    lane.waiting.push(go)
    const giveUp = (reason: unknown) => {
      const index = lane.waiting.indexOf(go)
      if (index === -1) return
      lane.waiting.splice(index, 1)
      turn.reject(reason)
    }
    const leave = () => giveUp(signal?.reason)
    const timer = setTimeout(
      () =>
        giveUp(
          new UpstreamError('UPSTREAM_TIMEOUT', 'Too many of your calls to the upstream are on their way'),
        ),
      waitMs,
    )
    signal?.addEventListener('abort', leave)
    try {
      await turn.promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
    }
  }

  function leave(principal: string, lane: Lane): void {
    const next = lane.waiting.shift()
    // Whoever is next has the place that is free.
    if (next !== undefined) return next()
    lane.running -= 1
    if (lane.running === 0) lanes.delete(principal)
  }

  async function call(principal: string, lane: Lane, request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await http.request(request)
    } finally {
      leave(principal, lane)
    }
  }

  return {
    ...http,
    async request(request) {
      const { principal, signal } = request
      if (principal === undefined) return http.request(request)
      const lane = laneOf(principal)
      if (lane.running >= callsEach) await take(lane, signal)
      else lane.running += 1
      return call(principal, lane, request)
    },
  }
}
