import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { describeInvalidJson, hasTooManyValues, isRecord, maxJsonValues } from '../../json-values.ts'
import { Http1Error } from '../../net/http1/errors.ts'
import { parseRequestJson } from '../exact-variables.ts'
import type { Exchange } from './exchange.ts'
import type { NodeRequest } from './http-request.ts'
import { type MultipartHoldings, readMultipart } from './multipart.ts'

/** The parameters of a request. */
const members = new Set(['query', 'documentId', 'operationName', 'variables', 'extensions'])
/** Longest body of a request without files: with a well-formed credential, and without. */
const maxBodyBytes = 1024 * 1024
const maxStrangerBytes = 16 * 1024
/** How long a body may pause. Its whole time is bounded by `BodyArrivals`. */
const bodyTimes = { idleMs: 30_000, wholeMs: 600_000 }

/** The bounds of the body of a request. */
export interface BodyBounds {
  readonly hasCredential: boolean
  /** Counts bytes that have arrived. @throws GatewayError `RATE_LIMITED` or `OVERLOADED` when bodies take too much memory */
  readonly receive: (bytes: number) => void
}

interface Headed {
  readonly headers: IncomingHttpHeaders
}

/** Whether a request says that files come with it. */
export function hasFiles({ headers }: Headed): boolean {
  return /^multipart\/form-data/i.test(headers['content-type'] ?? '')
}

/** Whether a request says that its body is JSON in UTF-8, the one encoding that JSON has. [spec] RFC 8259, 8.1 */
export function hasJson({ headers }: Headed): boolean {
  const type = headers['content-type'] ?? ''
  if (type === 'application/json') return true
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type) ?? []
  return /^application\/(graphql\+)?json\s*(;|$)/i.test(type) && /^(utf-?8|us-ascii)$/i.test(charset)
}

/** An operation in a URL. A blank parameter is none. [spec] GraphQL over HTTP, "GET" */
export function readQuery({ url }: Exchange): object {
  const { searchParams } = new URL(url, 'http://localhost')
  const json = (name: string) => {
    const text = searchParams.get(name)
    return text === null || text === ''
      ? undefined
      : parseJson(text, name, name === 'variables' ? [] : undefined)
  }
  return expectParams({
    ...(searchParams.has('query') ? { query: searchParams.get('query') } : {}),
    documentId: searchParams.get('documentId') ?? undefined,
    operationName: searchParams.get('operationName') ?? undefined,
    variables: json('variables'),
    extensions: json('extensions'),
  })
}

/** Reads an operation with files, which are stored until the response is complete. */
export async function readMultipartOperation(
  { request, response }: NodeRequest,
  holdings: MultipartHoldings,
): Promise<object> {
  const { body, close } = await readMultipart(request, holdings)
  response.once('close', () => void close())
  if (response.destroyed) await close()
  // The rest is an operation like any other.
  request.headers['content-type'] = 'application/json'
  return expectParams(body)
}

/**
 * Reads a body of JSON. Yoga would respond to a malformed one with an excerpt of it.
 *
 * @throws GatewayError `LIMIT_EXCEEDED` for a body that is too long; `RATE_LIMITED` or `OVERLOADED` by its bounds
 */
export function readJson(exchange: Exchange, bounds: BodyBounds): object | Promise<object> {
  try {
    const body = exchange.readBody({ ...bodyTimes, maxBytes: maxBytesOf(bounds), onBytes: bounds.receive })
    if (!(body instanceof Promise)) return parseBody(body)
    return body.then(parseBody, (error: unknown) => {
      throw toFailure(error, bounds)
    })
  } catch (error) {
    throw toFailure(error, bounds)
  }
}

function maxBytesOf({ hasCredential }: BodyBounds): number {
  return hasCredential ? maxBodyBytes : maxStrangerBytes
}

/** @returns any other error as it is, which closes the connection */
function toFailure(error: unknown, bounds: BodyBounds): unknown {
  if (!(error instanceof Http1Error)) return error
  if (error.status === 400) return new GatewayError('BAD_USER_INPUT', error.message)
  if (error.status !== 413) return error
  const maxBytes = maxBytesOf(bounds)
  return new GatewayError(
    'LIMIT_EXCEEDED',
    bounds.hasCredential
      ? `The body is longer than ${maxBytes} bytes`
      : `The body is longer than ${maxBytes} bytes, the limit for requests without a credential; send Authorization`,
  )
}

function parseBody(bytes: Buffer): object {
  const text = bytes.toString()
  // Text has this character in place of bytes that are not UTF-8.
  if (text.includes('\ufffd') && !isUtf8(bytes))
    throw new GatewayError('BAD_USER_INPUT', 'Expected the body to be JSON in UTF-8')
  return expectParams(parseJson(withoutMark(text), 'the body', ['variables']))
}

/** Without the byte order mark that some programs begin a text with. [spec] RFC 8259, 8.1: parsers may ignore it */
function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

/**
 * @param variables the path of the variables, if there may be any
 * @throws GatewayError `BAD_USER_INPUT` for text that is not JSON, `LIMIT_EXCEEDED` for too many values
 */
function parseJson(text: string, what: string, variables: readonly string[] | undefined): unknown {
  if (hasTooManyValues(text))
    throw new GatewayError('LIMIT_EXCEEDED', `Expected ${what} to have at most ${maxJsonValues} values`)
  try {
    return variables === undefined ? JSON.parse(text) : parseRequestJson(text, variables)
  } catch (error) {
    const problem = describeInvalidJson(text, error)
    throw new GatewayError('BAD_USER_INPUT', `Expected ${what} to be JSON: ${problem}`)
  }
}

/**
 * The parameters of a request. Every other member is reserved. [spec] GraphQL over HTTP, "POST"
 *
 * @throws GatewayError for another value, or for a reserved member
 */
function expectParams(body: unknown): object {
  if (Array.isArray(body))
    throw new GatewayError(
      'BAD_USER_INPUT',
      'Batches are not supported: send each operation in a request of its own',
    )
  if (!isRecord(body))
    throw new GatewayError('BAD_USER_INPUT', 'Expected the body to be a JSON object with query')
  for (const member in body)
    if (!members.has(member))
      throw new GatewayError(
        'BAD_USER_INPUT',
        `Expected the body to have query, operationName, variables and extensions alone, not ${JSON.stringify(member.slice(0, 40))}`,
      )
  return body
}
