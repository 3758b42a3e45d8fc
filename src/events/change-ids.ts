import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/**
 * Ids of changes, which clients take from one gateway to another: a gateway that receives an id for the first time knows that the
 * principal made a change elsewhere. So responses to its next reads are not of before, though gateways share no memory.
 */
export interface ChangeIds {
  /** The id of a change that this gateway made. */
  make(principal: string): string
  /** A request of the principal names a change. */
  receive(principal: string, id: string): void
}

/** Bounds of what is remembered. An id that was forgotten costs the principal its cached responses, and nothing else. */
const maxPrincipals = 10_000
const maxIdsEach = 16

/** @param onChange called for each change that this gateway did not know */
export function createChangeIds(onChange: (principal: string) => void): ChangeIds {
  const known = new LRUCache<string, readonly string[]>({ max: maxPrincipals })

  function remember(principal: string, id: string): void {
    known.set(principal, [...(known.get(principal) ?? []), id].slice(-maxIdsEach))
  }

  return {
    make(principal) {
      const id = randomBytes(12).toString('base64url')
      remember(principal, id)
      return id
    },
    receive(principal, id) {
      if (known.get(principal)?.includes(id) === true) return
      remember(principal, id)
      onChange(principal)
    },
  }
}
