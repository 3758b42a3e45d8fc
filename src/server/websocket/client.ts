import { WebSocket } from 'ws'
import { isRecord } from '../../json-values.ts'
import type { LiveOperation, Payload } from '../../subscriptions/fan-out.ts'
import type { Envelope, Outbox } from '../../subscriptions/outbox.ts'
import type { Admission, Connection } from '../../traffic/admission.ts'
import type { Holding } from '../../traffic/body-memory.ts'
import type { RequestHead } from '../../traffic/client-address.ts'
import { TokenBucket } from '../../traffic/token-bucket.ts'
import type { OperationReader } from '../operation.ts'
import { authorizationIn } from './connection-params.ts'

export type Parameters = Readonly<Record<string, unknown>>

/** Longest message of a client: with a well-formed credential, and without. */
export const maxMessageBytes = 256 * 1024
const maxStrangerBytes = 16 * 1024
/** How many pings and pongs a client may send. Clients send one every few seconds. */
const pings = { burst: 100, perSecond: 10 }
/** How long a client may take to send `connection_init`. */
const initMs = 3000
/** How long a socket may take to close. */
const closingMs = 2000
/** [spec] RFC 6455, 5.5: a control frame has at most 125 bytes, two of which are the code. */
const maxReasonBytes = 123

const bare: Envelope = { head: Buffer.alloc(0), tail: Buffer.alloc(0) }
const closingBrace = Buffer.from('}')

/** A client of graphql-transport-ws: its socket, credential, limits and operations. */
export class SocketClient {
  readonly socket: WebSocket
  readonly request: RequestHead
  readonly outbox: Outbox
  readonly connection: Connection
  readonly operations = new Map<string, SocketOperation>()
  /** The bytes of an incomplete message that have arrived. */
  readonly incomplete: { bytes: number; counted: number; readonly holding: Holding }
  readonly #pings = new TokenBucket(pings)
  readonly #admission: Admission
  /** Whether `connection_init` was accepted. */
  isInitialized = false
  isAlive = true
  readonly #openedAt = Date.now()
  maxBytes = maxStrangerBytes
  /** The credential of `connection_init`, or of a later `ping`; the one of the handshake before that. */
  authorization: unknown
  /** Set while the end of the credential is known. */
  expiryWarning: NodeJS.Timeout | undefined
  /** The credential whose end the client has been warned of. */
  warnedOf: unknown
  #forget: () => void = () => undefined

  constructor(
    socket: WebSocket,
    request: RequestHead,
    outbox: Outbox,
    { admission, connection, holding }: { admission: Admission; connection: Connection; holding: Holding },
  ) {
    this.socket = socket
    this.request = request
    this.outbox = outbox
    this.connection = connection
    this.incomplete = { bytes: 0, counted: 0, holding }
    this.#admission = admission
    this.authorization = request.headers.authorization
    this.#setMaxBytes()
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN
  }

  /** Sends a control message with the data frames of this turn, after those sent before. */
  send(text: string): void {
    this.outbox.send(bare, { bytes: Buffer.from(text), next: undefined })
  }

  /** Closes the socket; cuts it off when the client does not respond. @param reason shortened to what fits */
  end(code: number, reason: string): void {
    if (!this.isOpen) return
    this.outbox.flushNow()
    this.outbox.close()
    this.socket.close(code, reason.replace(/[^\x20-\x7e]/g, '?').slice(0, maxReasonBytes))
    setTimeout(() => this.socket.terminate(), closingMs).unref()
  }

