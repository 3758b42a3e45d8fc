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
 *
 * Backends of one database count together: each announces its attempts, and counts those of the others. An attempt at a second
 * backend that begins before the announcement arrived is not counted yet.
 */
export interface SignIn {
  /**
   * The user with this e-mail address and password. Undefined for a wrong password, an unknown e-mail address or a disabled user.
   *
   * @throws HttpError 429 after too many attempts, 503 while too many passwords are being checked
   */
  signIn(db: Database, email: string, password: string, address: string): Promise<UserRow | undefined>
  /** Counts what another backend announced. */
  countElsewhere(attempt: SignInAttempt): void
  close(): Promise<void>
}

/** The limits that an attempt counts towards. */
export type SignInLimit = 'address' | 'account' | 'anywhere' | 'strict'

/** An attempt to sign in, as backends announce it: when it begins, and when it is given back. */
export interface SignInAttempt {
  readonly account: string
  readonly address: string
  readonly limits: readonly SignInLimit[]
  /** `right` and `unchecked` attempts are given back; a wrong one is announced once. */
  readonly state: 'begun' | 'right' | 'unchecked'
}

export interface SignInOptions {
  readonly now?: () => number
  /** Announces an attempt to the other backends. Attempts with a remembered password are not announced. */
  readonly onAttempt?: (attempt: SignInAttempt) => void
}

const windowMs = 15 * 60_000
const attemptsAtAccount = 10
const attemptsOfAddress = 60
const attemptsFromAnywhere = 30
/** How long a right password is remembered. Clients send it with each request, and a derivation for each would be slow. */
const rememberMs = 30_000
/** The most entries of each map. The least recently used are dropped first. */
const maxEntries = 10_000

export function createSignIn(
  keys: PasswordKeys,
  { now = Date.now, onAttempt = () => undefined }: SignInOptions = {},
): SignIn {
  const buckets: Readonly<Record<SignInLimit, Buckets>> = {
    address: createBuckets(attemptsOfAddress, now),
    account: createBuckets(attemptsAtAccount, now),
    anywhere: createBuckets(attemptsFromAnywhere, now),
    strict: createBuckets(1, now),
  }
  /** IP addresses from which a user signed in to an account lately. */
  const familiar = new Map<string, true>()
  const memoryKey = randomBytes(32)
  /** Until when right passwords are remembered, by a keyed hash. The key exists only in this process. */
  const remembered = new Map<string, number>()
  /** The checks in progress, by the same hash. */
  const checking = new Map<string, Promise<void>>()

  /** @returns the limits that the attempt counts towards */
  function begin(account: string, address: string, isFamiliar: boolean): readonly SignInLimit[] {
    const limits: SignInLimit[] = []
    const take = (limit: SignInLimit): number => {
      const waitMs = buckets[limit].take(keyOf(limit, account, address))
      if (waitMs === 0) limits.push(limit)
      return waitMs
    }
    let waitMs = take('address') || take('account')
    if (waitMs === 0 && !isFamiliar && take('anywhere') > 0) waitMs = take('strict')
    if (waitMs === 0) return limits
    giveBack({ account, address, limits })
    throw tooMany(`Too many wrong passwords; try again in ${Math.ceil(waitMs / 1000)} seconds`, waitMs)
  }

  function giveBack({ account, address, limits }: Omit<SignInAttempt, 'state'>): void {
    for (const limit of limits) buckets[limit].giveBack(keyOf(limit, account, address))
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
      const isFamiliar = familiar.has(pairOf(account, address))
      const attempt = { account, address, limits: begin(account, address, isFamiliar) }
      if ((remembered.get(proof) ?? 0) > now()) {
        giveBack(attempt)
        return user?.disabled === 0 ? user : undefined
      }
      const end = (state: 'right' | 'unchecked') => {
        giveBack(attempt)
        onAttempt({ ...attempt, state })
      }
      onAttempt({ ...attempt, state: 'begun' })
      const { promise: checked, resolve: endCheck } = Promise.withResolvers<void>()
      checking.set(proof, checked)
      // An unknown e-mail address takes as long as a wrong password.
      let given: Buffer
      try {
        given = await keys.derive(password, Buffer.from(salt, 'base64url'), isFamiliar)
      } catch (error) {
        end('unchecked')
        throw error
      } finally {
        checking.delete(proof)
        // Requests that waited continue below, where a right password is remembered.
        endCheck()
      }
      const stored = Buffer.from(key, 'base64url')
      if (stored.length !== given.length || !timingSafeEqual(stored, given)) return undefined
      end('right')
      remember(familiar, pairOf(account, address), true)
      remember(remembered, proof, now() + rememberMs)
      return user?.disabled === 0 ? user : undefined
    },
    countElsewhere(attempt) {
      const { account, address, limits, state } = attempt
      if (state === 'begun') for (const limit of limits) buckets[limit].charge(keyOf(limit, account, address))
      else giveBack(attempt)
      if (state === 'right') remember(familiar, pairOf(account, address), true)
    },
    close: () => keys.close(),
  }
}

const pairOf = (account: string, address: string) => `${address} ${account}`

/** What a limit counts: attempts of an IP address, at an account, or of an IP address at an account. */
function keyOf(limit: SignInLimit, account: string, address: string): string {
  if (limit === 'address') return address
  return limit === 'anywhere' ? account : pairOf(account, address)
}

/** The attempts of each key. They are regained evenly. */
interface Buckets {
  /** Takes an attempt. Returns undefined, or the milliseconds until there is one. */
  take(key: string): number
  /** Takes an attempt that was made already; the last one if there is only a part of it. */
  charge(key: string): void
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
    charge(key) {
      const bucket = refill(key)
      bucket.left = Math.max(0, bucket.left - 1)
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
