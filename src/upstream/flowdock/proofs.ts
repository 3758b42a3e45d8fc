import { LRUCache } from 'lru-cache'
import { ForbiddenError } from '../../errors.ts'
import type { Http } from '../http.ts'
import type { Credential } from './credentials.ts'
import { createCalls } from './request.ts'
import type { SingleFlight } from './single-flight.ts'

/**
 * Makes sure that a credential is valid before data is stored for it.
 *
 * @param onCall called before a call to the upstream; if it throws, no call is made
 * @throws GatewayError `UNAUTHENTICATED` for an invalid credential; the error of a call that fails
 */
export type ProveCredential = (credential: Credential, onCall?: () => void) => Promise<void>

/** How long a credential counts as valid after the upstream has confirmed it. */
const provenMs = 10_000
const maxProven = 10_000

/** @param options `restUrl`: the REST URL, without a trailing slash */
export function createProofs(
  { http, restUrl, reads }: { http: Http; restUrl: string; reads?: SingleFlight },
  now: () => number = Date.now,
): ProveCredential {
  /** Until when each principal counts as valid. */
  const proven = new LRUCache<string, number>({ max: maxProven })
  return async (credential, onCall) => {
    const { principal } = credential
    if ((proven.get(principal) ?? 0) > now()) return
    const calls = createCalls({ http, base: restUrl, credential, signal: undefined, reads, onCall })
    try {
      await calls.get(['user'], { doing: 'take a file' })
    } catch (error) {
      // The token of an application is also valid without the scope to read the user.
      if (!(error instanceof ForbiddenError)) throw error
    }
    proven.set(principal, now() + provenMs)
  }
}
