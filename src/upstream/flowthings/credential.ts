import type { IncomingHttpHeaders } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'

/** The account and token of a client. They are sent to the upstream, and never stored on disk. */
export interface ThingsCredential {
  /** The name of the account, in lower case. */
  readonly account: string
  readonly token: Secret
  /** Identifies the account and token. Limits and sockets are per principal. */
  readonly principal: string
}

const accountName = /^[\w.-]{1,64}$/
const tokenText = /^[\x21-\x7e]{1,200}$/

/**
 * Reads the headers `X-Auth-Account` and `X-Auth-Token`; null if both are missing. [flowthings] HTTP API, authentication
 *
 * @throws GatewayError `UNAUTHENTICATED` if only one is present, or one is malformed
 */
export function readThingsCredential(headers: IncomingHttpHeaders): ThingsCredential | null {
  const { 'x-auth-account': account = '', 'x-auth-token': token = '' } = headers
  if (account === '' && token === '') return null
  if (typeof account !== 'string' || !accountName.test(account) || /^\.+$/.test(account))
    throw malformed('X-Auth-Account to be the name of an account')
  if (typeof token !== 'string' || !tokenText.test(token)) throw malformed('X-Auth-Token to be a token')
  const name = account.toLowerCase()
  return {
    account: name,
    token: new Secret(token),
    principal: new Secret(`flowthings ${name} ${token}`).fingerprint(),
  }
}

function malformed(expected: string): GatewayError {
  return new GatewayError('UNAUTHENTICATED', `Expected the header ${expected} of flowthings`)
}
