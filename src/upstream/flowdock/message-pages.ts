import { LRUCache } from 'lru-cache'
import type { Page } from './lists.ts'
import type { Message } from './model.ts'

/** A page as it was read, with its version at the upstream. */
export interface HeldPage {
  readonly page: Page<Message>
  readonly version: string
}

interface Entry {
  readonly page: Page<Message>
  version: string
  readonly readAt: number
}

export interface MessagePagesOptions {
  /** How old a page may be, in milliseconds; 10 s by default. So changes without an event are found. */
  readonly maxAgeMs?: number
  /** In the JSON of the upstream; 16 MiB by default. */
  readonly maxBytes?: number
  readonly now?: () => number
}

/** What a page counts whose length is not known. */
const usualBytes = 100_000

/**
 * Pages of messages that were read, for all principals. A page is used only after the upstream has said, to the credential of the
 * principal who asks for it, that it is the newest version.
 */
export class MessagePages {
  readonly #entries: LRUCache<string, Entry>
  readonly #maxAgeMs: number
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined

  constructor({ maxAgeMs = 10_000, maxBytes = 16 * 1024 * 1024, now }: MessagePagesOptions = {}) {
    this.#maxAgeMs = maxAgeMs
    this.#now = now ?? (() => performance.now())
    this.#entries = new LRUCache({ maxSize: maxBytes })
  }

  get size(): number {
    return this.#entries.size
  }

  /** @param key the same for the same request of all principals */
  find(key: string): HeldPage | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (this.#now() - entry.readAt <= this.#maxAgeMs) return { page: entry.page, version: entry.version }
    this.#entries.delete(key)
    return undefined
  }

  /** The time, for `keep`. */
  now(): number {
    return this.#now()
  }

  /**
   * @param readAt when the read began
   * @param bytes the length of its JSON
   */
  keep(key: string, held: HeldPage, readAt: number, bytes = usualBytes): void {
    this.#entries.set(key, { ...held, readAt }, { size: Math.max(bytes, 1) })
    this.#timer ??= setTimeout(() => this.#sweep(), this.#maxAgeMs).unref()
  }

  /** The page is also that of a later version. */
  confirm(key: string, { page }: HeldPage, version: string): void {
    const entry = this.#entries.get(key)
    if (entry?.page === page) entry.version = version
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#entries.clear()
  }

  /** Deletes pages that are too old, so that their memory is freed also without further requests. */
  #sweep(): void {
    this.#timer = undefined
    const now = this.#now()
    for (const [key, { readAt }] of this.#entries.entries())
      if (now - readAt > this.#maxAgeMs) this.#entries.delete(key)
    if (this.#entries.size > 0) this.#timer = setTimeout(() => this.#sweep(), this.#maxAgeMs).unref()
  }
}
