import { isRecord } from '../../json-values.ts'
import type { WireAudience, WireControlEvent, WireServiceFrames } from '../../wire/service.ts'
import { decodeEvent } from './decode.ts'
import { makeGap, removalOf } from './live-events.ts'
import type { FlowEvent } from './model.ts'

/** A change of rights by an event. */
export type ServiceChange =
  | { readonly kind: 'joined' | 'left'; readonly user: number; readonly flow: string }
  | { readonly kind: 'grantEnded'; readonly grant: string }
  | { readonly kind: 'userChanged'; readonly user: number }

/** Who receives an event. `p:` and the id of a flow: its members, of what is said of a user. */
export type ServiceAudience = WireAudience | `p:${string}`

/** An event of the service stream as it is delivered. */
export interface ServiceEvent {
  readonly event: FlowEvent
  /** Its size in the memory of the log. */
  readonly bytes: number
  /** The receivers; none for a control event. `all` for an event that cannot be read, because its receivers are unknown. */
  readonly audiences: readonly ServiceAudience[] | 'all'
  readonly change: ServiceChange | undefined
  /** What a control event is about, though nobody receives it. */
  readonly about: WireAudience | undefined
  /** The organization that a control event says changed, or its number of users. */
  readonly organization?: number | undefined
}

const nothing = { change: undefined, about: undefined } as const

/** A frame of the service stream. */
export type ServiceFrame =
  | ({ readonly kind: 'event'; readonly number: number; readonly storedAt?: number } & ServiceEvent)
  | ({ readonly kind: 'signal' } & Omit<ServiceEvent, 'change' | 'about'>)
  | { readonly kind: 'head'; readonly number: number }

/**
 * Decodes a frame. An event that cannot be read still has its number, and becomes a gap for its audience.
 *
 * @returns undefined for a frame that this version does not know, or a signal that cannot be read
 * @throws RangeError for a frame without a valid number: the connection cannot be used then
 */
export function decodeFrame(name: string, id: string | undefined, data: string): ServiceFrame | undefined {
  switch (name as keyof WireServiceFrames) {
    case 'e':
      return decodeServiceEvent(toNumber(id), data)
    case 'c':
      return decodeControl(toNumber(id), data)
    case 's':
      return decodeSignal(data)
    case 'h':
      return { kind: 'head', number: toNumber(parse(data)?.['head']) }
    default:
      // Events of a later version have numbers, too.
      return id === undefined ? undefined : { kind: 'event', number: toNumber(id), ...unseen(data, id) }
  }
}

function decodeServiceEvent(number: number, data: string): ServiceFrame {
  const cursor = String(number)
  const frame = parse(data)
  const audience = toAudience(frame?.['a'])
  const payload = frame?.['p']
  if (frame === undefined || audience === undefined) {
    const event = makeGap(String(number - 1), 'unreadable', cursor)
    return { kind: 'event', number, event, bytes: data.length, audiences: 'all', ...nothing }
  }
  const storedAt = frame['t']
  const place = { kind: 'event', number, ...(typeof storedAt === 'number' ? { storedAt } : {}) } as const
  if (payload === null) return { ...place, ...unseen(data, cursor) }
  const user = userOf(audience)
  let event: FlowEvent
  try {
    event = decodeEvent(payload, cursor, user ?? null)
  } catch {
    event = makeGap(String(number - 1), 'unreadable', cursor)
  }
  const change = changeOf(event, user)
  return { ...place, event, bytes: data.length, audiences: [audience], change, about: undefined }
}

/** [flowdock] streaming.md: `flow-add` and `flow-remove` are sent to the user, `backend.user.block` to the flow. */
function changeOf(event: FlowEvent, user: number | undefined): ServiceChange | undefined {
  if (event.type === 'membership' && user !== undefined)
    return { kind: event.isAdded ? 'joined' : 'left', user, flow: event.flowId }
  const removal = removalOf(event)
  return removal === undefined ? undefined : { kind: 'left', user: removal.member, flow: removal.channel }
}

function decodeControl(number: number, data: string): ServiceFrame {
  const frame = parse(data)
  const kind = frame?.['k'] as WireControlEvent['k'] | undefined
  const about = toAudience(frame?.['a'])
  const user = userOf(about)
  const grant = frame?.['g']
  const organization = frame?.['o']
  const change: ServiceChange | undefined =
    kind === 'token' && typeof grant === 'string'
      ? { kind: 'grantEnded', grant }
      : // Also for a kind of a later version: it is about the user's rights.
        user === undefined || kind === 'profile'
        ? undefined
        : { kind: 'userChanged', user }
  const event = { ...unseen(data, String(number)), change, about }
  return {
    ...{ kind: 'event', number, ...event },
    ...(typeof organization === 'number' ? { organization } : {}),
  }
}

function decodeSignal(data: string): ServiceFrame | undefined {
  const frame = parse(data)
  if (frame === undefined || !Array.isArray(frame['f'])) return undefined
  const flows = frame['f'].filter((id): id is string => typeof id === 'string')
  const user = frame['u']
  const kind = frame['presence'] === true ? 'p' : 'f'
  const audiences: ServiceAudience[] = flows.map((id): ServiceAudience => `${kind}:${id}`)
  if (typeof user === 'number') audiences.push(`u:${user}`)
  try {
    const event = decodeEvent(frame['p'], '', typeof user === 'number' ? user : null)
    return { kind: 'signal', event, bytes: data.length, audiences }
  } catch {
    return undefined
  }
}

/** An event without receivers. Only its number matters. */
function unseen(data: string, cursor: string): ServiceEvent {
  const event: FlowEvent = { type: 'other', cursor, flowId: null, event: '', sentAt: null, raw: {} }
  return { event, bytes: data.length, audiences: [], ...nothing }
}

function parse(data: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(data)
    return isRecord(json) ? json : undefined
  } catch {
    return undefined
  }
}

function toAudience(value: unknown): WireAudience | undefined {
  return typeof value === 'string' && /^(f:.+|u:\d{1,15})$/s.test(value) ? (value as WireAudience) : undefined
}

function userOf(audience: WireAudience | undefined): number | undefined {
  return audience?.startsWith('u:') === true ? Number(audience.slice(2)) : undefined
}

function toNumber(value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw new RangeError('The service stream sent a frame without its number')
  return number
}
