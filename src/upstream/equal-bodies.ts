import { LRUCache } from 'lru-cache'
import type { UpstreamError } from '../errors.ts'

export interface EqualBodiesOptions {
  /** The length of all URLs and bodies together; 16 MiB by default. With what is parsed and decoded they take about three times that. */
  readonly maxBytes?: number
  /** How long a URL is remembered that is not read again, in milliseconds; a minute by default. */
  readonly maxIdleMs?: number
  /** Called with each value that may be returned more than once. */
  readonly onShared?: ((value: unknown) => void) | undefined
  readonly now?: () => number
}

export type Decode<T> = (json: unknown, onUnreadable: (error: UpstreamError) => void) => T

/** A body as it came: bytes of a connection, or text of a message port. */
export type BodyContent = readonly Buffer[] | string

interface KnownBody {
  readonly content: Buffer | string
  readonly json: object
  wasFound: boolean
  /** What made `decoded`. */
  decode: unknown
  decoded: unknown
}

interface Reads {
  /** The one that was found or kept last comes first. */
  readonly bodies: KnownBody[]
  /** How many more other bodies are not kept. */
  toSkip: number
  /** The value of `toSkip` after a body is kept. */
  pause: number
  usedAt: number
}

/** Two, for flows that, for example, members and administrators see differently. */
const bodiesOfUrl = 2
/** If the bodies of a URL are never equal, one in this many is kept, because what outlives a request costs garbage collections. */
const longestPause = 64
/** What a URL counts besides its characters and its bodies. */
const usualBytes = 300

/**
 * The last bodies of responses by URL, with their parsed JSON and what was decoded from it. A body with the same bytes is not
 * parsed and decoded again, for any reader. Each reader still gets the bytes from the upstream with their own credential, so
 * rights are unaffected. A decoded value must depend on the URL and the bytes only, and must not be changed.
 */
export class EqualBodies {
  readonly #reads: LRUCache<string, Reads>
  /** By the JSON. */
  readonly #bodies = new WeakMap<object, KnownBody>()
  readonly #maxIdleMs: number
  readonly #onShared: ((value: unknown) => void) | undefined
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined

  constructor({ maxBytes = 16 * 1024 * 1024, maxIdleMs = 60_000, onShared, now }: EqualBodiesOptions = {}) {
    this.#reads = new LRUCache({ maxSize: maxBytes })
    this.#maxIdleMs = maxIdleMs
    this.#onShared = onShared
    this.#now = now ?? (() => performance.now())
  }

  /** The number of URLs that were read, also of those without a body. */
  get urls(): number {
    return this.#reads.size
  }

  /** The number of bodies. */
  get size(): number {
    let size = 0
    for (const { bodies } of this.#reads.values()) size += bodies.length
    return size
  }

  /** The parsed JSON of a known body with this content. @param length its bytes, or characters */
  find(url: string, content: BodyContent, length: number): object | undefined {
    const reads = this.#reads.get(url)
    if (reads === undefined) return undefined
    reads.usedAt = this.#now()
    const { bodies } = reads
    for (let index = 0; index < bodies.length; index += 1) {
      const body = bodies[index] as KnownBody
      if (body.content.length !== length || !isEqual(body.content, content)) continue
      body.wasFound = true
      if (index > 0) {
        bodies.splice(index, 1)
        bodies.unshift(body)
      }
      return body.json
    }
    return undefined
  }

  /** Keeps a body that was not found, unless its URL is read for the first time, or its bodies are rarely equal. */
  keep(url: string, content: BodyContent, length: number, json: unknown): void {
    if (typeof json !== 'object' || json === null) return
    const reads = this.#reads.get(url)
    if (reads === undefined) {
      const first = { bodies: [], toSkip: 0, pause: 0, usedAt: this.#now() }
      this.#reads.set(url, first, { size: usualBytes + url.length })
      this.#timer ??= setTimeout(() => this.#sweep(), this.#maxIdleMs).unref()
      return
    }
    if (reads.toSkip > 0) {
      reads.toSkip -= 1
      return
    }
    // The chunks are parts of larger buffers of sockets.
    const copy = typeof content === 'string' ? content : Buffer.concat(content, length)
    const body = { content: copy, json, wasFound: false, decode: undefined, decoded: undefined }
    const dropped = reads.bodies[bodiesOfUrl - 1]
    const wasted = Math.min(Math.max(reads.pause * 2, 1), longestPause)
    const pause = dropped === undefined || dropped.wasFound ? 0 : wasted
    const bodies = [body, ...reads.bodies.slice(0, bodiesOfUrl - 1)]
    const size = bodies.reduce((sum, known) => sum + known.content.length, usualBytes + url.length)
    // The cache takes another size only with another object.
    this.#reads.set(url, { bodies, pause, toSkip: pause, usedAt: reads.usedAt }, { size })
    this.#bodies.set(json, body)
    this.#onShared?.(json)
  }

  /**
   * Decodes JSON, that of a known body once.
   *
   * @param decode the same function for the same URL
   * @param onUnreadable called for each part that is left out. A value without a part is decoded again, so that each reader hears of it.
   */
  decode<T>(json: unknown, decode: Decode<T>, onUnreadable: (error: UpstreamError) => void): T {
    const body = typeof json === 'object' && json !== null ? this.#bodies.get(json) : undefined
    if (body === undefined) return decode(json, onUnreadable)
    if (body.decode === decode) return body.decoded as T
    let isWhole = true
    const decoded = decode(json, (error) => {
      isWhole = false
      onUnreadable(error)
    })
    if (!isWhole) return decoded
    body.decode = decode
    body.decoded = decoded
    this.#onShared?.(decoded)
    return decoded
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#reads.clear()
  }

  #sweep(): void {
    this.#timer = undefined
    const now = this.#now()
    for (const [url, { usedAt }] of this.#reads.entries())
      if (now - usedAt >= this.#maxIdleMs) this.#reads.delete(url)
    if (this.#reads.size > 0) this.#timer = setTimeout(() => this.#sweep(), this.#maxIdleMs).unref()
  }
}

function isEqual(whole: Buffer | string, content: BodyContent): boolean {
  if (typeof whole === 'string' || typeof content === 'string') return whole === content
  let at = 0
  for (const chunk of content) {
    if (chunk.compare(whole, at, at + chunk.length) !== 0) return false
    at += chunk.length
  }
  return at === whole.length
}
