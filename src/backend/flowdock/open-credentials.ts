import type { Background } from '../background.ts'

/** The parts of a credential that must not change in the database. */
export type SignedInBy =
  | { readonly tokenHash: string }
  | { readonly userId: number; readonly passwordHash: string | null }

/** A stream that is open with a credential. */
export interface CredentialUser {
  readonly signedInBy: SignedInBy
  /** The credential was valid a moment ago. */
  confirmed(): void
  /** The credential was revoked, has expired, or its user was disabled. */
  lost(): void
}

/** The credentials of open streams. All of them are looked up together, every second. */
export interface OpenCredentials {
  /** @returns what ends it */
  watch(user: CredentialUser): () => void
  /** Looks all of them up now. Resolves when the streams of lost credentials were notified, and also when the look-up failed. */
  check(): Promise<void>
}

export interface OpenCredentialsOptions {
  /** Those of some credentials that are valid, as the same objects. */
  readonly findValid: (credentials: readonly SignedInBy[]) => Promise<ReadonlySet<SignedInBy>>
  readonly background: Background
  /** Ends the look-ups. */
  readonly signal: AbortSignal
  /** The interval; a second by default. Commands of other processes revoke credentials without a notification. */
  readonly everyMs?: number
}

/** Credentials in one query. Other work of the thread runs between two queries. */
const pageSize = 500

export function createOpenCredentials(options: OpenCredentialsOptions): OpenCredentials {
  const { findValid, background, signal, everyMs = 1000 } = options
  const users = new Set<CredentialUser>()
  let checking: Promise<void> | undefined
  /** A check that begins after the one in progress. */
  let next: Promise<void> | undefined

  async function checkAll(): Promise<void> {
    const all = [...users]
    for (let from = 0; from < all.length; from += pageSize) {
      if (from > 0) await new Promise(setImmediate)
      const page = all.slice(from, from + pageSize)
      const valid = await findValid(page.map(({ signedInBy }) => signedInBy))
      for (const user of page) {
        if (!users.has(user)) continue
        if (valid.has(user.signedInBy)) user.confirmed()
        else user.lost()
      }
    }
  }

  function begin(): Promise<void> {
    checking = checkAll()
      // No credential was confirmed: streams end when that lasts.
      .catch(() => undefined)
      .finally(() => {
        checking = undefined
      })
    return checking
  }

  const timer = setInterval(() => {
    if (checking === undefined) background.run(begin())
  }, everyMs)
  signal.addEventListener('abort', () => clearInterval(timer))

  return {
    watch(user) {
      users.add(user)
      return () => users.delete(user)
    },
    check() {
      if (checking === undefined) return begin()
      // The check in progress may have read before that change.
      next ??= checking.then(() => {
        next = undefined
        return begin()
      })
      return next
    },
  }
}
