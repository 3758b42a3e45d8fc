import type { IncomingHttpHeaders } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'

/** The account and token of a client. They are sent to the upstream and never stored on a disk. */
export interface ThingsCredential {
  /** The name of the account, in lower case. */
  readonly account: string
  readonly token: Secret
  /** The same for the same account and token: limits and sockets are per principal. */
  readonly principal: string
}

const accountName = /^[\w.-]{1,64}$/
const tokenText = /^[\x21-\x7e]{1,200}$/

/**
 * Reads the headers `X-Auth-Account` and `X-Auth-Token`; null without both. [flowthings] HTTP API, authentication
 *
 * @throws GatewayError `UNAUTHENTICATED` for one without the other, or of another form
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
