import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { GraphQLError } from 'graphql'
import type { Departure } from '../../context.ts'
import type { Document } from '../../graphql/documents.ts'
import type { Answer, Engine } from '../engine.ts'
import { readExtensions } from '../extensions.ts'
import { acceptsGzip, type JsonType } from '../negotiation.ts'
import type { OperationParams } from '../operation.ts'
import { requestErrorStatus } from '../status.ts'

/** Shorter answers are sent as they are: the way is no longer for them. */
const compressedFromBytes = 4096
const compress = promisify(gzip)

/**
 * Fast path: executes a query or mutation and writes the response that the framework would write, without its overhead.
 * The response to a GET or HEAD has a tag, by which a client learns that its copy is still right.
 *
 * @param type the media type of the response
 */
export function serveFastPath(
  request: IncomingMessage,
  response: ServerResponse,
  {
    engine,
    document,
    params: { operationName, variables, extensions },
    type,
    departure,
  }: {
    readonly engine: Engine
    readonly document: Document
    readonly params: OperationParams
    readonly type: JsonType
    readonly departure: Departure
  },
): void {
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  answer().catch(() => response.destroy())

  async function answer(): Promise<void> {
    // As text it leaves with its headers in one write.
    const { text, isWhole, errors } = await execute()
    if (response.destroyed) return
    const status = errors === undefined ? 200 : requestErrorStatus(type, errors[0]?.extensions['code'])
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
      response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(text) })
      return void response.end(text)
    }
    const bytes = await compress(text, { level: 1 })
    response.writeHead(status, { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': bytes.length })
    response.end(bytes)
  }

  async function execute(): Promise<Answer> {
    try {
      const context = engine.createContext({
        ...{ request, departure, authorization: request.headers.authorization },
        ...readExtensions(extensions),
      })
      return await engine.answer({ document, operationName, variables: variables ?? {}, context })
    } catch (error) {
      return { text: JSON.stringify({ errors: [error] }), isWhole: false, errors: [error as GraphQLError] }
    }
  }
}

/** Whether a tag is one of those a client has. [spec] RFC 9110, 13.1.2 */
function isAmong(tag: string, known: string | undefined): boolean {
  const plain = (text: string) => text.trim().replace(/^W\//, '')
  return (known ?? '').split(',').some((each) => each.trim() === '*' || plain(each) === plain(tag))
}
