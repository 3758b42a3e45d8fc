import type { Socket } from 'node:net'
import type { GatewayError } from '../../errors.ts'
import type { HeadResponse } from '../../net/http1/connection.ts'
import type { RequestHead } from '../../net/http1/head.ts'
import type { EncodedHeaders, Http1Response } from '../../net/http1/response.ts'
import type { Admission } from '../../traffic/admission.ts'
import type { TcpConnections } from '../../traffic/tcp-connections.ts'
import { createNegotiation, type JsonType } from '../negotiation.ts'
import { statusOf } from '../status.ts'
import type { OriginPolicy } from './origin-policy.ts'
import { hasJson } from './request-body.ts'
import type { RequestIds } from './request-id.ts'
import { errorBody, jsonHeaders, nosniff, retryAfter } from './responses.ts'

export interface RefusalByHeadOptions {
  readonly admission: Admission
  readonly originPolicy: OriginPolicy
  readonly requestIds: RequestIds
  readonly use: TcpConnections['use']
  readonly onResponse: (status: number) => void
}

/** Longer bodies are handled, because some are refused for their length. */
const maxSkippedBytes = 16 * 1024

/**
 * Refuses ordinary operations by their heads while there is no room for them. At twice the load that a process can serve, it
 * refuses two requests for each that it serves, so what a refusal costs decides how many are served. The client gets the bytes that
 * it would get if its request was handled: a request that might be rejected for another reason is handled.
 *
 * @returns responds to a request of `net/http1`; undefined for a request that is to be handled
 */
export function createRefusalByHead({
  admission,
  originPolicy,
  requestIds,
  use,
  onResponse,
}: RefusalByHeadOptions): (head: RequestHead, socket: Socket) => HeadResponse | undefined {
  const negotiate = createNegotiation()
  let last: EncodedRefusal | undefined

  return (head, socket) => {
    if (!admission.isFull() || !isPlainOperation(head)) return undefined
    const { headers, target: url } = head
    const request = { headers, url, socket }
    if (originPolicy.problem(request) !== undefined || !originPolicy.isAllowedOrigin(request))
      return undefined
    const { json } = negotiate(request)
    if (json === undefined || !isUsable(use, request)) return undefined
    const error = admission.refuseByHead(request)
    if (error === undefined) return undefined
    if (last?.error !== error) last = new EncodedRefusal(error)
    const cors = originPolicy.corsHeaders(request)?.text ?? ''
    const added = `X-Request-Id: ${requestIds.identify(request)}\r\n${nosniff.text}${cors}${last.retryAfter}`
    onResponse(last.status)
    return { response: last.responses[json], added }
  }
}

/** Whether a request has nothing that an endpoint would reject before it acquires a permit. */
function isPlainOperation(head: RequestHead): boolean {
  const { method, framing, headers } = head
  if (framing.kind !== 'length' || framing.bytes > maxSkippedBytes) return false
  if (headers['content-encoding'] !== undefined) return false
  return method === 'GET' || (method === 'POST' && hasJson(head))
}

/** Marks the connection as used. */
function isUsable(use: TcpConnections['use'], request: Parameters<TcpConnections['use']>[0]): boolean {
  try {
    use(request)()
    return true
  } catch {
    // The client has too many connections in use.
    return false
  }
}

/** The parts of a refusal that all clients get. */
class EncodedRefusal {
  readonly error: GatewayError
  readonly status: number
  readonly retryAfter: string
  readonly responses: Readonly<Record<JsonType, Http1Response>>

  constructor(error: GatewayError) {
    this.error = error
    this.status = statusOf(error.code)
    this.retryAfter = error.retryAfterMs === undefined ? '' : retryAfter(error.retryAfterMs).text
    const body = errorBody(error.code, error.message)
    const respond = (headers: EncodedHeaders): Http1Response => ({ status: this.status, headers, body })
    this.responses = Object.fromEntries(
      Object.entries(jsonHeaders).map(([type, headers]) => [type, respond(headers)]),
    ) as Record<JsonType, Http1Response>
  }
}
