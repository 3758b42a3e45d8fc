import type { ExecutionArgs, GraphQLError, GraphQLSchema } from 'graphql'
import { makeServer, type WebSocket as ServerSocket } from 'graphql-ws'
import { GatewayError } from '../../errors.ts'
import { hasTooManyValues, isRecord, maxJsonValues } from '../../json-values.ts'
import { toPayload } from '../../subscriptions/fan-out.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { Admission } from '../../traffic/admission.ts'
import type { Engine, EngineOperation } from '../engine.ts'
import { parseRequestJson } from '../exact-variables.ts'
import {
  parseOperation,
  prepareOperation,
  type RejectedOperation,
  readParams,
  runOperation,
} from '../operation.ts'
import { Lifetime, ownAuthorization, type Parameters, type SocketClient, SocketOperation } from './client.ts'
import {
  findCredential,
  type IsWellFormed,
  readConnectionParams,
  thingsHeadersIn,
} from './connection-params.ts'

export interface ProtocolOptions {
  readonly schema: GraphQLSchema
  readonly engine: Engine
  readonly admission: Admission
  readonly log: Logger
}

/** How many operations may run on one socket. */
const maxOperations = 100
const maxIdLength = 100
const clientTypes: ReadonlySet<unknown> = new Set([
  'connection_init',
  'ping',
  'pong',
  'subscribe',
  'complete',
])
/** Longest payload of a ping that is returned with the pong. */
const maxEchoBytes = 1024
/** The longest delay of a timer, 24 days. */
const longestTimerMs = 2 ** 31 - 1
/** How long before the end of its credential a client is warned. */
const warningMs = 60_000

/** What graphql-ws calls for a client. */
interface Extra {
  readonly client: SocketClient
  /** The parameters of the operation whose message is being received. */
  params: Parameters
  /** Lets the next message in. */
  admitNext: () => void
}

/** A client that the protocol serves. */
interface Served {
  /** Takes a message of the client. */
  receive(text: string): void
  /** Ends the operations of a client that has left. */
  left(code: number, reason: string): void
}

interface Protocol {
  /** Serves a client. */
  open(client: SocketClient): Served
}

/**
 * The protocol graphql-transport-ws by graphql-ws: messages, ids, acknowledgement, errors and close codes. It never sees
 * results, which the outbox sends (see `Lifetime`), nor parameters, because it closes the socket for an operation without
 * a `query`: here, a hash may replace it, and malformed parameters get an error. [graphql-ws] PROTOCOL.md
 */
