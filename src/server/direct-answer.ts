import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { GraphQLError, getOperationAST } from 'graphql'
import type { Departure } from '../context.ts'
import type { Document } from './documents.ts'
import type { Engine } from './engine.ts'
import type { OperationParams } from './operation.ts'
import { wishesOf } from './wishes.ts'

/** What usual clients accept, and which type they are answered with. Others are negotiated with by the framework. */
const contentTypes = new Map([
  [undefined, 'application/json; charset=utf-8'],
  ['*/*', 'application/json; charset=utf-8'],
  ['application/json', 'application/json; charset=utf-8'],
  ['application/json, text/plain, */*', 'application/json; charset=utf-8'],
  ['application/graphql-response+json', 'application/graphql-response+json; charset=utf-8'],
  ['application/graphql-response+json, application/json', 'application/graphql-response+json; charset=utf-8'],
  [
    'application/graphql-response+json,application/json;q=0.9',
    'application/graphql-response+json; charset=utf-8',
  ],
])
const members = new Set(['query', 'operationName', 'variables', 'extensions'])
/** Shorter answers are sent as they are: the way is no longer for them. */
const compressedFromBytes = 4096
const compress = promisify(gzip)

/**
 * Executes what a usual client posts or gets and writes the answer, as the framework would, without its work. An answer
 * that was got has a tag, by which the client hears that it is still the same.
 *
 * @param body JSON that was posted, or the same from an address
 * @returns false for all that is not executed or needs a word with the client; nothing was written then
 */
export function answerDirectly(
  request: IncomingMessage,
  response: ServerResponse,
  { engine, body, departure }: { engine: Engine; body: object; departure: Departure },
): boolean {
  const contentType = contentTypes.get(request.headers.accept)
  if (contentType === undefined) return false
  const params = readParams(body)
  if (params === undefined) return false
  const { query, operationName, variables, extensions } = params
  const document = parse(engine, query, request)
  if (document instanceof GraphQLError) return refuse([document])
  const operation = getOperationAST(document.node, operationName)
  const isRead = request.method === 'GET'
  if (operation == null || operation.operation === 'subscription') return false
  if (isRead && operation.operation !== 'query') return false
  if (document.problems.length > 0) return refuse(document.problems)

  answer(document, contentType).catch(() => response.destroy())
  return true

  /** [spec] GraphQL over HTTP, "Processing the response": 200 where answers are plain JSON */
  function refuse(errors: readonly GraphQLError[]): boolean {
    const text = JSON.stringify({ errors })
    response.writeHead(contentType?.startsWith('application/json') ? 200 : 400, {
      'Content-Type': contentType,
      'Content-Length': Buffer.byteLength(text),
    })
    response.end(text)
    return true
  }

  async function answer(checked: Document, type: string): Promise<void> {
    // As text it leaves with its headers in one write.
    const { text, isWhole } = await execute(checked)
    if (response.destroyed) return
    const headers: Record<string, string | number> = {
      'Content-Type': type,
      'Cache-Control': isRead ? 'private, no-cache' : 'no-store',
    }
    if (isRead && isWhole) {
      const tag = `W/"${hash('sha1', text, 'base64url')}"`
      headers['ETag'] = tag
      response.appendHeader('Vary', 'Authorization, Accept, Accept-Encoding')
      if (isAmong(tag, request.headers['if-none-match'])) return void response.writeHead(304, headers).end()
    }
    if (text.length < compressedFromBytes || !acceptsGzip(request)) {
      response.writeHead(200, { ...headers, 'Content-Length': Buffer.byteLength(text) })
      return void response.end(text)
    }
    const bytes = await compress(text, { level: 1 })
    response.writeHead(200, { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': bytes.length })
    response.end(bytes)
  }

  async function execute(document: Document): Promise<{ readonly text: string; readonly isWhole: boolean }> {
    try {
      const context = engine.createContext({
        ...{ request, departure, authorization: request.headers.authorization },
        ...wishesOf(extensions),
      })
      return await engine.answer({ document, operationName, variables: variables ?? {}, context })
    } catch (error) {
      return { text: JSON.stringify({ errors: [error] }), isWhole: false }
    }
  }
}

function acceptsGzip({ headers }: IncomingMessage): boolean {
  return /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(String(headers['accept-encoding'] ?? ''))
}

/** Whether a tag is one of those a client has. [spec] RFC 9110, 13.1.2 */
function isAmong(tag: string, known: string | undefined): boolean {
  const plain = (text: string) => text.trim().replace(/^W\//, '')
  return (known ?? '').split(',').some((each) => each.trim() === '*' || plain(each) === plain(tag))
}

/** An error is what keeps the text from being a document that may be executed. */
function parse(engine: Engine, text: string, request: IncomingMessage): Document | GraphQLError {
  try {
    return engine.parse(text, request)
  } catch (error) {
    return error as GraphQLError
  }
}

/** Undefined for a body that is not as it should be. */
function readParams(body: object): (OperationParams & { readonly query: string }) | undefined {
  for (const member in body) if (!members.has(member)) return undefined
  const { query, operationName, variables, extensions } = body as Record<string, unknown>
  if (typeof query !== 'string' || operationName === '') return undefined
  if (operationName != null && typeof operationName !== 'string') return undefined
  return isObject(variables) && isObject(extensions)
    ? { query, operationName, variables, extensions }
    : undefined
}

function isObject(value: unknown): value is Record<string, unknown> | null | undefined {
  return value == null || (typeof value === 'object' && !Array.isArray(value))
}
