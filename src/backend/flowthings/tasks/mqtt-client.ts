import { Readable } from 'node:stream'
import { type IClientOptions, type IStore, MqttClient } from 'mqtt'
import { maxPacketBytes, openBrokerStream } from './broker-stream.ts'
import { clientIdOf, type MqttTask, type Qos } from './mqtt-task.ts'

/** A message of a broker. */
export interface BrokerMessage {
  readonly topic: string
  readonly payload: Uint8Array
  /** With QoS 2: what the message is named until the broker releases it. */
  readonly packetId: number | undefined
}

/** What receives the messages of a connection, one after the other. */
export interface BrokerListener {
  /** Stores a message. It is acknowledged once this resolves; when it rejects, the connection ends. */
  receive(message: BrokerMessage): Promise<void>
  /** Forgets a message of QoS 2: its packet id may be that of another one from now on. */
  release(packetId: number): Promise<void>
}

export interface BrokerConnection {
  /** Whether the broker still has the session of an earlier connection. */
  readonly hasSession: boolean
  /** How many messages may wait for their acknowledgement. */
  readonly maxInFlight: number
  /** Resolves with the reason when the connection has ended. */
  readonly ended: Promise<Error>
  /** @throws when the broker refuses it, or the connection ends */
  subscribe(topic: string, qos: Qos): Promise<void>
  unsubscribe(topic: string): Promise<void>
  /** Resolves when the broker has acknowledged the message; with QoS 0, when it is sent. */
  publish(topic: string, payload: string, qos: Qos): Promise<void>
  close(): Promise<void>
}

export interface BrokerOptions {
  readonly taskId: string
  readonly task: MqttTask
  /** Whether this machine and its network are allowed. */
  readonly anywhere: boolean
  readonly listener: BrokerListener
  /** Whether the broker keeps messages while there is no connection. If not, it discards what it has kept. */
  readonly keepsSession: boolean
  /** Gives up connecting. */
  readonly signal: AbortSignal
}

const connectMs = 10_000
const closeMs = 1000
const keepAliveSeconds = 30
/** How long a broker of MQTT 5 keeps a session without a connection. Those of earlier versions decide it themselves. */
const sessionSeconds = 7 * 24 * 3600
/**
 * Messages that are sent, or received, and not acknowledged. Brokers of MQTT 5 may allow fewer. mosquitto 2.0.11 loses what goes
 * beyond 20 of QoS 2 with MQTT 3.1.1, although it confirms it (`findings/mqtt-confirmed-qos2-lost.sh`).
 */
const maxInFlight = 16
const refused = 128

/**
 * Connects to the broker of a task, once: it is not connected again.
 *
 * @throws when the broker cannot be reached, or refuses the connection
 */
export async function connectBroker(options: BrokerOptions): Promise<BrokerConnection> {
  const { task, anywhere, listener, signal } = options
  const end = Promise.withResolvers<Error>()
  let reason: Error | undefined
  let inFlight = 0
  const note = (error: unknown) => {
    reason ??= error instanceof Error ? error : new Error(String(error))
  }
  const client = new MqttClient(
    () => {
      const stream = openBrokerStream(task, anywhere)
      // The client leaves out the errors of streams that have no code.
      stream.once('error', note)
      return stream
    },
    toOptions(options, fail),
  )
  // Before anything can arrive.
  client.handleMessage = ({ topic, payload, qos }, done) => {
    // One of QoS 2 was stored before it was confirmed, and is here because it was released.
    if (qos === 2) done()
    else
      void listener
        .receive({ topic, payload: toBytes(payload), packetId: undefined })
        .then(() => done(), fail)
  }
  client.on('error', note)
  client.on('disconnect', ({ reasonCode }) =>
    note(new Error(`The broker ended the connection (${reasonCode})`)),
  )
  client.on('close', () => end.resolve(reason ?? new Error('The broker ended the connection')))

  /** Ends the connection, and with it what waits for an acknowledgement. */
  function fail(error: unknown): void {
    note(error)
    client.end(true)
  }

  const orEnded = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([work, end.promise.then((error) => Promise.reject(error))])
  const connected = new Promise<Parameters<Parameters<typeof client.once<'connect'>>[1]>[0]>((resolve) => {
    client.once('connect', resolve)
  })
  const giveUp = () => fail(new Error('The task was stopped'))
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    if (signal.aborted) giveUp()
    const { sessionPresent, properties } = await orEnded(connected)
    return {
      hasSession: sessionPresent,
      maxInFlight: Math.min(maxInFlight, properties?.receiveMaximum ?? maxInFlight),
      ended: end.promise,
      async subscribe(topic, qos) {
        const granted = await orEnded(client.subscribeAsync(topic, { qos }))
        if (granted.some((each) => each.qos >= refused))
          throw new Error(`The broker refuses the subscription to "${topic}"`)
      },
      async unsubscribe(topic) {
        await orEnded(client.unsubscribeAsync(topic))
      },
      async publish(topic, payload, qos) {
        inFlight += 1
        await orEnded(client.publishAsync(topic, payload, { qos }))
        inFlight -= 1
      },
      async close() {
        // Else the client waits for what is not acknowledged.
        client.end(inFlight > 0)
        const timer = setTimeout(() => client.stream.destroy(), closeMs)
        await end.promise
        clearTimeout(timer)
      },
    }
  } catch (error) {
    client.end(true)
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

function toOptions(
  { task, taskId, listener, keepsSession }: BrokerOptions,
  fail: (error: unknown) => void,
): IClientOptions {
  const { version, username, password } = task
  return {
    protocolVersion: version,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    clientId: clientIdOf(task, taskId),
    clean: !keepsSession,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    keepalive: keepAliveSeconds,
    connectTimeout: connectMs,
    // A new client connects again.
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    incomingStore: incomingStore(listener, fail),
    ...(version === 5
      ? {
          properties: {
            receiveMaximum: maxInFlight,
            maximumPacketSize: maxPacketBytes,
            ...(keepsSession ? { sessionExpiryInterval: sessionSeconds } : {}),
          },
        }
      : {}),
  }
}

/**
 * The client puts a message of QoS 2 into its store before it confirms it, and takes it out when the broker releases it. So it is
 * stored in the database at the first, and forgotten at the second.
 */
function incomingStore(listener: BrokerListener, fail: (error: unknown) => void): IStore {
  const store: IStore = {
    put(packet, done) {
      if (packet.cmd === 'publish') {
        const message = { topic: packet.topic, payload: toBytes(packet.payload), packetId: packet.messageId }
        void listener.receive(message).then(() => done(), fail)
      } else done()
      return store
    },
    get({ messageId = 0 }, done) {
      const stored = {
        cmd: 'publish',
        topic: '',
        payload: '',
        qos: 2,
        dup: false,
        retain: false,
        messageId,
      } as const
      void listener.release(messageId).then(() => done(undefined, stored), fail)
      return store
    },
    del(_, done) {
      done()
      return store
    },
    createStream: () => Readable.from([]) as unknown as ReturnType<IStore['createStream']>,
    close: (done) => done(),
  }
  return store
}

function toBytes(payload: string | Uint8Array): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}
