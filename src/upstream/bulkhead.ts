import { UpstreamError } from '../errors.ts'
import type { Http, HttpAnswer, HttpRequest } from './http.ts'

export interface FairnessOptions {
  /** How many calls of one principal may be on their way at once. */
  readonly callsEach: number
  /** How many calls of all principals may be on their way at once; any number unless given. */
  readonly callsInAll?: number
  /** How long a call may wait for its turn. */
  readonly waitMs: number
  /** The error of a call that waited longer. */
  readonly overdue?: () => Error
}

interface Lane {
  readonly principal: string
  running: number
  readonly waiting: (() => void)[]
}

const timedOut = () =>
  new UpstreamError('UPSTREAM_TIMEOUT', 'Too many of your calls to the upstream are on their way')

/**
 * Calls of which no principal has so many on their way that others find no connection: what is more waits for its turn.
 * Calls of nobody go past this.
 */
export function createBulkhead(
  http: Http,
  { callsEach, callsInAll = Number.POSITIVE_INFINITY, waitMs, overdue = timedOut }: FairnessOptions,
): Http {
  const lanes = new Map<string, Lane>()
  /** The lanes with waiting calls, in the order of their turns. */
  const queues = new Set<Lane>()
  let running = 0

  function laneOf(principal: string): Lane {
    const known = lanes.get(principal)
    if (known !== undefined) return known
    const made: Lane = { principal, running: 0, waiting: [] }
    lanes.set(principal, made)
    return made
  }

  async function take(lane: Lane, signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>()
    const go = () => turn.resolve()
    lane.waiting.push(go)
    queues.add(lane)
    const giveUp = (reason: unknown) => {
      const index = lane.waiting.indexOf(go)
      if (index === -1) return
      lane.waiting.splice(index, 1)
      if (lane.waiting.length === 0) queues.delete(lane)
      forget(lane)
      turn.reject(reason)
    }
    const leave = () => giveUp(signal?.reason)
    const timer = setTimeout(() => giveUp(overdue()), waitMs)
    signal?.addEventListener('abort', leave)
    try {
      await turn.promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
    }
  }

  function begin(lane: Lane): void {
    lane.running += 1
    running += 1
  }

  function leave(lane: Lane): void {
    lane.running -= 1
    running -= 1
    startNext()
    forget(lane)
  }

  function forget(lane: Lane): void {
    if (lane.running === 0 && lane.waiting.length === 0) lanes.delete(lane.principal)
  }

  /** Principals take turns: the lane that started a call goes to the end of the line. */
  function startNext(): void {
    for (const lane of queues) {
      if (lane.running >= callsEach) continue
      queues.delete(lane)
      const next = lane.waiting.shift()
      if (lane.waiting.length > 0) queues.add(lane)
      begin(lane)
      return next?.()
    }
  }

  async function call(lane: Lane, request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await http.request(request)
    } finally {
      leave(lane)
    }
  }

  return {
    ...http,
    async request(request) {
      const { principal, signal } = request
      if (principal === undefined) return http.request(request)
      const lane = laneOf(principal)
      if (lane.running < callsEach && running < callsInAll) begin(lane)
      else await take(lane, signal)
      return call(lane, request)
    },
  }
}