export function createProtocol({ schema, engine, admission, log }: ProtocolOptions): Protocol {
  const { mask } = engine
  const isWellFormed: IsWellFormed = (authorization) => admission.principalOf(authorization) !== undefined

  const protocol = makeServer<Record<string, unknown>, Extra>({
    // A timer for each socket would take more memory: see `checkInit`.
    connectionInitWaitTimeout: 0,
    onConnect({ connectionParams, extra: { client } }) {
      const hasHeader = client.request.headers.authorization !== undefined
      try {
        client.authorization =
          readConnectionParams(connectionParams ?? {}, isWellFormed, hasHeader) ?? client.authorization
        Object.assign(client.request.headers, thingsHeadersIn(connectionParams ?? {}))
      } catch (error) {
        return client.end(4401, mask(error).message)
      }
      client.isInitialized = true
      identify(client)
    },
    onPong({ extra: { client } }) {
      client.countPing()
    },
    async onSubscribe({ extra }, id) {
      const operation = await begin(extra, id)
      if ('errors' in operation) return operation.errors
      const { document, operationName } = operation.prepared
      return { schema, document: document.node, operationName, contextValue: operation.lifetime }
    },
    execute: ({ contextValue }: ExecutionArgs) => contextValue as Lifetime,
    subscribe: ({ contextValue }: ExecutionArgs) => contextValue as Lifetime,
  })

  /** Counts the connection for the credential of its client. @returns whether the client stays connected */
  function identify(client: SocketClient): boolean {
    try {
      client.identify()
      return true
    } catch (error) {
      client.end(1013, mask(error).message)
      return false
    }
  }

  async function begin(
    extra: Extra,
    id: string,
  ): Promise<
    { readonly prepared: EngineOperation; readonly lifetime: Lifetime } | { errors: readonly GraphQLError[] }
  > {
    const { client, params } = extra
    const own = ownAuthorization(params)
    let forget = () => {}
    try {
      if (client.operations.size >= maxOperations)
        throw new GatewayError('LIMIT_EXCEEDED', `At most ${maxOperations} operations may run on one socket`)
      admission.count(client.request)
      admission.countOperation(own ?? client.authorization)
      if (own !== undefined) forget = client.connection.identify(own)
      const turn = admission.enterInTurn()
      if (turn !== undefined) await client.hold(JSON.stringify(params).length, turn)
      if (!client.isOpen) {
        admission.leave()
        throw new GatewayError('CLIENT_LEFT', 'The client has left')
      }
    } catch (error) {
      forget()
      // Stock clients treat an error as final, and connect again after this close code.
      if (error instanceof GatewayError && error.code === 'OVERLOADED')
        client.end(1013, 'OVERLOADED: try again later')
      return { errors: [mask(error)] }
    }
    let isInside = true
    const leave = () => {
      if (isInside) admission.leave()
      isInside = false
    }
    const lifetime = new Lifetime(client, id, extra.admitNext)
    const operation = new SocketOperation(client, { id, params, lifetime }, { leave, onEnd: forget })
    const prepared = prepare(client, operation, undefined)
    if ('errors' in prepared) {
      leave()
      operation.stop()
      return prepared
    }
    lifetime.onStart = startOf(engine, prepared, operation)
    return { prepared, lifetime }
  }

  /** @param after the cursor to resume after, in place of the one in the parameters */
  function prepare(
    client: SocketClient,
    operation: SocketOperation,
    after: string | undefined,
  ): EngineOperation | RejectedOperation {
    const { authorization, request } = client
    const own = ownAuthorization(operation.params)
    try {
      const parsed = parseOperation(engine, readParams(engine, operation.params), request)
      if (parsed.errors !== undefined) return parsed
      operation.shareQuery(parsed.document.node.loc?.source.body)
      return prepareOperation(engine, parsed, {
        request,
        authorization: own ?? authorization,
        departure: operation,
        lastEventId: after,
        onTokenEnd(endsAt) {
          if (own === undefined && client.authorization === authorization) warn(client, endsAt)
        },
      })
    } catch (error) {
      return { errors: [mask(error)] }
    }
  }

  function receivePing(client: SocketClient, payload: Parameters | undefined): void {
    if (!client.countPing()) return
    try {
      const credential = findCredential(payload ?? {}, isWellFormed)
      if (client.isInitialized && credential !== undefined) renew(client, credential)
    } catch (error) {
      return client.end(4401, mask(error).message)
    }
    // A pong need not have the payload of its ping. [graphql-ws] PROTOCOL.md, "Pong"
    const isLong = Buffer.byteLength(JSON.stringify(payload ?? {})) > maxEchoBytes
    client.send(JSON.stringify({ type: 'pong', ...(payload == null || isLong ? {} : { payload }) }))
  }

  /** Uses another credential for new operations, and for open subscriptions, which resume where they are. */
  function renew(client: SocketClient, credential: string): void {
    client.authorization = credential
    if (!identify(client)) return
    for (const operation of [...client.operations.values()]) {
      const { live, params, id, lifetime } = operation
      if (live === undefined || ownAuthorization(params) !== undefined) continue
      try {
        // Each starts again, which costs as much as the first start.
        admission.count(client.request)
        admission.countOperation(credential)
      } catch (error) {
        return client.end(1013, mask(error).message)
      }
      const after = live.offset()
      operation.stop()
      const renewed = new SocketOperation(client, { id, params, lifetime }, { leave() {}, onEnd() {} })
      const prepared = prepare(client, renewed, after)
      if (!('errors' in prepared)) void runOperation(engine, prepared, renewed, renewed.signal)
      else {
        renewed.next(toPayload({ errors: prepared.errors }, undefined))
        renewed.complete()
      }
    }
  }

  /** Announces the end of the credential by a ping, once, a minute before it. @param endsAt in milliseconds since the epoch */
  function warn(client: SocketClient, endsAt: number): void {
    const { authorization } = client
    const inMs = Math.max(endsAt - warningMs - Date.now(), 0)
    clearTimeout(client.expiryWarning)
    if (client.warnedOf === authorization || inMs > longestTimerMs) return
    client.expiryWarning = setTimeout(() => {
      if (client.authorization !== authorization) return
      client.warnedOf = authorization
      const payload = { tokenExpiresAt: new Date(endsAt).toISOString() }
      client.send(JSON.stringify({ type: 'ping', payload }))
    }, inMs).unref()
  }

  /** What graphql-ws takes for a socket: one object, because there are many. */
  class ServedClient implements ServerSocket, Extra, Served {
    readonly client: SocketClient
    readonly protocol: string
    params: Parameters = {}
    admitNext: () => void = nothing
    readonly #closed: (code?: number, reason?: string) => Promise<void>
    #listener: ((text: string) => Promise<void>) | undefined
    /**
     * One message after the other: graphql-ws waits some microtasks before it has acknowledged a client or taken an id, and
     * clients may send the next message in the same packet.
     */
    #received = done

    constructor(client: SocketClient) {
      this.client = client
      this.protocol = client.socket.protocol
      this.#closed = protocol.opened(this, this)
    }

    send(text: string): void {
      this.client.send(text)
    }

    close(code = 1000, reason = ''): void {
      this.client.end(code, explained.get(reason) ?? reason)
    }

    onMessage(listener: (text: string) => Promise<void>): void {
      this.#listener = listener
    }

    onPing(payload: Parameters | undefined): void {
      receivePing(this.client, payload)
    }

    receive(text: string): void {
      this.#received = this.#received.then(() => this.#process(text))
    }

    left(code: number, reason: string): void {
      clearTimeout(this.client.expiryWarning)
      void this.#closed(code, reason)
    }

    #process(text: string): Promise<void> | undefined {
      const { client } = this
      if (!client.isOpen) return undefined
      let message: string
      try {
        message = withoutParams(text, this)
      } catch (error) {
        client.end(4400, `Invalid message: ${(error as Error).message}`)
        return undefined
      }
      return new Promise<void>((resolve) => {
        this.admitNext = resolve
        this.#listener?.(message).then(resolve, (error: unknown) => {
          log.error({ err: error }, 'A message was not processed')
          client.end(4500, 'Internal server error')
          resolve()
        })
      })
    }
  }

  return { open: (client) => new ServedClient(client) }
}

