import { hash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

const fingerprintKey = randomBytes(32).toString('base64')

/** A value that must not be shown: printing, logging and serialising it give `[secret]`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself, for the one place that sends it. */
  reveal(): string {
    return this.#value
  }

  /** The same for equal secrets, different after a restart; tells nothing about the value. */
  fingerprint(): string {
    return hash('sha256', fingerprintKey + this.#value, 'base64url').slice(0, 22)
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  /** @internal Keeps the types of the package free of those of Node.js. */
  [inspect.custom](): string {
    return '[secret]'
  }
}
