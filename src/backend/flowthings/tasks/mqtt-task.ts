import type { ObjectRow } from '../../store/things/objects.ts'
import type { Json } from '../present.ts'
import { badRequest, ThingsError } from '../things-error.ts'
import { isTopicFilter, isTopicName, matchesTopic } from './topics.ts'

/** Where a broker listens. */
export interface Broker {
  readonly protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss'
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  /** With the query string, for WebSockets. */
  readonly path: string
}

export type Qos = 0 | 1 | 2

/** An MQTT task as it runs. */
export interface MqttTask {
  readonly broker: Broker
  /** A filter for a task that receives, a name for one that sends. */
  readonly topic: string
  readonly qos: Qos
  /** The version of the protocol as CONNECT has it: 3 is 3.1, and 4 is 3.1.1. */
  readonly version: 3 | 4 | 5
  /** Undefined for one that follows from the id of the task. */
  readonly clientId: string | undefined
  readonly username: string | undefined
  /** Never shown or logged. */
  readonly password: string | undefined
  readonly direction:
    | { readonly kind: 'receive'; readonly destination: string; readonly format: InputFormat }
    | { readonly kind: 'send'; readonly source: string; readonly format: OutputFormat }
}

/** How payloads are read: as drops or elements in JSON, or each as one text. */
export type InputFormat = 'json' | 'text'
/** How drops are written: whole, or only their elements. */
export type OutputFormat = 'json' | 'elems'

const protocols: Readonly<Record<string, Broker['protocol']>> = {
  ...{ 'mqtt:': 'mqtt', 'tcp:': 'mqtt', 'mqtts:': 'mqtts', 'ssl:': 'mqtts', 'tls:': 'mqtts' },
  ...{ 'ws:': 'ws', 'wss:': 'wss' },
}
const ports: Readonly<Record<Broker['protocol'], number>> = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 }
const versions: Readonly<Record<string, MqttTask['version']>> = {
  ...{ '3.1': 3, '3.1.1': 4, '5': 5, '5.0': 5 },
}
/** Where nothing is said, no message is lost. */
const defaultQos = 1
/** Of a client id, user name or password. */
const maxCharacters = 1024

/**
 * Reads the members of an MQTT task. [flowthings] mqtt task overview
 *
 * @throws ThingsError 400 for members that are not valid
 */
export function parseMqttTask(members: Json): MqttTask {
  const { destination, source, qos = defaultQos, version = '3.1.1' } = members
  const broker = parseBroker(members['uri'])
  const topic = members['topic']
  if (typeof topic !== 'string' || topic === '') throw badRequest('Expected "topic" to be a text')
  if ((destination === undefined) === (source === undefined))
    throw badRequest(
      'Expected "destination", for what is received, or "source", for what is sent, and not both',
    )
  if (qos !== 0 && qos !== 1 && qos !== 2) throw badRequest('Expected "qos" to be 0, 1 or 2')
  const protocolVersion =
    typeof version === 'string' || typeof version === 'number' ? versions[version] : undefined
  if (protocolVersion === undefined) throw badRequest('Expected "version" to be 3.1, 3.1.1 or 5')
  return {
    ...{ broker, topic, qos, version: protocolVersion },
    clientId: optionalText(members, 'clientId'),
    username: optionalText(members, 'username'),
    password: optionalText(members, 'password'),
    direction: destination === undefined ? sending(members, topic) : receiving(members, topic),
  }
}

/** Reads a task that is stored. Undefined for another object, and for one that an earlier version accepted. */
export function readMqttTask(row: Pick<ObjectRow, 'kind' | 'object_json'>): MqttTask | undefined {
  if (row.kind !== 'mqtt') return undefined
  try {
    return parseMqttTask(JSON.parse(row.object_json) as Json)
  } catch (error) {
    if (error instanceof ThingsError) return undefined
    throw error
  }
}

function receiving(members: Json, topic: string): MqttTask['direction'] {
  if (!isTopicFilter(topic))
    throw badRequest('Expected "topic" to have each "+" as a whole level, and "#" as the last one')
  const format = formatOf(members, 'inputFormat', ['json', 'text'])
  return { kind: 'receive', destination: String(members['destination']), format }
}

function sending(members: Json, topic: string): MqttTask['direction'] {
  if (!isTopicName(topic))
    throw badRequest('Expected "topic" to have no "+" or "#", because drops are sent to it')
  const format = formatOf(members, 'outputFormat', ['json', 'elems'])
  return { kind: 'send', source: String(members['source']), format }
}

function parseBroker(uri: unknown): Broker {
  const url = typeof uri === 'string' ? URL.parse(uri) : null
  const protocol = url === null ? undefined : protocols[url.protocol]
  if (url === null || protocol === undefined || url.hostname === '')
    throw badRequest(
      'Expected "uri" to be the URL of a broker that begins with mqtt:, mqtts:, tcp:, ssl:, tls:, ws: or wss:',
    )
  if (url.username !== '' || url.password !== '')
    throw badRequest('Expected "uri" without user name and password: they are "username" and "password"')
  return {
    protocol,
    host: url.hostname.replace(/^\[|\]$/g, '').toLowerCase(),
    port: url.port === '' ? ports[protocol] : Number(url.port),
    path: `${url.pathname || '/'}${url.search}`,
  }
}

function optionalText(members: Json, name: string): string | undefined {
  const value = members[name]
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string' || value.length > maxCharacters)
    throw badRequest(`Expected "${name}" to be a text of at most ${maxCharacters} characters`)
  return value
}

function formatOf<T extends string>(members: Json, name: string, formats: readonly [T, ...T[]]): T {
  const value = members[name] ?? formats[0]
  const found = formats.find((format) => typeof value === 'string' && format === value.toLowerCase())
  if (found === undefined) throw badRequest(`Expected "${name}" to be ${formats.join(' or ')}`)
  return found
}

/** The client id of a task that names none: 23 letters and digits, which every broker accepts. [mqtt] 3.1.3.1 */
export function clientIdOf({ clientId }: MqttTask, taskId: string): string {
  return clientId ?? `t${taskId.slice(-22)}`
}

/** Whether what one task sends is received by the other. */
export function isReceivedBy(sender: MqttTask, receiver: MqttTask): boolean {
  return (
    sender.direction.kind === 'send' &&
    receiver.direction.kind === 'receive' &&
    sender.broker.host === receiver.broker.host &&
    sender.broker.port === receiver.broker.port &&
    matchesTopic(receiver.topic, sender.topic)
  )
}
