import type { Http1Request } from '../../net/http1/connection.ts'
import { Http1Error } from '../../net/http1/errors.ts'
import type { RequestHead } from '../../net/http1/head.ts'
import { EncodedHeaders, type Http1Response } from '../../net/http1/response.ts'
import type { Connections } from '../http/connections.ts'
import { HttpError } from '../http/errors.ts'
import type { Reception, RequestBody } from '../http/request-body.ts'
import type { RestHandler, WholeResponse } from './handler.ts'

/** The longest body that is not left to node:http: those of clients without a valid credential are no longer than this either. */
const maxBodyBytes = 16 * 1024
/** How long the body of a client with a valid credential may take. */
const bodyMs = 600_000
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * Whether a request has a short body and a complete response. The others need node:http: streams, files, multipart and long bodies,
 * and clients that wait for `100 Continue`.
 */
export function isOrdinary({ method, target, httpVersion, headers, ...head }: RequestHead): boolean {
  const { isAbsolute, framing, expectsContinue, upgrade } = head
  if (isAbsolute) return false
  if (httpVersion !== '1.1' || !methods.has(method) || expectsContinue || upgrade !== undefined) return false
  if (framing.kind === 'chunked' || framing.bytes > maxBodyBytes) return false
  if (headers['content-encoding'] !== undefined || headers['host']?.startsWith('stream.') === true)
    return false
  if (headers['content-type']?.startsWith('multipart/') === true) return false
  const path = target.split('?', 1)[0] as string
  // The names of what is written over time. An encoded path may hide them.
  return !/%|stream|files|storage/.test(path)
}

/** Serves the ordinary requests of the REST API. */
export function serveHttp1Requests(
  { answer, refuse, onRequest }: RestHandler,
  connections: Connections,
): (request: Http1Request) => Promise<Http1Response> {
  return async (request) => {
    const { method, target, headers, socket } = request
    const answered = await answer({
      ...{ method, target, headers, socket, body: bodyOf(request) },
      trust: () => connections.trust(socket),
    })
    if ('write' in answered) throw new Error(`The response to ${method} ${target} needs node:http`)
    const response = encode(answered, refuse)
    onRequest({ method, target }, response.status)
    return response
  }
}

function bodyOf(request: Http1Request): RequestBody | undefined {
  const { framing } = request
  if (framing.kind === 'length' && framing.bytes === 0) return undefined
  return {
    readText: (reception) => readText(request, reception),
    readParts: () => Promise.reject(new Error('Multipart bodies need node:http')),
  }
}

async function readText(request: Http1Request, reception: Reception): Promise<string> {
  const { idleMs, take: onBytes } = reception
  const limits = { maxBytes: reception.maxBytes(), idleMs, wholeMs: reception.wholeMs() ?? bodyMs, onBytes }
  try {
    return (await request.readBody(limits)).toString('utf8')
  } catch (error) {
    throw error instanceof Http1Error ? new HttpError(error.status, { message: error.message }) : error
  }
}

function encode(answered: WholeResponse, refuse: RestHandler['refuse']): Http1Response {
  try {
    return encodeWhole(answered)
  } catch (error) {
    // A header has a character that no header may have.
    return encodeWhole(refuse(error, {}))
  }
}

function encodeWhole({ status, headers, body = '' }: WholeResponse): Http1Response {
  return {
    status,
    headers: new EncodedHeaders(headers),
    body: typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  }
}
