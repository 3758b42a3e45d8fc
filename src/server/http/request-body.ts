import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { hasTooManyValues, isRecord, maxJsonValues } from '../../json-values.ts'
import type { Holding } from '../../traffic/body-memory.ts'
import { parseRequestJson } from '../exact-variables.ts'
import { readMultipart } from './multipart.ts'

/** The parameters of a request. */
const members = new Set(['query', 'documentId', 'operationName', 'variables', 'extensions'])
/** Longest body of a request without files: with a well-formed credential, and without. */
const maxBodyBytes = 1024 * 1024
const maxStrangerBytes = 16 * 1024

/** The bounds of the body of a request. */
export interface BodyBounds {
  readonly hasCredential: boolean
  /** Counts bytes that have arrived. @throws GatewayError `RATE_LIMITED` or `OVERLOADED` when bodies take too much memory */
  readonly receive: (bytes: number) => void
}

/** Whether a request says that files come with it. */
export function hasFiles({ headers }: IncomingMessage): boolean {
  return /^multipart\/form-data/i.test(headers['content-type'] ?? '')
}

/** Whether a request says that its body is JSON in UTF-8, the one encoding that JSON has. [spec] RFC 8259, 8.1 */
export function hasJson({ headers }: IncomingMessage): boolean {
  const type = headers['content-type'] ?? ''
  if (type === 'application/json') return true
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type) ?? []
  return /^application\/(graphql\+)?json\s*(;|$)/i.test(type) && /^(utf-?8|us-ascii)$/i.test(charset)
}

/** An operation in a URL. A blank parameter is none. [spec] GraphQL over HTTP, "GET" */
export function readQuery(request: IncomingMessage): object {
  const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
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
  request: IncomingMessage,
  response: ServerResponse,
  holdings: { readonly memory: Holding; readonly disk: Holding },
): Promise<object> {
  const { body, close } = await readMultipart(request, holdings)
  response.once('close', () => void close())
  if (response.destroyed) await close()
  // The rest is an operation like any other.
  request.headers['content-type'] = 'application/json'
  return expectParams(body)
}

/** Reads a body of JSON. Yoga would respond to a malformed one with an excerpt of it. */
export async function readJson(request: IncomingMessage, bounds: BodyBounds): Promise<object> {
  return expectParams(parseJson(await readBody(request, bounds), 'the body', ['variables']))
}

/** @throws GatewayError `LIMIT_EXCEEDED` for a body that is too long; `RATE_LIMITED` or `OVERLOADED` by its bounds */
function readBody(request: IncomingMessage, { hasCredential, receive }: BodyBounds): Promise<string> {
  const maxBytes = hasCredential ? maxBodyBytes : maxStrangerBytes
  const tooLong = () =>
    new GatewayError(
      'LIMIT_EXCEEDED',
      hasCredential
        ? `The body is longer than ${maxBytes} bytes`
        : `The body is longer than ${maxBytes} bytes, the limit for requests without a credential; send Authorization`,
    )
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) return reject(tooLong())
    const chunks: Buffer[] = []
    let size = 0
    let isRefused = false
    const fail = (error: unknown) => {
      isRefused = true
      chunks.length = 0
      reject(error)
    }
    request.on('data', (chunk: Buffer) => {
      if (isRefused) return
      size += chunk.length
      if (size > maxBytes) return fail(tooLong())
      chunks.push(chunk)
      try {
        receive(chunk.length)
      } catch (error) {
        fail(error)
      }
    })
    request.once('end', () => {
      const [first] = chunks
      const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)
      if (isUtf8(bytes)) resolve(withoutMark(bytes.toString()))
      else reject(new GatewayError('BAD_USER_INPUT', 'Expected the body to be JSON in UTF-8'))
    })
    request.once('error', reject)
    request.once('close', () => {
      if (!request.complete) reject(new Error('The request was not sent to its end'))
    })
  })
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
  } catch {
    throw new GatewayError('BAD_USER_INPUT', `Expected ${what} to be JSON`)
  }
}

/**
 * The parameters of a request. Every other member is reserved. [spec] GraphQL over HTTP, "POST"
 *
 * @throws GatewayError for another value, or for a reserved member
 */
function expectParams(body: unknown): object {
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