  /** Closes a socket whose client does not begin. @param now in milliseconds since the epoch */
  checkInit(now: number): void {
    // [graphql-ws] PROTOCOL.md, "ConnectionInit"
    if (!this.isInitialized && now - this.#openedAt > initMs)
      this.end(4408, 'Connection initialisation timeout')
  }

  endTooLong(): void {
    const condition = this.maxBytes === maxStrangerBytes ? ' without a credential' : ''
    this.end(1009, `A message may have ${this.maxBytes} bytes${condition}`)
  }

  /** Counts a ping or pong. @returns whether the client stays connected */
  countPing(): boolean {
    if (this.#pings.take()) return true
    this.end(4429, 'Too many pings')
    return false
  }

  /**
   * Reads nothing more from the client until its operation is admitted.
   *
   * @param bytes what its message takes meanwhile
   * @param turn rejects when the operation cannot be admitted
   * @throws what `turn` rejects with; GatewayError `RATE_LIMITED` or `OVERLOADED` when too much is held
   */
  async hold(bytes: number, turn: Promise<void>): Promise<void> {
    this.socket.pause()
    try {
      this.incomplete.holding.take(bytes)
    } catch (error) {
      turn.then(
        () => this.#admission.leave(),
        () => undefined,
      )
      this.socket.resume()
      throw error
    }
    try {
      await turn
    } finally {
      this.incomplete.holding.release()
      this.incomplete.counted = 0
      this.socket.resume()
    }
  }

  /** Counts the connection for the principal of the present credential only. @throws GatewayError `RATE_LIMITED` */
  identify(): void {
    const forget = this.connection.identify(this.authorization)
    this.#forget()
    this.#forget = forget
    this.#setMaxBytes()
  }

  #setMaxBytes(): void {
    const isStranger = this.#admission.principalOf(this.authorization) === undefined
    this.maxBytes = isStranger ? maxStrangerBytes : maxMessageBytes
  }
}

/** The credential that an operation brings in its extensions, in place of that of the connection. */
export function ownAuthorization({ extensions }: Parameters): string | undefined {
  const authorization = isRecord(extensions) ? authorizationIn(extensions) : undefined
  return typeof authorization === 'string' ? authorization : undefined
}

/** An operation that runs on a socket. Its results are data frames of the outbox. */
export class SocketOperation implements OperationReader {
  readonly id: string
  params: Parameters
  /** What graphql-ws iterates over. */
  readonly lifetime: Lifetime
  /** Set once it is an open subscription. */
  live: LiveOperation | undefined
  readonly #client: SocketClient
  readonly #envelope: Envelope
  readonly #abort = new AbortController()
  /** A field, because reading the state of a signal takes longer than sending. */
  #isOver = false
  /** Releases its permit, unless that was released before. */
  readonly leave: () => void
  readonly #onEnd: () => void

  /** @param onEnd called when nothing more is sent of it, once or more often */
  constructor(
    client: SocketClient,
    { id, params, lifetime }: Pick<SocketOperation, 'id' | 'params' | 'lifetime'>,
    { leave, onEnd }: { readonly leave: () => void; readonly onEnd: () => void },
  ) {
    this.id = id
    this.params = params
    this.lifetime = lifetime
    this.#client = client
    this.leave = leave
    this.#onEnd = onEnd
    const head = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`)
    this.#envelope = { head, tail: closingBrace }
    client.operations.set(id, this)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** @param text what equal documents share: the text of each would stay in memory while its operation runs */
  shareQuery(text: string | undefined): void {
    if (text === this.params['query']) this.params = { ...this.params, query: text }
  }

  begin(live: LiveOperation): void {
    this.live = live
    this.leave()
  }

  next(result: Payload): void {
    if (!this.#isOver) this.#client.outbox.send(this.#envelope, result)
  }

  nextAll(results: readonly Payload[]): void {
    if (this.#isOver) return
    const { outbox, operations } = this.#client
    // Results of other operations in this turn go into the same write.
    if (operations.size > 1) for (const result of results) outbox.send(this.#envelope, result)
    else outbox.sendNow(this.#envelope, results)
  }

  ready(): Promise<void> {
    return this.#client.outbox.ready()
  }

  complete(): void {
    if (this.#isOver) return
    this.stop()
    this.lifetime.end()
  }

  disconnect(): void {
    if (!this.#isOver) this.#client.end(1013, 'OVERLOADED: try again later')
  }

  /** Ends the operation without a `complete` message. Nothing more is sent for it. */
  stop(): void {
    this.#isOver = true
    const { operations } = this.#client
    // Another operation may have its id by now.
    if (operations.get(this.id) === this) operations.delete(this.id)
    this.#abort.abort()
    this.#onEnd()
  }
}

/**
 * The results of an operation as graphql-ws sees them: none, and an end. The outbox sends the results: one frame serves
 * all subscribers of a group.
 */
export class Lifetime implements AsyncIterableIterator<never, undefined> {
  /** Called once, when graphql-ws has taken the id; not for an operation that ends before. */
  onStart: (() => void) | undefined
  readonly #ended: Promise<IteratorReturnResult<undefined>>
  #settle: ((result: IteratorReturnResult<undefined>) => void) | undefined
  readonly #client: SocketClient
  readonly #id: string
  #admitNext: (() => void) | undefined

  /** @param admitNext lets the next message of the client in */
  constructor(client: SocketClient, id: string, admitNext: () => void) {
    this.#client = client
    this.#id = id
    this.#admitNext = admitNext
    this.#ended = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorReturnResult<undefined>> {
    this.#admitNext?.()
    this.#admitNext = undefined
    this.onStart?.()
    this.onStart = undefined
    return this.#ended
  }

  /** The client ends the operation, or leaves. */
  return(): Promise<IteratorReturnResult<undefined>> {
    const operation = this.#client.operations.get(this.#id)
    if (this.onStart !== undefined) operation?.leave()
    this.onStart = undefined
    operation?.stop()
    this.end()
    return this.#ended
  }

  end(): void {
    this.#settle?.({ done: true, value: undefined })
  }
}
