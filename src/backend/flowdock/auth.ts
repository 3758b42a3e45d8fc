import { randomBytes, scrypt } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { promisify } from 'node:util'
import { grantOfPassword, grantOfToken } from '../grants.ts'
import { unauthorized } from '../http/errors.ts'
import type { SignIn } from '../http/sign-in-limit.ts'
import type { Database } from '../store/db.ts'
import { together } from '../store/together.ts'
import {
  findUser,
  findUserByTokenHash,
  listEnabledUsers,
  listUsersByTokenHash,
  listValidTokens,
  type UserRow,
} from '../store/users.ts'
import { hashToken } from '../token-hash.ts'
import type { Holder } from './entitlements.ts'
import type { SignedInBy } from './open-credentials.ts'
import type { Backend } from './route.ts'

type Credential = { readonly token: string } | { readonly email: string; readonly password: string }

const derive = promisify<string, Buffer, number, Buffer>(scrypt)

/** The user who sent a request, and the rights of the credential. */
export interface Identity {
  readonly user: UserRow
  /** Identifies the credential: the same for all spellings of a token, and for a user who signs in with the password. */
  readonly key: string
  /** The scopes of an application's token. Undefined for a credential of the user's own, which has all rights. */
  readonly scopes: ReadonlySet<string> | undefined
  readonly applicationId: number | undefined
  /** When the credential expires, in milliseconds. Undefined for one that is valid until it is revoked. */
  readonly expiresAt: number | undefined
  /** Whether the credential is still valid: it may be revoked while the request is arriving. */
  readonly isValid: (db: Database) => Promise<boolean>
  readonly signedInBy: SignedInBy
  /** Whether a gateway acts as the user, who did not send the request themselves. It changes nothing. */
  readonly isActedAs: boolean
}

/**
 * The principal of a request. Undefined when the credential is missing or wrong.
 *
 * Accepts a token as Basic user name (with any password, none, or no colon at all), as Bearer, or as `access_token`; e-mail and
 * password as Basic. [flowdock] authentication.md
 *
 * @throws HttpError 429 or 503 for a password that cannot be checked now
 */
export async function authenticate(
  db: Database,
  signIn: SignIn,
  request: { readonly headers: IncomingHttpHeaders },
  query: URLSearchParams,
  address: string,
): Promise<Identity | undefined> {
  const credential = readCredential(request.headers.authorization, query.get('access_token'))
  if (credential === undefined) return undefined
  if ('token' in credential) {
    const hash = hashToken(credential.token)
    const user = await findUserByTokenHash(db, hash)
    if (user?.disabled !== 0) return undefined
    return {
      user,
      key: `token:${hash}`,
      scopes: user.application_id === null ? undefined : new Set(user.scope?.split(' ')),
      applicationId: user.application_id ?? undefined,
      expiresAt: user.expires_at ?? undefined,
      isValid: async (reader) => (await findUserByTokenHash(reader, hash))?.disabled === 0,
      signedInBy: { tokenHash: hash },
      isActedAs: false,
    }
  }
  const user = await signIn.signIn(db, credential.email, credential.password, address)
  if (user === undefined) return undefined
  return {
    user,
    key: `user:${user.id}`,
    scopes: undefined,
    applicationId: undefined,
    expiresAt: undefined,
    async isValid(reader) {
      const now = await findUser(reader, user.id)
      return now?.disabled === 0 && now.password_hash === user.password_hash
    },
    signedInBy: { userId: user.id, passwordHash: user.password_hash },
    isActedAs: false,
  }
}

/** What an `Authorization` value is. */
export type HolderOutcome =
  | Holder
  /** No valid credential. */
  | 'invalid'
  /** An e-mail address and a password. It needs a request of its own, because attempts are counted by request. */
  | 'password'

/** Authenticates the tokens among some `Authorization` values, in their order. */
export async function authenticateTokens(
  db: Database,
  authorizations: readonly string[],
): Promise<HolderOutcome[]> {
  const credentials = authorizations.map((authorization) => readCredential(authorization, null))
  const hashes = credentials.map((credential) =>
    credential !== undefined && 'token' in credential ? hashToken(credential.token) : undefined,
  )
  const users = await listUsersByTokenHash(
    db,
    hashes.filter((hash) => hash !== undefined),
  )
  return hashes.map((hash, index) => {
    if (hash === undefined) return credentials[index] === undefined ? 'invalid' : 'password'
    const user = users.get(hash)
    if (user === undefined) return 'invalid'
    return {
      userId: user.userId,
      grant: grantOfToken(hash),
      scopes: user.applicationId === null ? undefined : new Set(user.scope?.split(' ')),
      expiresAt: user.expiresAt ?? undefined,
    }
  })
}

/** Names a credential without revealing it. */
export function grantOf(signedInBy: SignedInBy): string {
  return 'tokenHash' in signedInBy
    ? grantOfToken(signedInBy.tokenHash)
    : grantOfPassword(signedInBy.userId, signedInBy.passwordHash)
}

/** @throws 401 when the credential of a request was revoked or has expired since the request began */
export async function checkCredential(db: Database, identity: Identity | undefined): Promise<void> {
  if (identity !== undefined && !(await identity.isValid(db))) throw unauthorized()
}

/** Those of these credentials that are valid. The result is that of `isValid` for each, with two queries in all. */
export async function findValid(
  db: Database,
  credentials: readonly SignedInBy[],
): Promise<ReadonlySet<SignedInBy>> {
  const hashes = new Set<string>()
  const userIds = new Set<number>()
  for (const each of credentials)
    if ('tokenHash' in each) hashes.add(each.tokenHash)
    else userIds.add(each.userId)
  const tokens = new Set(hashes.size === 0 ? [] : await listValidTokens(db, [...hashes]))
  const users = userIds.size === 0 ? [] : await listEnabledUsers(db, [...userIds])
  const passwords = new Map(users.map(({ id, password_hash }) => [id, password_hash]))
  return new Set(
    credentials.filter((each) =>
      'tokenHash' in each
        ? tokens.has(each.tokenHash)
        : passwords.has(each.userId) && passwords.get(each.userId) === each.passwordHash,
    ),
  )
}

/** The backend for a handler: each change checks the credential again, in its own transaction. */
export function whileValid(backend: Backend, identity: Identity | undefined): Backend {
  if (identity === undefined) return backend
  const { log } = backend
  const write: typeof log.write = (change, channel) =>
    log.write(async (writing) => {
      // Both in one round trip: what the change wrote is undone when the credential is not valid.
      const [, result] = await together([checkCredential(writing.db, identity), change(writing)])
      return result
    }, channel)
  return { ...backend, log: { ...log, write } }
}

/** The salted scrypt hash of a password. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await derive(password, salt, 32)
  return `scrypt:${salt.toString('base64url')}:${key.toString('base64url')}`
}

/** A new token: 32 hexadecimal digits. */
export function makeToken(): string {
  return randomBytes(16).toString('hex')
}

function readCredential(header: string | undefined, accessToken: string | null): Credential | undefined {
  const [, scheme, value] = /^(basic|bearer) +(\S+)$/i.exec(header ?? '') ?? []
  if (scheme === undefined || value === undefined)
    return accessToken === null || accessToken === '' ? undefined : { token: accessToken }
  if (scheme.toLowerCase() === 'bearer') return { token: value }
  const text = Buffer.from(value, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  const name = colon === -1 ? text : text.slice(0, colon)
  return name.includes('@') ? { email: name, password: text.slice(colon + 1) } : { token: name }
}
