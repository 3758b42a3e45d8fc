import { randomBytes } from 'node:crypto'
import type { ThingsPrincipal } from '../principal.ts'
import type { Style } from '../style.ts'

/** A session. A client requests it with its credential, and then opens a socket with the id of the session. */
export interface Session {
  readonly id: string
  readonly principal: ThingsPrincipal
  /** How elements are shown. It is stored here because the URL of a session has no version. */
  readonly style: Style
}

export interface Sessions {
  open(principal: ThingsPrincipal, style: Style): Session
  /** @returns undefined for an unknown or expired session */
  find(id: string): Session | undefined
  /** Restarts the lifetime of a session, whenever a socket was opened with it or closed. */
  renew(session: Session): void
}

/** How long a session lasts without a socket. */
const unusedMs = 5 * 60_000
/** The most sessions. The least recently used ones are removed first. */
const maxSessions = 50_000

export function createSessions(now: () => number = Date.now): Sessions {
  const sessions = new Map<string, { readonly session: Session; usedAt: number }>()

  function put(session: Session): void {
    sessions.delete(session.id)
    sessions.set(session.id, { session, usedAt: now() })
    for (const [id, { usedAt }] of sessions) {
      if (sessions.size <= maxSessions && usedAt > now() - unusedMs) break
      sessions.delete(id)
    }
  }

  return {
    open(principal, style) {
      const session = { id: randomBytes(24).toString('hex'), principal, style }
      put(session)
      return session
    },
    find(id) {
      const found = sessions.get(id)
      return found === undefined || found.usedAt <= now() - unusedMs ? undefined : found.session
    },
    renew: put,
  }
}
