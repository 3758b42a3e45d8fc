import { scryptSync } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

/** A key to derive from a password. */
export interface Derivation {
  readonly id: number
  readonly password: string
  readonly salt: Uint8Array
}

export interface Derived {
  readonly id: number
  readonly key: Uint8Array
}

parentPort?.on('message', ({ id, password, salt }: Derivation) => {
  const derived: Derived = { id, key: scryptSync(password, salt, 32) }
  parentPort?.postMessage(derived)
})
