import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { onTestFinished } from 'vitest'
import {
  decodeHeaders,
  encodeHeaders,
  type PortAnswer,
  type PortRequest,
} from '../../src/net/port-messages.ts'

export interface ScriptedRequest {
  readonly id: number
  readonly method: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** The other side of a message port, which does what a test tells it to. */
export interface ScriptedPort {
  /** The side of the gateway. */
  readonly port: MessagePort
  /** Every request that came, oldest first. */
  readonly requests: ScriptedRequest[]
  /** The requests that were aborted, by their numbers. */
  readonly aborted: number[]
  answer(request: ScriptedRequest, body: unknown, status?: number, headers?: Record<string, string>): void
  /** Says that a request is to be made over HTTP. */
  decline(request: ScriptedRequest): void
  /** What the end of a thread does. */
  close(): void
}

/** It ends with the test. @param onRequest is called with each request */
export function openScriptedPort(
  onRequest: (request: ScriptedRequest, port: ScriptedPort) => void = () => undefined,
): ScriptedPort {
  const { port1, port2 } = new MessageChannel()
  const send = (answer: PortAnswer) => port2.postMessage(answer)
  const scripted: ScriptedPort = {
    port: port1,
    requests: [],
    aborted: [],
    answer({ id }, body, status = 200, headers = { 'content-type': 'application/json' }) {
      send([id, status, encodeHeaders(headers), JSON.stringify(body)])
    },
    decline: ({ id }) => send([id]),
    close: () => port2.close(),
  }
  port2.on('message', (message: PortRequest | number) => {
    if (typeof message === 'number') return void scripted.aborted.push(message)
    const [id, method, target, headers, body] = message
    const request = { id, method, target, headers: decodeHeaders(headers), body }
    scripted.requests.push(request)
    onRequest(request, scripted)
  })
  onTestFinished(() => port2.close())
  return scripted
}
