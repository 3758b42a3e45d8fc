import { UpstreamError } from '../errors.ts'
import type { Http, HttpAnswer, HttpRequest } from './http.ts'

export interface BulkheadOptions {
  /** The most concurrent calls of one principal. */
  readonly callsEach: number
  /** The most concurrent calls of all principals; no limit by default. */
  readonly callsInAll?: number
  /** Milliseconds that a call may wait for its turn. */
  readonly waitMs: number
  /** The error of a call that waited longer. */
  readonly overdue?: () => Error
}

/** The calls of one principal. */
interface Compartment {
  readonly principal: string
  running: number
  readonly waiting: (() => void)[]
}

const timedOut = () =>
  new UpstreamError('UPSTREAM_TIMEOUT', 'Too many of your calls to the upstream are in flight')

/**
 * Limits the concurrent calls of each principal, so that one cannot use up the connections of all. Calls past the limit wait
 * in a queue, and principals take turns. Calls without a principal bypass it.
 */
export function createBulkhead(
  http: Http,
  { callsEach, callsInAll = Number.POSITIVE_INFINITY, waitMs, overdue = timedOut }: BulkheadOptions,
): Http {
  const compartments = new Map<string, Compartment>()
  /** The compartments with waiting calls, in the order of their turns. */
  const queues = new Set<Compartment>()
  let running = 0

  function compartmentOf(principal: string): Compartment {
    const known = compartments.get(principal)
    if (known !== undefined) return known
    const made: Compartment = { principal, running: 0, waiting: [] }
    compartments.set(principal, made)
    return made
  }

  async function take(compartment: Compartment, signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>()
    const go = () => turn.resolve()
    compartment.waiting.push(go)
    queues.add(compartment)
    const giveUp = (reason: unknown) => {
      const index = compartment.waiting.indexOf(go)
      if (index === -1) return
      compartment.waiting.splice(index, 1)
      if (compartment.waiting.length === 0) queues.delete(compartment)
      forget(compartment)
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

  function begin(compartment: Compartment): void {
    compartment.running += 1
    running += 1
  }

  function leave(compartment: Compartment): void {
    compartment.running -= 1
    running -= 1
    startNext()
    forget(compartment)
  }

  function forget(compartment: Compartment): void {
    if (compartment.running === 0 && compartment.waiting.length === 0)
      compartments.delete(compartment.principal)
  }

  /** Principals take turns: the compartment that started a call goes to the end of the queue. */
  function startNext(): void {
    for (const compartment of queues) {
      if (compartment.running >= callsEach) continue
      queues.delete(compartment)
      const next = compartment.waiting.shift()
      if (compartment.waiting.length > 0) queues.add(compartment)
      begin(compartment)
      return next?.()
    }
  }

  async function call(compartment: Compartment, request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await http.request(request)
    } finally {
      leave(compartment)
    }
  }

  return {
    ...http,
    async request(request) {
      const { principal, signal } = request
      if (principal === undefined) return http.request(request)
      const compartment = compartmentOf(principal)
      if (compartment.running < callsEach && running < callsInAll) begin(compartment)
      else await take(compartment, signal)
      return call(compartment, request)
    },
  }
}
