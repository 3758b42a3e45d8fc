import { NotFoundError } from '../../errors.ts'
import { isRecord } from '../../json-values.ts'
import type { Secret } from '../../secret.ts'
import type { Http } from '../http.ts'
import { createCalls } from './request.ts'
import { serviceCredential } from './service-directory.ts'

/** The end of the log of the backend. */
export interface LogHead {
  readonly log: string
  readonly at: number
}

export interface LogHeadsOptions {
  readonly http: Pick<Http, 'request'>
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  readonly token: Secret
  /** Ends one read; a second unless given. */
  readonly deadlineMs?: number
}

/** How long a backend is not asked again that does not know the question. */
const missingMs = 60_000

/** Asks the backend where its log ends. One call is under way at a time, and serves everybody who asked before it began. */
export class LogHeads {
  readonly #options: LogHeadsOptions
  /** Nothing is asked before this time. */
  #askFrom = Number.NEGATIVE_INFINITY
  #current: Promise<LogHead | undefined> | undefined
  #next: Promise<LogHead | undefined> | undefined

  constructor(options: LogHeadsOptions) {
    this.#options = options
  }

  /** The end of the log at a moment after this call; undefined when the backend does not say it. */
  latest(): Promise<LogHead | undefined> {
    if (performance.now() < this.#askFrom) return Promise.resolve(undefined)
    if (this.#current === undefined) return this.#begin()
    this.#next ??= this.#current.then(() => {
      this.#next = undefined
      return this.#begin()
    })
    return this.#next
  }

  #begin(): Promise<LogHead | undefined> {
    const reading = this.#read().catch((error: unknown) => {
      // A backend of an earlier version.
      if (error instanceof NotFoundError) this.#askFrom = performance.now() + missingMs
      return undefined
    })
    this.#current = reading
    const end = () => {
      if (this.#current === reading) this.#current = undefined
    }
    reading.then(end, end)
    return reading
  }

  async #read(): Promise<LogHead | undefined> {
    const { http, restUrl, token, deadlineMs = 1000 } = this.#options
    const credential = serviceCredential(token)
    const signal = AbortSignal.timeout(deadlineMs)
    const calls = createCalls({ http: http as Http, base: restUrl, credential, signal })
    const head = await calls.get(['service', 'v1', 'head'], { doing: 'read the end of the log' })
    if (!isRecord(head)) return undefined
    const { log, at } = head
    return typeof log === 'string' && typeof at === 'number' ? { log, at } : undefined
  }
}
