import { isRecord } from '../../json-values.ts'
import type { EventRow } from '../store/events.ts'

/** The activity of a user at one backend. */
export type BusActivity = 'active' | 'idle'

/** A signal for open streams, such as that a user is typing. Signals are not stored. */
export interface BusSignal {
  /** The flows whose members receive it. */
  readonly flowIds: readonly string[]
  /** A user who receives it whatever their flows are. */
  readonly userId?: number
  /** Whether only streams that requested presence receive it. */
  readonly isPresence: boolean
  readonly payload: object
}

/** A user who is present at a backend, since a time in milliseconds since 1970. */
export interface PresentUser {
  readonly userId: number
  readonly activity: BusActivity
  readonly since: number
}

/** A drop of flowthings that came into a flow. Both are JSON, which only the server of flowthings reads. */
export interface BusDrop {
  readonly place: string
  readonly drop: string
}

const attemptLimits = ['address', 'account', 'anywhere', 'strict'] as const
const attemptStates = ['begun', 'right', 'unchecked'] as const

/** An attempt to sign in with a password: the account, the IP address, and the limits that it counts towards. */
export interface BusAttempt {
  readonly account: string
  readonly address: string
  readonly limits: readonly (typeof attemptLimits)[number][]
  readonly state: (typeof attemptStates)[number]
}

/** The messages between backends that share a database. Any message may be lost. */
export type BusMessage =
  /**
   * The events with the numbers `from` to `to`. Without `events` when they are too long for one message. `previous` is the
   * fingerprint of the event before them, if the sender knows it.
   */
  | {
      readonly kind: 'batch'
      readonly from: number
      readonly to: number
      readonly events?: readonly EventRow[]
      readonly previous?: string
    }
  /** Drops of flowthings, in the order of their commits, which have numbers of their own. Without `drops` when they are too long. */
  | {
      readonly kind: 'drops'
      readonly from: number
      readonly to: number
      readonly drops?: readonly BusDrop[]
    }
  | { readonly kind: 'signals'; readonly signals: readonly BusSignal[] }
  /** The activity of a user at the sender changed; undefined when the user has left. `flowIds` are the user's flows, if known. */
  | {
      readonly kind: 'state'
      readonly userId: number
      readonly activity: BusActivity | undefined
      readonly since: number
      readonly flowIds?: readonly string[]
    }
  /** A user set their presence at the sender. It replaces what the user has set at other backends before. */
  | { readonly kind: 'set'; readonly userId: number; readonly at: number }
  /** All users who are present at the sender. The list is split into `parts` messages with the same `round`. */
  | {
      readonly kind: 'present'
      readonly round: number
      readonly part: number
      readonly parts: number
      readonly users: readonly PresentUser[]
    }
  /** An attempt to sign in with a password at the sender: it counts towards the limits of all backends. */
  | { readonly kind: 'attempt'; readonly attempt: BusAttempt }
  /** The sender runs, and its log ends at `head`. With `asks`, the others respond with their present users. */
  | { readonly kind: 'here'; readonly head: number; readonly asks: boolean }

/** The topics of messages. NATS has a subject for each. */
export type Topic = 'batch' | 'signal' | 'here'
export const topics: readonly Topic[] = ['batch', 'signal', 'here']

const topicOf: Readonly<Record<BusMessage['kind'], Topic>> = {
  batch: 'batch',
  drops: 'batch',
  signals: 'signal',
  state: 'signal',
  set: 'signal',
  attempt: 'signal',
  present: 'here',
  here: 'here',
}

/** The sender of a message, and the log that the message is about. */
export interface Sender {
  readonly instance: string
  readonly log: string
}

/** The version of the format. Messages of other versions are ignored. */
const version = 1

/** @returns the topic and the JSON */
export function encodeMessage(
  message: BusMessage,
  { instance, log }: Sender,
): { topic: Topic; text: string } {
  const body = message.kind === 'batch' ? { ...message, events: message.events?.map(encodeEvent) } : message
  return { topic: topicOf[message.kind], text: JSON.stringify({ v: version, by: instance, log, ...body }) }
}

/** Replaces a message that is too long by shorter ones. The list is empty when the message cannot be shortened. */
export function shortenMessage(message: BusMessage): readonly BusMessage[] {
  switch (message.kind) {
    case 'batch':
      return message.events === undefined ? [] : [{ kind: 'batch', from: message.from, to: message.to }]
    case 'drops': {
      const { kind, from, to, drops } = message
      return drops === undefined ? [] : [{ kind, from, to }]
    }
    case 'signals': {
      const { kind, signals } = message
      if (signals.length < 2) return []
      const middle = Math.ceil(signals.length / 2)
      return [
        { kind, signals: signals.slice(0, middle) },
        { kind, signals: signals.slice(middle) },
      ]
    }
    case 'state': {
      const { flowIds, ...rest } = message
      return flowIds === undefined ? [] : [rest]
    }
    default:
      return []
  }
}

/** @returns undefined for an invalid message, and for messages of other versions, other logs or this instance */
export function decodeMessage(
  text: string,
  { instance, log }: Sender,
): { readonly from: string; readonly message: BusMessage } | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(json) || json['v'] !== version || json['log'] !== log) return undefined
  const { by } = json
  if (typeof by !== 'string' || by === '' || by === instance) return undefined
  const message = decodeBody(json)
  return message && { from: by, message }
}

