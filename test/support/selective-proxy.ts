import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Answers a request in place of the server behind, and returns true; or returns false, perhaps after it has changed the request. */
type AnswerRequest = (request: IncomingMessage, response: ServerResponse) => boolean

/** A server in front of another one, which ends with the test. It forwards every request, also streams. */
export async function startSelectiveProxy(target: string, answer: AnswerRequest): Promise<string> {
  const { url, close } = await openSelectiveProxy(target, answer)
  onTestFinished(close)
  return url
}

/** The same for several tests. */
export async function openSelectiveProxy(
  target: string,
  answer: AnswerRequest,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    if (answer(request, response)) return
    const outgoing = forward(
      `${target}${request.url}`,
      { method: request.method, headers: request.headers },
      (incoming) => {
        response.writeHead(incoming.statusCode ?? 502, incoming.headers)
        response.flushHeaders()
        incoming.pipe(response)
        incoming.on('error', () => response.destroy())
      },
    )
    outgoing.on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    request.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
