import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { GraphQLError } from 'graphql'
import { WebSocket, WebSocketServer } from 'ws'
import { GatewayError } from '../../errors.ts'
import { hasTooManyValues } from '../../json-values.ts'
import type { LiveOperation, Payload } from '../../subscriptions/fan-out.ts'
import {
  type Envelope,
  type Framing,
  joined,
  Outbox,
  Slab,
  sizeOf,
  Turn,
} from '../../subscriptions/outbox.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { Admission, Connection } from '../../traffic/admission.ts'
import type { BodyMemory, Holding } from '../../traffic/body-memory.ts'
import type { RequestHead } from '../../traffic/client-address.ts'
import { TokenBucket } from '../../traffic/token-bucket.ts'
import type { Engine } from '../engine.ts'
import type { OriginPolicy } from '../http/origin-policy.ts'
import type { RequestIds } from '../http/request-id.ts'
import { type OperationReader, runOperation } from '../operation.ts'
import { findCredential, type IsWellFormed, readConnectionParams } from './connection-params.ts'

/** Longest message a client may send: with a well-formed credential, and without. */
const maxMessageBytes = 256 * 1024
const maxStrangerBytes = 16 * 1024
/** How many pings and pongs a client may send. Clients send one every few seconds. */
const pings = { burst: 100, perSecond: 10 }
/** Longest payload of a ping that is returned with the pong. */
const maxEchoBytes = 1024
/** How many operations may run on one socket. */
const maxOperations = 100
/** How long a client may take to introduce itself. */
const initMs = 3000
/** How often a silent client is asked whether it is still there; the second time in vain it is not. */
const keepAliveMs = 12_000
/** How long a socket may take to close. */
const closingMs = 2000
/** Over how long sockets are closed on a stop, so that not all come back at once. */
const maxFarewellMs = 3000
/** [spec] RFC 6455, 5.2: of a client, which masks its frames. */
const maxFrameHeaderBytes = 14
const protocol = 'graphql-transport-ws'

export interface WebSocketTransport {
  /** How many sockets are open. */
  readonly size: number
  /** What waits for readers, in bytes; what several wait for counts for each. */
  readonly waitingBytes: number
  /** Ends every socket with 1001; clients connect again. */
  close(): Promise<void>
}

export interface WebSocketOptions {
  readonly server: Server
  readonly engine: Engine
  readonly originPolicy: OriginPolicy
  readonly admission: Admission
  readonly bodies: BodyMemory
  readonly requestIds: RequestIds
  /** An error as a client may see it. */
  readonly mask: (error: unknown) => GraphQLError
  readonly log: Logger
}

/** Timers cannot be set later than that, 24 days, which no socket stays open for. */
const longestTimerMs = 2 ** 31 - 1
/** How long before its credential ends a socket is told. */
const warningMs = 60_000

interface Client {
  readonly socket: WebSocket
  readonly request: RequestHead
  readonly writer: Outbox
  readonly operations: Map<string, Operation>
  readonly connection: Connection
  readonly pings: TokenBucket
  /** What has arrived of a message that is incomplete. */
  readonly incomplete: { bytes: number; counted: number; readonly holding: Holding }
  maxBytes: number
  /** Stops counting the connection for the credential that holds for the whole socket. */
  forget: () => void
  /** The credential of `connection_init` or of a later `ping`; undefined before `connection_init`. */
  params: { readonly authorization?: string } | undefined
  isAlive: boolean
  /** Set while its credential is known to end. */
  warning: NodeJS.Timeout | undefined
  /** The credential that it was told the end of. */
  warnedOf: unknown
}

/** What runs on a socket. */
class Operation implements OperationReader {
  readonly payload: Readonly<Record<string, unknown>>
  /** Set once it is a subscription that stands. */
  live: LiveOperation | undefined
  readonly #client: Client
  readonly #id: string
  readonly #envelope: Envelope
  readonly #abort = new AbortController()
  /** A field of its own, because asking a signal takes longer than sending. */
  #isOver = false
  #onStanding: (() => void) | undefined
  readonly #onEnd: () => void