function decodeBody(json: Record<string, unknown>): BusMessage | undefined {
  const { kind } = json
  switch (kind as BusMessage['kind']) {
    case 'batch': {
      const { from, to, events, previous } = json
      if (!isCount(from) || !isCount(to) || from < 1 || to < from) return undefined
      if (events === undefined) return { kind: 'batch', from, to }
      if (!Array.isArray(events) || events.length !== to - from + 1) return undefined
      const decoded = decodeAll(events, (event, index) => decodeEvent(event, from + index))
      if (!(previous === undefined || typeof previous === 'string')) return undefined
      return (
        decoded && {
          kind: 'batch',
          from,
          to,
          events: decoded,
          ...(previous === undefined ? {} : { previous }),
        }
      )
    }
    case 'drops': {
      const { from, to } = json
      if (!isCount(from) || !isCount(to) || from < 1 || to < from) return undefined
      if (json['drops'] === undefined) return { kind: 'drops', from, to }
      const drops = decodeAll(json['drops'], decodeDrop)
      return drops?.length === to - from + 1 ? { kind: 'drops', from, to, drops } : undefined
    }
    case 'signals': {
      const signals = decodeAll(json['signals'], decodeSignal)
      return signals && { kind: 'signals', signals }
    }
    case 'state': {
      const { userId, activity, since, flowIds } = json
      if (!isCount(userId) || !isCount(since) || !(activity === undefined || isActivity(activity)))
        return undefined
      const flows = flowIds === undefined ? undefined : decodeAll(flowIds, toText)
      return { kind: 'state', userId, activity, since, ...(flows === undefined ? {} : { flowIds: flows }) }
    }
    case 'set': {
      const { userId, at } = json
      return isCount(userId) && isCount(at) ? { kind: 'set', userId, at } : undefined
    }
    case 'present': {
      const { round, part, parts } = json
      const users = decodeAll(json['users'], decodePresentUser)
      if (users === undefined || !isCount(round) || !isCount(part) || !isCount(parts) || part >= parts)
        return undefined
      return { kind: 'present', round, part, parts, users }
    }
    case 'attempt': {
      const attempt = decodeAttempt(json['attempt'])
      return attempt && { kind: 'attempt', attempt }
    }
    case 'here': {
      const { head, asks } = json
      return isCount(head) ? { kind: 'here', head, asks: asks === true } : undefined
    }
    default:
      return undefined
  }
}

/** Events have no number in the message: it follows from their position in the batch. */
function encodeEvent({ flow_id, user_id, payload, created_at, kind }: EventRow): object {
  return { a: flow_id === null ? `u:${user_id}` : `f:${flow_id}`, t: created_at, k: kind, p: payload }
}

function decodeEvent(value: unknown, seq: number): EventRow | undefined {
  if (!isRecord(value)) return undefined
  const { a, t, k, p } = value
  if (typeof a !== 'string' || !/^(f:.|u:\d{1,15}$)/s.test(a)) return undefined
  if (!isCount(t) || !isCount(k) || typeof p !== 'string') return undefined
  const id = a.slice(2)
  const audience = a.startsWith('u:')
    ? { flow_id: null, user_id: Number(id) }
    : { flow_id: id, user_id: null }
  return { seq, ...audience, payload: p, created_at: t, kind: k }
}

function decodeDrop(value: unknown): BusDrop | undefined {
  if (!isRecord(value)) return undefined
  const { place, drop } = value
  return typeof place === 'string' && typeof drop === 'string' ? { place, drop } : undefined
}

function decodeSignal(value: unknown): BusSignal | undefined {
  if (!isRecord(value)) return undefined
  const { userId, isPresence, payload } = value
  const flowIds = decodeAll(value['flowIds'], toText)
  if (flowIds === undefined || typeof isPresence !== 'boolean' || !isRecord(payload)) return undefined
  if (userId === undefined) return { flowIds, isPresence, payload }
  return isCount(userId) ? { flowIds, userId, isPresence, payload } : undefined
}

function decodePresentUser(value: unknown): PresentUser | undefined {
  if (!isRecord(value)) return undefined
  const { userId, activity, since } = value
  return isCount(userId) && isActivity(activity) && isCount(since) ? { userId, activity, since } : undefined
}

function decodeAttempt(value: unknown): BusAttempt | undefined {
  if (!isRecord(value)) return undefined
  const { account, address } = value
  const limits = decodeAll(value['limits'], (limit) => attemptLimits.find((known) => known === limit))
  const state = attemptStates.find((known) => known === value['state'])
  if (typeof account !== 'string' || typeof address !== 'string') return undefined
  if (limits === undefined || state === undefined) return undefined
  return { account, address, limits, state }
}

/** Decodes a list; undefined when an item cannot be decoded. */
function decodeAll<T>(
  value: unknown,
  decode: (item: unknown, index: number) => T | undefined,
): T[] | undefined {
  if (!Array.isArray(value)) return undefined
  const decoded = value.map(decode).filter((item) => item !== undefined)
  return decoded.length === value.length ? decoded : undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isActivity = (value: unknown): value is BusActivity => value === 'active' || value === 'idle'
const toText = (value: unknown) => (typeof value === 'string' ? value : undefined)
