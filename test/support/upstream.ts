import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** An upstream that does what a test tells it to: asked this, answer that, cut the line. */
export interface ScriptedUpstream {
  readonly url: string
  /** Every request that came, oldest first. */
  readonly requests: { method: string; url: string; headers: IncomingMessage['headers'] }[]
}

/** It ends with the test. @param answer is called with each request and its number, from 0 */
export async function startScriptedUpstream(
  answer: (request: IncomingMessage, response: ServerResponse, number: number) => void,
): Promise<ScriptedUpstream> {
  const upstream = await openScriptedUpstream(answer)
  onTestFinished(upstream.close)
  return upstream
}

/** The same for several tests, which close it. */
export async function openScriptedUpstream(
  answer: (request: IncomingMessage, response: ServerResponse, number: number) => void,
): Promise<ScriptedUpstream & { close(): Promise<void> }> {
  const requests: ScriptedUpstream['requests'] = []
  const server = createServer((request, response) => {
    requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
    answer(request, response, requests.length - 1)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
