import { hash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip, type ZlibOptions } from 'node:zlib'

/** The JSON of a cached response. Its bytes, compressed bytes and hash are computed when they are first needed, and once. */
export class CachedBody {
  /** Text until its bytes are sent. They are outside of the heap, and are written without encoding them again. */
  #content: string | Buffer
  #compressed: Promise<Buffer> | undefined
  #hash: string | undefined

  constructor(text: string) {
    this.#content = text
  }

  /** Its characters, or bytes. */
  get length(): number {
    return this.#content.length
  }

  text(): string {
    return this.#content.toString()
  }

  /** In UTF-8. */
  bytes(): Buffer {
    if (typeof this.#content === 'string') this.#content = Buffer.from(this.#content)
    return this.#content
  }

  /** The bytes compressed by gzip. */
  compressed(): Promise<Buffer> {
    this.#compressed ??= compress(this.bytes())
    return this.#compressed
  }

  hash(): string {
    this.#hash ??= hashOf(this.bytes())
    return this.#hash
  }
}

/** Compresses by gzip. zlib is loaded with the first call, not at the start. */
export function compress(body: string | Buffer, options: ZlibOptions = {}): Promise<Buffer> {
  return promisify(gzip)(body, options)
}

/** Distinguishes bodies of responses: text and its bytes have the same hash. */
export function hashOf(body: string | Buffer): string {
  return hash('sha1', body, 'base64url')
}