  /**
   * @param onStanding called once, if it is a subscription
   * @param onEnd called when nothing more is sent of it; more than once
   */
  constructor(
    client: Client,
    id: string,
    payload: Operation['payload'],
    onStanding: () => void,
    onEnd: () => void,
  ) {
    this.#client = client
    this.#onEnd = onEnd
    this.#id = id
    this.payload = payload
    const head = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`)
    this.#envelope = { head, tail: closingBrace }
    this.#onStanding = onStanding
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  begin(live: LiveOperation): void {
    this.live = live
    this.#onStanding?.()
    this.#onStanding = undefined
  }

  next(result: Payload): void {
    if (!this.#isOver) this.#client.writer.send(this.#envelope, result)
  }

  nextAll(results: readonly Payload[]): void {
    if (this.#isOver) return
    const { writer, operations } = this.#client
    // What other operations are told in this turn goes along.
    if (operations.size > 1) for (const result of results) writer.send(this.#envelope, result)
    else writer.sendNow(this.#envelope, results)
  }

  ready(): Promise<void> {
    return this.#client.writer.ready()
  }

  complete(): void {
    if (this.#isOver) return
    this.stop()
    send(this.#client, { id: this.#id, type: 'complete' })
  }

  refuse(errors: readonly GraphQLError[]): void {
    if (this.#isOver) return
    this.stop()
    refuse(this.#client, this.#id, errors)
  }

  /** Nothing more is sent of it. */
  stop(): void {
    this.#isOver = true
    const { operations } = this.#client
    // Another may have its id by now.
    if (operations.get(this.#id) === this) operations.delete(this.#id)
    this.#abort.abort()
    this.#onEnd()
  }
}

function refuse(client: Client, id: string, errors: readonly GraphQLError[]): void {
  send(client, { id, type: 'error', payload: errors })
}

function send({ writer }: Client, message: object): void {
  writer.send(bare, { bytes: Buffer.from(JSON.stringify(message)), next: undefined })
}

interface ClientMessage {
  readonly type: string
  readonly id: string
  readonly payload: Readonly<Record<string, unknown>> | undefined
}

const bare: Envelope = { head: Buffer.alloc(0), tail: Buffer.alloc(0) }
const closingBrace = Buffer.from('}')

/**
 * Serves graphql-transport-ws on `/graphql` of an HTTP server, with the engine's rules. Results are written to the socket
 * as frames that are made here: the same bytes to everybody, all of a turn of the event loop in one write.
 * [graphql-ws] PROTOCOL.md
 */
export function serveWebSockets({
  server,
  engine,
  originPolicy,
  admission,
  bodies,
  requestIds,
  mask,
  log,
}: WebSocketOptions): WebSocketTransport {
  // Compression would cost memory for each socket and open the door to bombs.
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  })
  const clients = new Set<Client>()
  const turn = new Turn()
  const slab = new Slab()
  let isClosing = false
  const isWellFormed: IsWellFormed = (authorization) => admission.principalOf(authorization) !== undefined

  function accept(socket: WebSocket, request: IncomingMessage, line: Duplex, connection: Connection): void {
    // A broken frame must not end the process; the socket closes by itself.
    socket.on('error', () => undefined)
    if (socket.protocol !== protocol) {
      socket.close(4406, 'Subprotocol not acceptable')
      return
    }
    const writer = new Outbox({
      stream: line,
      framing: frames,
      turn,
      slab,
      onSlow() {
        log.info({ reason: 'SLOW_CONSUMER' }, 'A socket was closed: its reader is too far behind')
        end(client, 1013, 'SLOW_CONSUMER: too far behind; resume after the last cursor')
      },
    })
    const client: Client = {
      ...{ socket, request: headOf(request), writer, operations: new Map<string, Operation>() },
      ...{ params: undefined, isAlive: true, warning: undefined, warnedOf: undefined },
      ...{ connection, pings: new TokenBucket(pings), forget: () => undefined, maxBytes: maxStrangerBytes },
      incomplete: { bytes: 0, counted: 0, holding: bodies.hold(admission.addressOf(request)) },
    }
    client.maxBytes = maxBytesOf(client)
    clients.add(client)
    const introduction = setTimeout(() => end(client, 4408, 'Connection initialisation timeout'), initMs)
    socket.on('pong', () => {
      client.isAlive = true
      countPing(client)
    })
    socket.on('ping', () => countPing(client))
    watchIncomplete(client, line)
    socket.on('message', (data, isBinary) => {
      client.isAlive = true
      if (socket.readyState !== WebSocket.OPEN) return
      const size = (data as Buffer).length
      client.incomplete.bytes = 0
      if (size > client.maxBytes) return end(client, 1009, tooLong(client))
      const message = isBinary ? undefined : parseMessage(String(data))
      if (message === undefined) end(client, 4400, 'Invalid message received')
      else receive(client, message, () => clearTimeout(introduction))
    })
    socket.on('close', () => {
      clearTimeout(introduction)
      clients.delete(client)
      writer.close()
      client.incomplete.holding.release()
      clearTimeout(client.warning)
      for (const operation of [...client.operations.values()]) operation.stop()
    })
  }

  function maxBytesOf(client: Client): number {
    return admission.principalOf(authorizationOf(client)) === undefined ? maxStrangerBytes : maxMessageBytes
  }

  /** Bounds what an incomplete message takes: it is counted as it arrives, and forgotten once it is complete. */
  function watchIncomplete(client: Client, line: Duplex): void {
    const { incomplete } = client
    line.prependListener('data', (chunk: Buffer) => {
      incomplete.bytes += chunk.length
    })
    // By now the chunk was parsed: what is left belongs to a message that is incomplete.
    line.on('data', () => {
      if (incomplete.bytes === 0) {
        if (incomplete.counted > 0) incomplete.holding.release()
        incomplete.counted = 0
        return
      }
      if (incomplete.bytes > client.maxBytes + maxFrameHeaderBytes) return end(client, 1009, tooLong(client))
      try {
        incomplete.holding.take(incomplete.bytes - incomplete.counted)
        incomplete.counted = incomplete.bytes
      } catch (error) {
        end(client, 1013, mask(error).message)
      }
    })
  }

  /** @returns whether the client may go on */
  function countPing(client: Client): boolean {
    if (client.pings.take()) return true
    end(client, 4429, 'Too many pings')
    return false
  }

  function receive(client: Client, { type, id, payload }: ClientMessage, onInit: () => void): void {
    let credential: string | undefined
    switch (type) {
      case 'connection_init':
        if (client.params !== undefined) return end(client, 4429, 'Too many initialisation requests')
        onInit()
        try {
          const hasHeader = client.request.headers.authorization !== undefined
          credential = readConnectionParams(payload ?? {}, isWellFormed, hasHeader)
        } catch (error) {
          return end(client, 4401, mask(error).message)
        }
        client.params = credential === undefined ? {} : { authorization: credential }
        try {
          identify(client)
        } catch (error) {
          return end(client, 1013, mask(error).message)
        }
        return send(client, { type: 'connection_ack' })
      case 'ping':
        if (!countPing(client)) return
        try {
          credential = findCredential(payload ?? {}, isWellFormed)
        } catch (error) {
          return end(client, 4401, mask(error).message)
        }
        if (client.params !== undefined && credential !== undefined) renew(client, credential)
        return send(client, { type: 'pong', ...echoOf(payload) })
      case 'pong':
        return void countPing(client)
      case 'subscribe':
        return subscribe(client, id, payload)
      case 'complete':
        client.operations.get(id)?.stop()
        return
      default:
        return end(client, 4400, 'Invalid message received')
    }
  }

  /** Counts the connection for the credential that the client has now, and no longer for the one it had. */
  function identify(client: Client): void {
    const forget = client.connection.identify(authorizationOf(client))
    client.forget()
    client.forget = forget
    client.maxBytes = maxBytesOf(client)
  }

  function subscribe(client: Client, id: string, payload: ClientMessage['payload']): void {
    if (client.params === undefined) return end(client, 4401, 'Unauthorized')
    if (client.operations.has(id))
      return end(client, 4409, `Subscriber for ${quoteReason(id)} already exists`)
    const isNamed = payload?.['documentId'] != null || payload?.['extensions'] != null
    if (payload == null || (typeof payload['query'] !== 'string' && !isNamed))
      return end(client, 4400, 'Invalid message received')
    if (client.operations.size >= maxOperations)
      return refuse(client, id, [
        mask(new GatewayError('LIMIT_EXCEEDED', `At most ${maxOperations} operations may run on one socket`)),
      ])
    const authorization = authorizationOf(client, payload)
    let forget: () => void = () => undefined
    let turn: Promise<void> | undefined
    try {
      admission.count(client.request)
      admission.countOperation(authorization)
      if (hasCredential(payload)) forget = client.connection.identify(authorization)
      turn = admission.enterInTurn()
    } catch (error) {
      forget()
      if (isOverload(error)) return comeBackLater(client, error)
      return refuse(client, id, [mask(error)])
    }
    let isInside = turn === undefined
    const leave = () => {
      if (isInside) admission.leave()
      isInside = false
    }
    const admitted = turn?.then(() => {
      isInside = true
    })
    run(client, id, payload, { place: undefined, leave, onEnd: forget, admitted })
  }

  /** Stock clients treat an `error` as final, and connect again after this close code. */
  function comeBackLater(client: Client, error: GatewayError): void {
    end(client, 1013, `${error.code}: try again later`)
  }

  /** A new credential holds for what begins from now on, and for subscriptions that run: they go on where they are. */
  function renew(client: Client, credential: string): void {
    client.params = { authorization: credential }
    try {
      identify(client)
    } catch (error) {
      return end(client, 1013, mask(error).message)
    }
    for (const [id, operation] of [...client.operations]) {
      const { live, payload } = operation
      if (live === undefined || hasCredential(payload)) continue
      try {
        // Each begins again, which costs what a beginning costs.
        admission.count(client.request)
        admission.countOperation(authorizationOf(client))
      } catch (error) {
        return end(client, 1013, mask(error).message)
      }
      const place = live.place()
      operation.stop()
      run(client, id, payload, { place, leave: () => undefined, onEnd: () => undefined })
    }
  }

  /** Tells a client in time that its credential ends, by a ping that says when. */
  function warn(client: Client, endsAt: number): void {
    const authorization = authorizationOf(client)
    const inMs = Math.max(endsAt - warningMs - Date.now(), 0)
    clearTimeout(client.warning)
    // Once: whoever has nothing better is not told again and again.
    if (client.warnedOf === authorization || inMs > longestTimerMs) return
    client.warning = setTimeout(() => {
      if (authorizationOf(client) !== authorization) return
      client.warnedOf = authorization
      send(client, { type: 'ping', payload: { tokenExpiresAt: new Date(endsAt).toISOString() } })
    }, inMs).unref()
  }

  /**
   * @param options `place`: begin behind it, whatever the operation says; `leave`: called once it is an open subscription,
   * or over; `onEnd`: called when it is over; both may be called more than once; `admitted`: resolves when it may begin,
   * rejects when the gateway has too much to do
   */
  function run(
    client: Client,
    id: string,
    payload: Operation['payload'],
    {
      place,
      leave,
      onEnd,
      admitted,
    }: {
      readonly place: string | undefined
      readonly leave: () => void
      readonly onEnd: () => void
      readonly admitted?: Promise<void> | undefined
    },
  ): void {
    const operation = new Operation(client, id, payload, leave, onEnd)
    client.operations.set(id, operation)
    const { params } = client
    const onTokenEnd = (endsAt: number) => {
      // Not of a credential of its own, nor of one that is not used any more.
      if (client.params === params && !hasCredential(payload)) warn(client, endsAt)
    }
    const authorization = authorizationOf(client, payload)
    const begin = () =>
      runOperation(
        {
          ...{ engine, req: client.request, mask, lastEventId: place, onTokenEnd, signal: operation.signal },
          ...{ params: payload, authorization },
        },
        operation,
      )
    if (admitted === undefined) return void begin().finally(leave)
    const holding = bodies.hold(admission.addressOf(client.request))
    try {
      holding.take(JSON.stringify(payload).length)
    } catch (error) {
      if (error instanceof GatewayError) comeBackLater(client, error)
    }
    void admitted
      .finally(() => holding.release())
      .then(() => (operation.signal.aborted ? undefined : begin()))
      .catch((error: unknown) => {
        if (!operation.signal.aborted && isOverload(error)) comeBackLater(client, error)
      })
      .finally(leave)
  }

  /** Closes a socket; one that does not answer is cut off. */
  function end({ socket, writer }: Client, code: number, reason: string): void {
    if (socket.readyState !== WebSocket.OPEN) return
    writer.flushNow()
    writer.close()
    socket.close(code, reason)
    setTimeout(() => socket.terminate(), closingMs).unref()
  }

  const keepAlive = setInterval(() => {
    for (const client of clients) {
      if (!client.isAlive) client.socket.terminate()
      client.isAlive = false
      if (client.socket.readyState === WebSocket.OPEN) client.socket.ping()
    }
  }, keepAliveMs)
  keepAlive.unref()
  const pacing = setInterval(() => {
    const now = Date.now()
    for (const { writer } of clients) writer.check(now)
  }, 1000)
  pacing.unref()

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const problem = originPolicy.problem(request)
    const { pathname } = URL.parse(request.url ?? '', 'http://localhost') ?? {}
    if (isClosing) refuseUpgrade(socket, 503)
    else if (problem !== undefined) refuseUpgrade(socket, problem.status)
    else if (pathname !== '/graphql') refuseUpgrade(socket, 404)
    else if (!originPolicy.isAllowedOrigin(request))
      refuseUpgrade(socket, 403, { message: originPolicy.describeRefusal(request) })
    else upgrade(request, socket, head)
  })

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      admission.count(request)
      requestIds.identify(request)
      const connection = admission.openConnection(request)
      socket.once('close', () => connection.close())
      sockets.handleUpgrade(request, socket, head, (webSocket) =>
        accept(webSocket, request, socket, connection),
      )
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      refuseUpgrade(socket, 429, { retryAfter: Math.ceil((error.retryAfterMs ?? 1000) / 1000) })
    }
  }

  return {
    get size() {
      return clients.size
    },
    get waitingBytes() {
      return [...clients].reduce((sum, { writer }) => sum + writer.waitingBytes, 0)
    },
    async close() {
      isClosing = true
      clearInterval(keepAlive)
      clearInterval(pacing)
      const all = [...clients]
      // One by one, so that they do not come back all at once.
      const pauseMs = Math.min(maxFarewellMs / Math.max(all.length, 1), 2)
      await Promise.all(
        all.map(
          (client, index) =>
            new Promise<void>((resolve) => {
              client.socket.once('close', () => resolve())
              setTimeout(() => end(client, 1001, 'Going away: connect again and resume'), index * pauseMs)
            }),
        ),
      )
      sockets.close()
    },
  }
}

/** Text frames, one for each message, unmasked as servers send them. [spec] RFC 6455, 5.2 */
const frames: Framing = {
  size(envelope, body) {
    const size = sizeOf(envelope, body)
    return headerSize(size) + size
  },
  write(envelope, body, memory, at) {
    const size = sizeOf(envelope, body)
    const begin = at + headerSize(size)
    memory[at] = 0x81
    if (size < 126) memory[at + 1] = size
    else if (size < 65_536) {
      memory[at + 1] = 126
      memory.writeUInt16BE(size, at + 2)
    } else {
      memory[at + 1] = 127
      memory.writeBigUInt64BE(BigInt(size), at + 2)
    }
    return joined.write(envelope, body, memory, begin)
  },
}

function headerSize(byteSize: number): number {
  return byteSize < 126 ? 2 : byteSize < 65_536 ? 4 : 10
}

/** Undefined for what is no message of a client. */
function parseMessage(text: string): ClientMessage | undefined {
  if (hasTooManyValues(text)) return undefined
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(message) || typeof message['type'] !== 'string') return undefined
  const { type, id, payload } = message
  if (payload !== undefined && payload !== null && !isRecord(payload)) return undefined
  const needsId = type === 'subscribe' || type === 'complete'
  if (needsId && (typeof id !== 'string' || id === '' || id.length > 100)) return undefined
  return { type, id: typeof id === 'string' ? id : '', payload: payload ?? undefined }
}

/** The credential as it was sent: with the operation, else for the connection, else with the handshake. */
function authorizationOf({ request, params }: Client, payload?: Operation['payload']): unknown {
  return (payload && credentialOf(payload)) ?? params?.authorization ?? request.headers.authorization
}

function tooLong({ maxBytes }: Client): string {
  return maxBytes === maxStrangerBytes
    ? `A message may have ${maxBytes} bytes without a credential`
    : `A message may have ${maxBytes} bytes`
}

/** A pong need not have the payload of its ping. [graphql-ws] PROTOCOL.md, "Pong" */
function echoOf(payload: ClientMessage['payload']): { readonly payload?: object } {
  if (payload === undefined || Buffer.byteLength(JSON.stringify(payload)) > maxEchoBytes) return {}
  return { payload }
}

/** The rest of a request would stay for as long as the socket is open. */
function headOf({ headers, socket }: IncomingMessage): RequestHead {
  const kept = ['authorization', 'x-request-id', 'x-forwarded-for', 'traceparent'] as const
  const known = kept.filter((name) => headers[name] !== undefined)
  return { headers: Object.fromEntries(known.map((name) => [name, headers[name]])), socket }
}

/** An operation may bring a credential of its own. Clients write the name in both ways. */
function credentialOf({ extensions }: Operation['payload']): string | undefined {
  if (!isRecord(extensions)) return undefined
  const credential = extensions['authorization'] ?? extensions['Authorization']
  return typeof credential === 'string' ? credential : undefined
}

function isOverload(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.code === 'OVERLOADED'
}

function hasCredential(payload: Operation['payload']): boolean {
  return credentialOf(payload) !== undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A reason has at most 123 bytes and nothing but text in it. [spec] RFC 6455, 5.5.1 */
function quoteReason(id: string): string {
  return JSON.stringify(id.slice(0, 40).replace(/[^\x20-\x7e]/g, '?'))
}

function refuseUpgrade(
  socket: Duplex,
  status: number,
  { message = '', retryAfter }: { readonly message?: string; readonly retryAfter?: number } = {},
): void {
  const later = retryAfter === undefined ? '' : `Retry-After: ${retryAfter}\r\n`
  const type = message === '' ? '' : 'Content-Type: text/plain; charset=utf-8\r\n'
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${later}${type}Connection: close\r\nContent-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  )
}
