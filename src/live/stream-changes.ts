import { LRUCache } from 'lru-cache'
import type { Audience, Audiences } from '../events/audience.ts'
import type { ChangeTracker } from '../events/change-tracker.ts'
import type { HeldAccess } from '../events/entitlement.ts'
import type { Listener } from './live-hub.ts'

export interface StreamChangesOptions {
  /** What a principal may receive; undefined while that is not known for certain. */
  readonly accessOf: (principal: string) => HeldAccess | undefined
  /** Proves what a principal may receive, and keeps it for a while. */
  readonly use: (listener: Listener) => void
  /** Called when something happened that a principal could read: what is being read may be of before. */
  readonly onChange: (principal: string) => void
  readonly now?: () => number
}

/** What is known of a principal that asked. */
interface Known {
  askedAt: number
  access: HeldAccess | undefined
  /** The position of the newest entry that it may receive. */
  newest: number
  version: number
}

/** A principal that asks again within this time is proved. */
const againMs = 10_000
const maxPrincipals = 20_000

/**
 * The change tracker of a service stream. The version of a principal changes with the newest entry that is sent to one of its
 * audiences, and with its access. So all principals have one, and none needs a stream.
 */
export class StreamChanges implements ChangeTracker<Listener> {
  readonly #options: StreamChangesOptions
  readonly #now: () => number
  /** The position of the newest entry of each audience. */
  readonly #newest = new Map<Audience, number>()
  /** The position of the newest entry that was sent to all. */
  #newestOfAll = 0
  readonly #known = new LRUCache<string, Known>({ max: maxPrincipals })
  #versions = 0

  constructor(options: StreamChangesOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  /** Something happened. @param seq the position of its entry */
  note(audiences: Audiences, seq: number): void {
    if (audiences === 'all') this.#newestOfAll = seq
    else for (const audience of audiences) this.#newest.set(audience, seq)
  }

  /** Nothing that was known holds any more. */
  forget(): void {
    this.#newest.clear()
    this.#known.clear()
  }

  versionOf(listener: Listener): number | undefined {
    const { principal } = listener.credential
    const now = this.#now()
    const known = this.#known.get(principal) ?? this.#add(principal)
    if (now - known.askedAt < againMs) this.#options.use(listener)
    known.askedAt = now
    const access = this.#options.accessOf(principal)
    if (access === undefined) return undefined
    let newest = this.#newestOfAll
    for (const audience of access.all) newest = Math.max(newest, this.#newest.get(audience) ?? 0)
    if (access !== known.access || newest !== known.newest) {
      known.access = access
      known.newest = newest
      this.#change(principal, known)
    }
    return known.version
  }

  changed(principal: string): void {
    const known = this.#known.get(principal)
    if (known !== undefined) this.#change(principal, known)
  }

  close(): void {
    this.forget()
  }

  #add(principal: string): Known {
    const known = { askedAt: Number.NEGATIVE_INFINITY, access: undefined, newest: 0, version: 0 }
    this.#known.set(principal, known)
    return known
  }

  #change(principal: string, known: Known): void {
    this.#versions += 1
    known.version = this.#versions
    this.#options.onChange(principal)
  }
}