/** Reasons of graphql-ws, with what it expected. */
const explained: ReadonlyMap<string, string> = new Map([
  ['Subprotocol not acceptable', 'Subprotocol not acceptable: expected graphql-transport-ws'],
  ['Unauthorized', 'Unauthorized: expected connection_init before subscribe'],
])

const nothing = () => undefined
const done: Promise<void> = Promise.resolve()

/** A function of its own, so that an open subscription does not hold what only its start needs. */
function startOf(engine: Engine, prepared: EngineOperation, operation: SocketOperation): () => void {
  return () =>
    void runOperation(engine, prepared, operation, operation.signal).finally(() => operation.leave())
}

/**
 * The message for graphql-ws; the parameters of an operation are put into `extra`.
 *
 * @throws Error that says what was expected of an invalid message
 */
function withoutParams(text: string, extra: Extra): string {
  if (hasTooManyValues(text)) throw new Error(`expected at most ${maxJsonValues} values`)
  let message: unknown
  try {
    message = parseRequestJson(text, ['payload', 'variables'])
  } catch {
    throw new Error('expected JSON')
  }
  // graphql-ws throws for the messages of servers.
  if (!isRecord(message) || !clientTypes.has(message['type']))
    throw new Error(`expected type to be ${[...clientTypes].join(', ')}`)
  if (message['type'] !== 'subscribe') return text
  const { type, id, payload } = message
  if (typeof id !== 'string' || id === '' || id.length > maxIdLength)
    throw new Error(`expected id of subscribe to be a string of 1 to ${maxIdLength} characters`)
  if (!isRecord(payload)) throw new Error('expected payload of subscribe to be an object with query')
  const { query, documentId, extensions } = payload
  if (typeof query !== 'string' && documentId == null && extensions == null)
    throw new Error('expected query in payload of subscribe to be a string')
  extra.params = payload
  return JSON.stringify({ type, id, payload: { query: '' } })
}
