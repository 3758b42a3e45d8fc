import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Database } from '../store/db.ts'
import { findUserByEmail, type UserRow } from '../store/users.ts'
import { tooMany } from './errors.ts'
import type { PasswordKeys } from './password-keys.ts'

/**
 * Checks passwords for the sign-in page of OAuth, its password grant and Basic authentication. An attempt is counted when it
 * begins, so that a thousand parallel attempts are not all checked.
 *
 * Three limits slow down guessing, and none of them locks an owner out:
 * - An IP address has 10 attempts at one account, and gets one back every 90 seconds.
 * - An IP address has 60 attempts at all accounts, and gets one back every 15 seconds.
 * - After 30 recent attempts at one account from any IP addresses, each further IP address has one attempt in 15 minutes. An
 *   owner with the right password needs one. IP addresses from which the owner signed in lately keep their 10 attempts.
 *
 * A right password returns its attempt. Requests with the same password wait for one check, so twenty parallel requests with a
 * right password are one attempt. Passwords that are remembered count as attempts, too: otherwise the response would show a
 * client past the limits that a guess was right. A restart resets all of this.
 */
export interface SignIn {
  /**
   * The user with this e-mail address and password. Undefined for a wrong password, an unknown e-mail address or a disabled user.
   *
   * @throws HttpError 429 after too many attempts, 503 while too many passwords are being checked
   */
  signIn(db: Database, email: string, password: string, address: string): Promise<UserRow | undefined>
  close(): Promise<void>
}

const windowMs = 15 * 60_000
const attemptsAtAccount = 10
const attemptsOfAddress = 60
const attemptsFromAnywhere = 30
/** How long a right password is remembered. Clients send it with each request, and a derivation for each would be slow. */
const rememberMs = 30_000
/** The most entries of each map. The least recently used are dropped first. */
const maxEntries = 10_000

export function createSignIn(keys: PasswordKeys, now: () => number = Date.now): SignIn {
  const atAccount = createBuckets(attemptsAtAccount, now)
  const ofAddress = createBuckets(attemptsOfAddress, now)
  const fromAnywhere = createBuckets(attemptsFromAnywhere, now)
  const strict = createBuckets(1, now)
  /** IP addresses from which a user signed in to an account lately. */
  const familiar = new Map<string, true>()
  const memoryKey = randomBytes(32)
  /** Until when right passwords are remembered, by a keyed hash. The key exists only in this process. */
  const remembered = new Map<string, number>()
  /** The checks in progress, by the same hash. */
  const checking = new Map<string, Promise<void>>()

  function begin(
    account: string,
    address: string,
  ): { readonly isFamiliar: boolean; readonly giveBack: () => void } {
    const pair = `${address} ${account}`
    const isFamiliar = familiar.has(pair)
    const taken: [Buckets, string][] = []
    const giveBack = () => {
      for (const [buckets, key] of taken) buckets.giveBack(key)
    }
    const take = (buckets: Buckets, key: string): number => {
      const waitMs = buckets.take(key)
      if (waitMs === 0) taken.push([buckets, key])
      return waitMs
    }
    let waitMs = take(ofAddress, address) || take(atAccount, pair)
    if (waitMs === 0 && !isFamiliar && take(fromAnywhere, account) > 0) waitMs = take(strict, pair)
    if (waitMs === 0) return { isFamiliar, giveBack }
    giveBack()
    throw tooMany(`Too many wrong passwords; try again in ${Math.ceil(waitMs / 1000)} seconds`, waitMs)
  }

  return {
    async signIn(db, email, password, address) {
      const account = email.trim().toLowerCase().slice(0, 320)
      const user = await findUserByEmail(db, account)
      const [, salt = 'none', key = ''] = user?.password_hash?.split(':') ?? []
      // The key contains the stored hash, so a changed password has another entry.
      const proof = createHmac('sha256', memoryKey)
        .update(JSON.stringify([account, user?.id, user?.password_hash, password]))
        .digest('base64url')
      for (let other = checking.get(proof); other !== undefined; other = checking.get(proof)) await other
      const { isFamiliar, giveBack } = begin(account, address)
      if ((remembered.get(proof) ?? 0) > now()) {
        giveBack()
        return user?.disabled === 0 ? user : undefined
      }
      const { promise: checked, resolve: endCheck } = Promise.withResolvers<void>()
      checking.set(proof, checked)
      // An unknown e-mail address takes as long as a wrong password.
      let given: Buffer
      try {
        given = await keys.derive(password, Buffer.from(salt, 'base64url'), isFamiliar)
      } catch (error) {
        giveBack()
        throw error
      } finally {
        checking.delete(proof)
        // Requests that waited continue below, where a right password is remembered.
        endCheck()
      }
      const stored = Buffer.from(key, 'base64url')
      if (stored.length !== given.length || !timingSafeEqual(stored, given)) return undefined
      giveBack()
      remember(familiar, `${address} ${account}`, true)
      remember(remembered, proof, now() + rememberMs)
      return user?.disabled === 0 ? user : undefined
    },
    close: () => keys.close(),
  }
}

/** The attempts of each key. They are regained evenly. */
interface Buckets {
  /** Takes an attempt. Returns undefined, or the milliseconds until there is one. */
  take(key: string): number
  giveBack(key: string): void
}

/** @param size the attempts in 15 minutes; all of them may be parallel */
function createBuckets(size: number, now: () => number): Buckets {
  const buckets = new Map<string, { left: number; at: number }>()
  const perMs = size / windowMs
  const refill = (key: string) => {
    const time = now()
    const bucket = buckets.get(key) ?? { left: size, at: time }
    bucket.left = Math.min(size, bucket.left + Math.max(time - bucket.at, 0) * perMs)
    bucket.at = time
    remember(buckets, key, bucket)
    return bucket
  }
  return {
    take(key) {
      const bucket = refill(key)
      // Less than a millisecond is a rounding error.
      if (bucket.left < 1) return Math.max(Math.ceil((1 - bucket.left) / perMs - 0.01), 1)
      bucket.left -= 1
      return 0
    },
    giveBack(key) {
      const bucket = refill(key)
      bucket.left = Math.min(size, bucket.left + 1)
    },
  }
}

function remember<T>(entries: Map<string, T>, key: string, value: T): void {
  entries.delete(key)
  entries.set(key, value)
  if (entries.size > maxEntries) entries.delete(entries.keys().next().value ?? '')
}
