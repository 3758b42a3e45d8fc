import { LRUCache } from 'lru-cache'
import type { Audience, Audiences } from '../events/audience.ts'
import type { ChangeTracker } from '../events/change-tracker.ts'
import type { HeldAccess } from '../events/entitlement.ts'
import type { Listener } from './live-hub.ts'

export interface StreamChangesOptions {
  /** The present access of a principal; undefined while it is unknown. */
  readonly accessOf: (principal: string) => HeldAccess | undefined
  /** Proves the access of a principal, and follows it for a minute. */
  readonly use: (listener: Listener) => void
  /** Called when data changed that a principal can see. Reads in progress may be older than the change. */
  readonly onChange: (principal: string) => void
  readonly now?: () => number
}

/** The state of a principal whose version was requested. */
interface Known {
  askedAt: number
  access: HeldAccess | undefined
  /** The position of the newest entry that the principal may receive. */
  newest: number
  version: number
}

/** A second request of a principal within this time proves its access. */
const againMs = 10_000
const maxPrincipals = 20_000

/**
 * The change tracker of a service stream. The version of a principal changes with its access, and with each entry for one of its
 * audiences. So no principal needs an upstream stream of its own.
 */
export class StreamChanges implements ChangeTracker<Listener> {
  readonly #options: StreamChangesOptions
  readonly #now: () => number
  /** The position of the newest entry of each audience. */
  readonly #newest = new Map<Audience, number>()
  /** The position of the newest entry for all principals. */
  #newestOfAll = 0
  // With `max`, the library makes room for all of them at once.
  readonly #known = new LRUCache<string, Known>({ maxSize: maxPrincipals, sizeCalculation: () => 1 })
  #versions = 0

  constructor(options: StreamChangesOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  /** Notes an entry. @param seq its position */
  note(audiences: Audiences, seq: number): void {
    if (audiences === 'all') this.#newestOfAll = seq
    else for (const audience of audiences) this.#newest.set(audience, seq)
  }

  /** Forgets everything, such as when the log was replaced. */
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
