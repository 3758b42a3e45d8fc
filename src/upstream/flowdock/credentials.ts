import { LRUCache } from 'lru-cache'
import { GatewayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'

/** The credential of a client. It is sent to the upstream and never stored on a disk. */
export interface Credential {
  /** The `Authorization` header to send: one spelling for all ways in which a client can write the same credential. */
  readonly authorization: Secret
  /** The fingerprint of the token, or of e-mail address and password: limits, caches and streams are per principal. */
  readonly principal: string
  /** Whether it is an e-mail address and a password. */
  readonly isPassword?: boolean
}

/** Reads an `Authorization` value; null without one. @throws GatewayError `UNAUTHENTICATED` for a malformed one */
export type ReadCredential = (authorization: unknown) => Credential | null

const maxLength = 4096
/** The most parsed headers that are remembered. Hashing a header for each request would take longer than looking it up. */
const maxParsed = 1000

/** Parses each header once while it is in use. */
export function createCredentialReader(): ReadCredential {
  const parsed = new LRUCache<string, Credential>({ max: maxParsed })
  return (authorization) => {
    const known = typeof authorization === 'string' ? parsed.get(authorization) : undefined
    if (known !== undefined) return known
    const credential = parseAuthorization(authorization)
    if (credential !== null) parsed.set(authorization as string, credential)
    return credential
  }
}

/**
 * Parses an `Authorization` header: Basic (a personal token, or e-mail address and password) or Bearer. The same token is the
 * same principal with any password, any number of blanks and either scheme: otherwise each spelling would have limits of its own.
 * [flowdock] authentication.md
 *
 * @returns null when there is none
 * @throws GatewayError `UNAUTHENTICATED` for any other text, or one that a header cannot hold
 */
export function parseAuthorization(header: unknown): Credential | null {
  if (header === undefined || header === null || header === '') return null
  const [, scheme, value] =
    typeof header === 'string' && header.length <= maxLength
      ? (/^(basic|bearer) +([\x21-\x7e]+)$/i.exec(header) ?? [])
      : []
  const credential =
    scheme === undefined || value === undefined
      ? undefined
      : scheme.toLowerCase() === 'bearer'
        ? new HeaderCredential(`Bearer ${value}`, tokenKey(value))
        : parseBasic(value)
  if (credential === undefined)
    throw new GatewayError(
      'UNAUTHENTICATED',
      'Expected Authorization to be "Basic <base64 of token:>" or "Bearer <token>"',
    )
  return credential
}

/** [spec] RFC 7617. The bytes are not decoded as text: passwords may be in any encoding. */
function parseBasic(value: string): Credential | undefined {
  const text = /^[\w+/-]+={0,2}$/.test(value) ? Buffer.from(value, 'base64').toString('latin1') : ''
  const colon = text.indexOf(':')
  const name = colon === -1 ? text : text.slice(0, colon)
  if (name === '') return undefined
  if (!name.includes('@')) return new HeaderCredential(toBasic(`${name}:`), tokenKey(name))
  const password = colon === -1 ? '' : text.slice(colon + 1)
  const address = name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
  return new HeaderCredential(toBasic(`${name}:${password}`), `password ${address}:${password}`, true)
}

function tokenKey(token: string): string {
  return `token ${token}`
}

function toBasic(latin1: string): string {
  return `Basic ${Buffer.from(latin1, 'latin1').toString('base64')}`
}

class HeaderCredential implements Credential {
  readonly authorization: Secret
  readonly isPassword: boolean
  readonly #key: Secret
  #principal: string | undefined

  constructor(authorization: string, key: string, isPassword = false) {
    this.isPassword = isPassword
    this.authorization = new Secret(authorization)
    this.#key = new Secret(key)
  }

  get principal(): string {
    this.#principal ??= this.#key.fingerprint()
    return this.#principal
  }
}

/** @param doing what needs it, such as `list flows` @throws GatewayError `UNAUTHENTICATED` without a credential */
export function requireCredential(credential: Credential | null, doing: string): Credential {
  if (credential !== null) return credential
  throw new GatewayError('UNAUTHENTICATED', `Cannot ${doing}: no credential was sent; send Authorization`)
}

/** The credential of a personal API token, as a client would send it. */
export function basicAuthorization(token: string): string {
  return `Basic ${Buffer.from(`${token}:`).toString('base64')}`
}
