import { WebSocket } from 'ws'
import { UpstreamError } from '../../errors.ts'
import { isRecord } from '../../json-values.ts'
import type { Http } from '../http.ts'
import { bodyOf, hasPlainElements, type ThingsUpstream, toThingsError } from './calls.ts'
import type { ThingsCredential } from './credential.ts'
import { decodeDrop, record } from './decode.ts'
import type { Drop } from './model.ts'

export interface DropSocketOptions {
  readonly http: Http
  readonly upstream: ThingsUpstream
  readonly credential: ThingsCredential
  readonly onDrop: (drop: Drop) => void
  /** Called with the flow of a drop that could not be decoded. */
  readonly onUnreadable: (flowId: string) => void
  /** Called once, when it was closed by the other side or is silent. */
  readonly onLost: () => void
}

/** A WebSocket that delivers the drops of flows. */
export interface DropSocket {
  /** Resolves when drops of the flow are delivered. @throws GatewayError when the upstream refuses it */
  subscribe(flowId: string): Promise<void>
  unsubscribe(flowId: string): void
  close(): void
}

const doing = 'subscribe to drops'
const handshakeMs = 10_000
const replyMs = 10_000
const pingMs = 20_000
const maxFrameBytes = 4 * 1024 * 1024

/**
 * Makes a session and opens its socket. [flowthings] WebSockets: `POST /session`, then `/session/ID/ws`
 *
 * @throws GatewayError when the upstream refuses it, or cannot be reached
 */
export async function openDropSocket(options: DropSocketOptions): Promise<DropSocket> {
  const { http, upstream, credential } = options
  const hasTypes = !hasPlainElements(upstream.restUrl)
  const url = await makeSession(http, upstream, credential, hasTypes)
  const socket = new WebSocket(url, {
    handshakeTimeout: handshakeMs,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
  })
  await opened(socket)
  const pending = new Map<number, PromiseWithResolvers<void>>()
  let lastId = 0
  let isAlive = true
  let isClosed = false
  const pinging = setInterval(() => {
    if (!isAlive) return socket.terminate()
    isAlive = false
    socket.ping()
  }, pingMs)

  socket.on('pong', () => {
    isAlive = true
  })
  socket.on('message', (data) => {
    isAlive = true
    receive(String(data))
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    clearInterval(pinging)
    for (const { reject } of pending.values()) reject(lost())
    pending.clear()
    if (!isClosed) options.onLost()
    isClosed = true
  })

  function receive(text: string): void {
    const frame = parseFrame(text)
    if (frame === undefined) return
    if (frame['type'] === 'message') return receiveDrop(frame['value'], String(frame['resource'] ?? ''))
    const head = isRecord(frame['head']) ? frame['head'] : {}
    const reply = pending.get(Number(head['msgId']))
    if (reply === undefined) return
    const { status, errors } = head
    if (head['ok'] === true) reply.resolve()
    else reply.reject(toThingsError(Number(status), Array.isArray(errors) ? errors.join(' ') : '', doing))
  }

  function receiveDrop(value: unknown, flowId: string): void {
    let drop: Drop
    try {
      drop = decodeDrop(value, hasTypes)
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      return options.onUnreadable(flowId)
    }
    options.onDrop(drop)
  }

  return {
    async subscribe(flowId) {
      lastId += 1
      const msgId = lastId
      const reply = Promise.withResolvers<void>()
      pending.set(msgId, reply)
      const timer = setTimeout(
        () => reply.reject(new UpstreamError('UPSTREAM_TIMEOUT', `Cannot ${doing}: there was no reply`)),
        replyMs,
      )
      socket.send(JSON.stringify({ msgId, object: 'drop', type: 'subscribe', flowId }))
      try {
        await reply.promise
      } finally {
        clearTimeout(timer)
        pending.delete(msgId)
      }
    },
    unsubscribe(flowId) {
      if (socket.readyState === WebSocket.OPEN)
        socket.send(JSON.stringify({ object: 'drop', type: 'unsubscribe', flowId }))
    },
    close() {
      isClosed = true
      socket.close(1000)
      setTimeout(() => socket.terminate(), 1000).unref()
    },
  }
}

async function makeSession(
  http: Http,
  { sessionUrl }: ThingsUpstream,
  { account, token, principal }: ThingsCredential,
  hasTypes: boolean,
): Promise<URL> {
  const answer = await http.request({
    method: 'POST',
    url: new URL(`${sessionUrl}/session?hints=${hasTypes ? 1 : 0}`),
    headers: { accept: 'application/json', 'x-auth-account': account, 'x-auth-token': token.reveal() },
    principal,
    signal: undefined,
  })
  const { id } = record(bodyOf(answer, doing), 'a session')
  const url = new URL(`${sessionUrl}/session/${encodeURIComponent(String(id))}/ws`)
  url.protocol = url.protocol.replace('http', 'ws')
  return url
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      socket.off('error', fail)
      resolve()
    })
    const fail = (error: Error) =>
      reject(
        new UpstreamError('UPSTREAM_UNAVAILABLE', `Cannot ${doing}: the socket could not be opened`, {
          cause: error,
        }),
      )
    socket.once('error', fail)
  })
}

function parseFrame(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const frame: unknown = JSON.parse(text)
    return isRecord(frame) ? frame : undefined
  } catch {
    return undefined
  }
}

function lost(): UpstreamError {
  return new UpstreamError('UPSTREAM_UNAVAILABLE', `Cannot ${doing}: the socket was lost`)
}
