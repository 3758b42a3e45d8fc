import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../errors.ts'
import type { Engine } from './engine.ts'
import type { Holding } from './incoming-bodies.ts'
import { readMultipart } from './multipart.ts'
import type { OperationParams } from './operation.ts'

/** Longest body of a request without files: with a well-formed credential, and without. */
const maxBodyBytes = 1024 * 1024
const maxStrangerBytes = 16 * 1024

/** What bounds the body of a request. */
export interface BodyBounds {
  readonly hasCredential: boolean
  /** Counts what has arrived. @throws GatewayError `RATE_LIMITED` or `OVERLOADED` when too much is held */
  readonly receive: (bytes: number) => void
}

/** Whether a request says that files come with it. */
export function hasFiles({ headers }: IncomingMessage): boolean {
  return /^multipart\/form-data/i.test(headers['content-type'] ?? '')
}

/** An operation in an address. [spec] GraphQL over HTTP, "GET" */
export function readQuery(request: IncomingMessage, engine: Engine): { readonly query?: unknown } {
  const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const json = (name: string) => {
    const text = searchParams.get(name)
    return text === null ? undefined : parseJson(text, name)
  }
  return expectDocument(engine, {
    ...(searchParams.has('query') ? { query: searchParams.get('query') } : {}),
    ...(searchParams.has('documentId') ? { documentId: searchParams.get('documentId') } : {}),
    operationName: searchParams.get('operationName') ?? undefined,
    variables: json('variables'),
    extensions: json('extensions'),
  })
}

/** @throws GatewayError for what a client got wrong */
export function toParams(body: object): OperationParams {
  const { query, operationName, variables, extensions } = body as Record<string, unknown>
  const isObject = (value: unknown) => value == null || (typeof value === 'object' && !Array.isArray(value))
  if (typeof query !== 'string') throw new GatewayError('BAD_USER_INPUT', 'Expected "query" to be text')
  if (operationName != null && typeof operationName !== 'string')
    throw new GatewayError('BAD_USER_INPUT', 'Expected "operationName" to be text')
  if (!isObject(variables) || !isObject(extensions))
    throw new GatewayError('BAD_USER_INPUT', 'Expected "variables" and "extensions" to be JSON objects')
  return { query, operationName, variables, extensions } as OperationParams
}

/** An operation that comes with files, which are kept until it is answered. */
export async function readMultipartOperation(
  request: IncomingMessage,
  response: ServerResponse,
  engine: Engine,
  holdings: { readonly memory: Holding; readonly disk: Holding },
): Promise<object> {
  const { body, close } = await readMultipart(request, holdings)
  response.once('close', () => void close())
  if (response.destroyed) await close()
  // What is left is an operation like any other.
  request.headers['content-type'] = 'application/json'
  return expectDocument(engine, body)
}

/** Reads the body here, because the framework would answer a broken one with an excerpt of it. */
export async function readJson(
  request: IncomingMessage,
  engine: Engine,
  bounds: BodyBounds,
): Promise<object> {
  return expectDocument(engine, parseJson(await readBody(request, bounds), 'the body'))
}

/** @throws GatewayError `LIMIT_EXCEEDED` for a body that is too long; `RATE_LIMITED` or `OVERLOADED` by its bounds */
function readBody(request: IncomingMessage, { hasCredential, receive }: BodyBounds): Promise<string> {
  const maxBytes = hasCredential ? maxBodyBytes : maxStrangerBytes
  const tooLong = () =>
    new GatewayError(
      'LIMIT_EXCEEDED',
      hasCredential
        ? `The body is longer than ${maxBytes} bytes`
        : `The body is longer than ${maxBytes} bytes, which is all a request without a credential may have; send Authorization`,
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
    request.once('end', () =>
      resolve((chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))?.toString() ?? ''),
    )
    request.once('error', reject)
    request.once('close', () => {
      if (!request.complete) reject(new Error('The request was not sent to its end'))
    })
  })
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new GatewayError('BAD_USER_INPUT', `Expected ${what} to be JSON`)
  }
}

/** What was sent, with the text of its document. @throws GatewayError for a body without one, or a hash nobody knows */
function expectDocument(engine: Engine, body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new GatewayError('BAD_USER_INPUT', 'Expected the body to be a JSON object with "query"')
  const { documentId, ...rest } = body as Record<string, unknown>
  const query = engine.find(body)
  if (query !== undefined) return { ...rest, query }
  if (!('query' in body))
    throw new GatewayError('BAD_USER_INPUT', 'Expected the body to be a JSON object with "query"')
  return rest
}

/** Puts the text of a document that an address names by its hash into the address. */
export function nameDocument(request: IncomingMessage, { query }: { readonly query?: unknown }): void {
  const url = new URL(request.url ?? '/', 'http://localhost')
  if (url.searchParams.has('query')) return
  url.searchParams.delete('documentId')
  url.searchParams.set('query', String(query))
  request.url = url.pathname + url.search
}
