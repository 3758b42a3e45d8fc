import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
  type ServerResponse,
} from 'node:http'
import { request as requestHttps } from 'node:https'

/** Tells a gateway that another one forwarded a request, so that it is not forwarded again. */
export const hopHeader = 'x-gateway-hop'

/** How long the other gateway may take until its response begins. */
const responseMs = 10_000
/** [spec] RFC 9110, 7.6.1: headers of one connection, and an expectation that this gateway has met. */
const connectionHeaders = [
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]

/**
 * Sends a request to another gateway, and its response to the client, as they come.
 *
 * @param onUnreachable is called when the other gateway does not respond; nothing was sent to the client then
 */
export function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  gateway: string,
  onUnreachable: () => void,
): void {
  const target = new URL(request.url ?? '/', gateway)
  const send = target.protocol === 'https:' ? requestHttps : requestHttp
  const forwarded = send(new URL(gateway), {
    method: request.method,
    path: target.pathname + target.search,
    headers: { ...endToEnd(request.headers), [hopHeader]: '1' },
  })
  forwarded.setTimeout(responseMs, () => forwarded.destroy())
  forwarded.on('response', (answer) => {
    forwarded.setTimeout(0)
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers))
    // The first event of a stream may be far away.
    response.flushHeaders()
    answer.on('error', () => response.destroy())
    answer.pipe(response)
  })
  forwarded.on('error', () => {
    if (response.headersSent) response.destroy()
    else onUnreachable()
  })
  response.on('close', () => forwarded.destroy())
  request.on('error', () => forwarded.destroy())
  request.pipe(forwarded)
}

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !connectionHeaders.includes(name)))
}
