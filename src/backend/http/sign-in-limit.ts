import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Database } from '../store/db.ts'
import { findUserByEmail, type UserRow } from '../store/users.ts'
import { tooMany } from './errors.ts'
import type { PasswordKeys } from './password-keys.ts'

/**
 * Checks passwords for the sign-in page of OAuth, its password grant and Basic authentication. An attempt is counted when
 * it begins, so that a thousand at one time are not all checked.
 *
 * Three limits hold back who guesses, and none locks an owner out:
 * - an address may try one account 10 times, and try again once in 90 seconds;
 * - an address may try 60 times whatever the account, and try again once in 15 seconds;
 * - an account that 30 attempts were made at lately, from whatever addresses, gives each further address one attempt in 15
 *   minutes. An owner who enters the right password is let in by that one; the addresses they signed in from lately keep
 *   their own 10.
 * A right password takes its attempt back, so a request waits while the same password is being checked: twenty requests at
 * one time with a right password are one attempt. Passwords that are remembered count as attempts, too. Otherwise somebody
 * past the limits would see from a different answer that a guess was right. A restart forgets all of it.
 */
export interface SignIn {
  /**
   * The user with this e-mail address and password; undefined for a wrong password, an unknown address and a disabled user.
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
/** A caller with a password sends it with each request: one of them is checked, the rest of half a minute is compared. */
const rememberMs = 30_000
/** Entries that were used longest ago go first. */
const maxEntries = 10_000

export function createSignIn(keys: PasswordKeys, now: () => number = Date.now): SignIn {
  const atAccount = createBuckets(attemptsAtAccount, now)
  const ofAddress = createBuckets(attemptsOfAddress, now)
  const fromAnywhere = createBuckets(attemptsFromAnywhere, now)
  const strict = createBuckets(1, now)
  /** Addresses from which somebody signed in to an account lately. */
  const familiar = new Map<string, true>()
  const memoryKey = randomBytes(32)
  /** Until when passwords were found right, by a keyed hash that means nothing outside of this process. */
  const remembered = new Map<string, number>()
  /** Passwords that are being checked, by the same hash. */
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
      // It holds the stored hash: a changed password is a new entry.
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
      // An unknown address costs the same time as a wrong password.
      let given: Buffer
      try {
        given = await keys.derive(password, Buffer.from(salt, 'base64url'), isFamiliar)
      } catch (error) {
        giveBack()
        throw error
      } finally {
        checking.delete(proof)
        // Those who wait go on when a right password is remembered, in the lines below.
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

/** Attempts that come back evenly, by who makes them. */
interface Buckets {
  /** Takes one, or returns in how many milliseconds there is one. */
  take(key: string): number
  giveBack(key: string): void
}

/** @param size how many attempts there are in 15 minutes, all of which may be made at one time */
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
      // A fraction of a millisecond is an error of rounding.
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
