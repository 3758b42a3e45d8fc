import { GatewayError } from '../../errors.ts'
import { isRecord } from '../../json-values.ts'

type Payload = Readonly<Record<string, unknown>>
/** Whether a credential can be sent in an `Authorization` header. */
export type IsWellFormed = (authorization: string) => boolean

/**
 * The credential in the payload of `connection_init`, as the `Authorization` header has it. Libraries document several
 * shapes: `{ Authorization }`, `{ headers: { Authorization } }`, and a bare `{ authToken }` or `{ token }`, which is a
 * Bearer token.
 *
 * @returns undefined for a payload without one
 * @throws GatewayError `UNAUTHENTICATED` for a credential of another form
 */
export function findCredential(payload: Payload, isWellFormed: IsWellFormed): string | undefined {
  const headers = payload['headers']
  const header = authorizationIn(payload) ?? (isRecord(headers) ? authorizationIn(headers) : undefined)
  const token = payload['authToken'] ?? payload['token']
  const given = header ?? (typeof token === 'string' ? withScheme(token) : token)
  if (given === undefined || given === null || given === '') return undefined
  if (typeof given === 'string' && isWellFormed(given)) return given
  throw new GatewayError(
    'UNAUTHENTICATED',
    'Expected connectionParams.Authorization to be "Basic <base64 of token:>" or "Bearer <token>"',
  )
}

/**
 * The same for a client that begins a connection.
 *
 * @param hasHeader whether the handshake had a credential
 * @throws GatewayError `UNAUTHENTICATED` also for a credential under another key, such as `{ apiKey }`
 */
export function readConnectionParams(
  payload: Payload,
  isWellFormed: IsWellFormed,
  hasHeader: boolean,
): string | undefined {
  const credential = findCredential(payload, isWellFormed)
  if (credential !== undefined || hasHeader) return credential
  const headers = isRecord(payload['headers']) ? payload['headers'] : {}
  const other =
    Object.keys(payload).find((key) => !known.has(key) && !isOfThings(key) && likeCredential.test(key)) ??
    Object.keys(headers).find((key) => !knownHeaders.has(key) && !isOfThings(key) && likeCredential.test(key))
  if (other === undefined) return undefined
  const shown = other.slice(0, 30).replace(/[^\x20-\x7e]/g, '?')
  throw new GatewayError(
    'UNAUTHENTICATED',
    `Expected the credential in connectionParams.Authorization, not in "${shown}"`,
  )
}

const known = new Set(['Authorization', 'authorization', 'headers', 'authToken', 'token'])
const knownHeaders = new Set(['Authorization', 'authorization'])
/** Whether a key is a header of flowthings. */
const isOfThings = (key: string) => /^x-auth-(account|token)$/i.test(key)
/** A client that sends such a key does not mean to be anonymous. */
const likeCredential = /auth|token|key|jwt|bearer|secret|password|credential|session/i

/** The account and token of flowthings in the payload of `connection_init`, as headers have them. */
export function thingsHeadersIn(payload: Payload): Readonly<Record<string, string>> {
  const headers = isRecord(payload['headers']) ? payload['headers'] : {}
  const given = [...Object.entries(headers), ...Object.entries(payload)]
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return Object.fromEntries(given.filter(([name]) => isOfThings(name)))
}

/** The credential under either spelling of its key. */
export function authorizationIn(record: Payload): unknown {
  return record['Authorization'] ?? record['authorization']
}

function withScheme(token: string): string {
  return token === '' || /^(basic|bearer) /i.test(token) ? token : `Bearer ${token}`
}
