import { GatewayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'

/** What a caller authenticates with. It is passed to the upstream as it came and never stored. */
export interface Credential {
  /** The `Authorization` header to send. */
  readonly authorization: Secret
  /** The same for equal credentials: what may be shared is shared by this. */
  readonly principal: string
}

const maxLength = 4096

/**
 * Reads an `Authorization` header: Basic (a personal token, or e-mail and password) or Bearer.
 *
 * @returns null when there is none
 * @throws GatewayError `UNAUTHENTICATED` when it is something else or cannot be sent in a header
 */
export function parseAuthorization(header: unknown): Credential | null {
  if (header === undefined || header === null || header === '') return null
  if (
    typeof header !== 'string' ||
    header.length > maxLength ||
    !/^(basic|bearer) +[\x21-\x7e]+$/i.test(header)
  )
    throw new GatewayError(
      'UNAUTHENTICATED',
      'Expected Authorization to be "Basic <base64 of token:>" or "Bearer <token>"',
    )
  return new HeaderCredential(new Secret(header))
}

class HeaderCredential implements Credential {
  readonly authorization: Secret
  #principal: string | undefined

  constructor(authorization: Secret) {
    this.authorization = authorization
  }

  get principal(): string {
    this.#principal ??= this.authorization.fingerprint()
    return this.#principal
  }
}

/** The credential of a personal API token, as a client would send it. */
export function basicAuthorization(token: string): string {
  return `Basic ${Buffer.from(`${token}:`).toString('base64')}`
}
