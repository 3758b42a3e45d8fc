import { hash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

const fingerprintKey = randomBytes(32).toString('base64')

/** A value that must not be shown. Printing, logging or serializing it gives `[secret]`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value, for the code that sends it. */
  reveal(): string {
    return this.#value
  }

  /** The same for equal secrets until a restart. It reveals nothing about the value. */
  fingerprint(): string {
    return hash('sha256', fingerprintKey + this.#value, 'base64url').slice(0, 22)
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  /** @internal So that the declarations of the package do not need the types of Node.js. */
  [inspect.custom](): string {
    return '[secret]'
  }
}
