import { LRUCache } from 'lru-cache'
import type { UpstreamError } from '../errors.ts'
import { assemble, divide, type Parts, type WholeContent } from './equal-parts.ts'

export interface EqualBodiesOptions {
  /** The length of all URLs and bodies together; 16 MiB by default. With what is parsed and decoded they take about three times that. */
  readonly maxBytes?: number
  /** How long a URL is remembered that is not read again, in milliseconds; a minute by default. */
  readonly maxIdleMs?: number
  /** Called with each value that may be returned more than once. */
  readonly onShared?: ((value: unknown) => void) | undefined
  readonly now?: () => number
}

/** @param decodePart decodes a part of a list or object */
export type Decode<T> = (
  json: unknown,
  onUnreadable: (error: UpstreamError) => void,
  decodePart: DecodePart,
) => T

/**
 * Decodes a part that several bodies have in common, once. Undefined for any other part.
 *
 * @param decode the same function for the same list or object. Its result depends on the part alone
 */
export type DecodePart = <T extends object>(part: unknown, decode: (part: unknown) => T) => T | undefined

/** A body as it came: bytes of a connection, or text of a message port. */
export type BodyContent = readonly Buffer[] | string

interface KnownBody {
  readonly content: WholeContent
  readonly json: object
  /** Undefined until they are needed, and null for a body that has none. */
  parts: Parts | null | undefined
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
  /** How many more other bodies are not compared by their parts. */
  toParse: number
  /** The value of `toParse` after a body that has few known parts. */
  partsPause: number
  usedAt: number
}

/** Two, for flows that, for example, members and administrators see differently. */
const bodiesOfUrl = 2
/** If the bodies of a URL are never equal, one in this many is kept, because what outlives a request costs garbage collections. As many
 * are compared by their parts if they have few in common. */
const longestPause = 64
/** A shorter body is parsed in less time than it takes to find its parts. */
const leastWithParts = 1024
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
  /** What was decoded from the parts of known bodies. */
  readonly #parts = new WeakMap<object, { decode: unknown; decoded: object | undefined }>()
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

  /**
   * The JSON of a body that was not found, put together from the parts that it has in common with a known one. Such bodies are
   * kept as parsed ones are.
   *
   * @returns undefined for a body that has few of the known parts
   */
  assemble(url: string, content: WholeContent): { json: object; parsedLength: number } | undefined {
    const reads = this.#reads.get(url)
    const known = reads?.bodies[0]
    if (reads === undefined || known === undefined || content.length < leastWithParts) return undefined
    if (reads.toParse > 0) {
      reads.toParse -= 1
      return undefined
    }
    if (known.parts === undefined) {
      known.parts = divide(known.content, known.json) ?? null
      this.#rememberParts(known.parts)
    }
    const assembled = known.parts === null ? undefined : assemble(known.parts, content)
    reads.partsPause = assembled === undefined ? nextPause(reads.partsPause) : 0
    reads.toParse = reads.partsPause
    if (assembled === undefined) return undefined
    const { json, parsedLength } = assembled
    const chunks = typeof content === 'string' ? content : [content]
    const body = this.keep(url, chunks, content.length, json)
    if (body === undefined) return assembled
    body.parts = { ...assembled, content: body.content }
    this.#rememberParts(body.parts)
    return { json, parsedLength }
  }

  #rememberParts(parts: Parts | null): void {
    for (const part of Object.values(parts?.json ?? []))
      if (typeof part === 'object' && part !== null && !this.#parts.has(part))
        this.#parts.set(part, { decode: undefined, decoded: undefined })
  }

  /**
   * Keeps a body that was not found, unless its URL is read for the first time, or its bodies are rarely equal.
   *
   * @returns the body if it is kept
   */
  keep(url: string, content: BodyContent, length: number, json: unknown): KnownBody | undefined {
    if (typeof json !== 'object' || json === null) return undefined
    const reads = this.#reads.get(url)
    if (reads === undefined) {
      const first = { bodies: [], toSkip: 0, pause: 0, toParse: 0, partsPause: 0, usedAt: this.#now() }
      this.#reads.set(url, first, { size: usualBytes + url.length })
      this.#timer ??= setTimeout(() => this.#sweep(), this.#maxIdleMs).unref()
      return undefined
    }
    if (reads.toSkip > 0) {
      reads.toSkip -= 1
      return undefined
    }
    // The chunks are parts of larger buffers of sockets.
    const copy = typeof content === 'string' ? content : Buffer.concat(content, length)
    const body: KnownBody = {
      ...{ content: copy, json, parts: undefined },
      ...{ wasFound: false, decode: undefined, decoded: undefined },
    }
    const dropped = reads.bodies[bodiesOfUrl - 1]
    const pause = dropped === undefined || dropped.wasFound ? 0 : nextPause(reads.pause)
    const bodies = [body, ...reads.bodies.slice(0, bodiesOfUrl - 1)]
    const size = bodies.reduce((sum, known) => sum + known.content.length, usualBytes + url.length)
    // The cache takes another size only with another object.
    this.#reads.set(url, { ...reads, bodies, pause, toSkip: pause }, { size })
    this.#bodies.set(json, body)
    this.#onShared?.(json)
    return body
  }

  /**
   * Decodes JSON, that of a known body once, and the parts of known bodies once.
   *
   * @param decode the same function for the same URL
   * @param onUnreadable called for each part that is left out. A value without a part is decoded again, so that each reader hears of it.
   */
  decode<T>(json: unknown, decode: Decode<T>, onUnreadable: (error: UpstreamError) => void): T {
    const body = typeof json === 'object' && json !== null ? this.#bodies.get(json) : undefined
    if (body === undefined) return decode(json, onUnreadable, this.#decodePart)
    if (body.decode === decode) return body.decoded as T
    let isWhole = true
    const onPartUnreadable = (error: UpstreamError) => {
      isWhole = false
      onUnreadable(error)
    }
    const decoded = decode(json, onPartUnreadable, this.#decodePart)
    if (!isWhole) return decoded
    body.decode = decode
    body.decoded = decoded
    this.#onShared?.(decoded)
    return decoded
  }

  readonly #decodePart: DecodePart = (part, decode) => {
    const known = typeof part === 'object' && part !== null ? this.#parts.get(part) : undefined
    if (known === undefined) return undefined
    if (known.decode !== decode) {
      known.decoded = decode(part)
      known.decode = decode
      this.#onShared?.(known.decoded)
    }
    return known.decoded as ReturnType<typeof decode>
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

function nextPause(pause: number): number {
  return Math.min(Math.max(pause * 2, 1), longestPause)
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
