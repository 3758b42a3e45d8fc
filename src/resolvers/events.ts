import type { Context, ListenOptions, LiveEvents } from '../context.ts'
import { ForbiddenError, NotFoundError, NotSupportedError, ValidationError } from '../errors.ts'
import type {
  Flow,
  FlowEvent,
  Message,
  PrivateConversation,
  Thread,
  User,
} from '../upstream/flowdock/model.ts'
import { decodePlace, messageCursor } from './cursor.ts'
import { type FlowBy, findFlow } from './flows.ts'
import { encodeInFlow } from './global-id.ts'
import type { LiveEvent, ThreadEvent } from './live-event.ts'
import { type LiveMessageFilter, messageMatcher } from './message-filter.ts'
import { maxPageSize } from './pagination.ts'

type MessageEvent = Extract<FlowEvent, { type: 'message' }>

/** More would make an address longer than servers take. */
const maxFlows = 150

/** Which type of the schema an event has. */
export function eventType(event: LiveEvent): string {
  if (event.type === 'thread') return 'ThreadChanged'
  if (event.type === 'status') return 'StreamStatus'
  if (event.type === 'other') return 'UnknownEvent'
  if (event.type === 'gap') return 'Gap'
  if (event.type === 'presence') return 'PresenceChanged'
  if (event.type === 'membership') return event.isAdded ? 'FlowAdded' : 'FlowRemoved'
  if (event.type === 'change') return event.change.kind
  switch (event.message.kind) {
    case 'TagChange':
      return 'TagsChanged'
    case 'MessageDelete':
      return 'MessageDeleted'
    case 'MessageEdit':
      // Content cannot be edited to nothing; this is how a deleted chat message is told.
      return event.message.content === '' ? 'MessageDeleted' : 'MessageEdited'
    default:
      return 'MessageAdded'
  }
}

export function occurredAt(event: LiveEvent): number | null {
  if (event.type === 'thread') return event.occurredAt
  if (event.type === 'gap' || event.type === 'status' || event.type === 'membership') return null
  if (event.type === 'presence') return event.changedAt
  return event.type === 'message' ? event.message.sentAt : event.sentAt
}

export async function flow(event: LiveEvent, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return event.flowId === null ? null : flowdock.load.flow(event.flowId)
}

export function messageId(event: MessageEvent): string {
  return encodeInFlow('Message', event.message.channel, targetId(event.message))
}

export async function message(
  event: MessageEvent,
  _: unknown,
  { flowdock }: Context,
): Promise<Message | null> {
  return flowdock.load.message(event.message.channel, targetId(event.message))
}

export async function user(
  { message }: MessageEvent,
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return message.userId === null ? null : flowdock.load.user(message.userId)
}

type ChangeEvent = Extract<FlowEvent, { type: 'change' }>

/** Who did it, or whom it is about. */
export async function changeUser(
  { userId }: ChangeEvent,
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return flowdock.load.user(userId)
}

export async function blockedUser(
  { change }: ChangeEvent & { change: { blockedUserId: number } },
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return flowdock.load.user(change.blockedUserId)
}

type MessageChange = ChangeEvent & { change: { messageId: number } }

export function changedMessageId({ channel, change }: MessageChange): string {
  return encodeInFlow('Message', channel, change.messageId)
}

export async function changedMessage(
  { channel, change }: MessageChange,
  _: unknown,
  { flowdock }: Context,
): Promise<Message | null> {
  return flowdock.load.message(channel, change.messageId)
}

export async function changeThread(
  { flowId, change }: ChangeEvent & { change: { threadId: string | null } },
  _: unknown,
  { flowdock }: Context,
): Promise<Thread | null> {
  return change.threadId === null || flowId === null ? null : flowdock.load.thread(flowId, change.threadId)
}

export function content({ message }: MessageEvent): string {
  return 'content' in message ? message.content : ''
}

export function addedTags({ message }: MessageEvent): readonly string[] {
  return message.kind === 'TagChange' ? message.added : []
}

export function removedTags({ message }: MessageEvent): readonly string[] {
  return message.kind === 'TagChange' ? message.removed : []
}

/** Which kinds of events there are, by the type each has. */
export type EventKind = ReturnType<typeof eventType>

interface FlowEventsInput {
  readonly flows?: readonly FlowBy[] | null | undefined
  readonly kinds?: readonly EventKind[] | null | undefined
  readonly after?: string | null | undefined
  readonly filter?: LiveMessageFilter | null | undefined
  readonly throttleMs?: number | null | undefined
  readonly includePrivate: boolean
  readonly includeStatus: boolean
}

/** Events of the given flows, or of all the caller has joined. */
export async function subscribeFlowEvents(
  _: unknown,
  { input }: { input: FlowEventsInput },
  context: Context,
): Promise<LiveEvents> {
  const kinds = input.kinds == null ? undefined : new Set(input.kinds)
  const matches = input.filter == null ? undefined : messageMatcher(input.filter)
  const everyMs =
    input.throttleMs == null ? undefined : checkRange(input.throttleMs, 250, 60_000, 'throttleMs')
  return listen(input, context, {
    isPrivate: input.includePrivate,
    pace: everyMs === undefined ? undefined : { everyMs, tells: 'all' },
    wants: (event) => {
      const kind = eventType(event)
      if (kind === 'StreamStatus') return input.includeStatus
      if (kinds !== undefined && !kinds.has(kind)) return false
      return (
        matches === undefined || kind !== 'MessageAdded' || event.type !== 'message' || matches(event.message)
      )
    },
    key: JSON.stringify([input.kinds ?? null, input.includeStatus, input.filter ?? null]),
  })
}

/** What a narrow subscription listens to. */
interface NarrowInput {
  readonly flows?: readonly FlowBy[] | null | undefined
  readonly after?: string | null | undefined
}

/** Makes a subscription to some kinds of events, each of which is its answer. */
export function subscribeTo(kinds: readonly EventKind[], options: { isPrivate?: boolean } = {}) {
  const wanted = new Set(kinds)
  return async (_: unknown, { input }: { input: NarrowInput }, context: Context): Promise<LiveEvents> =>
    listen(input, context, {
      isPrivate: options.isPrivate ?? false,
      wants: (event) => wanted.has(eventType(event)),
      key: kinds.join(' '),
    })
}

/** What is told to the caller alone: nothing of flows. */
export function subscribePrivately(kinds: readonly EventKind[]) {
  const wanted = new Set(kinds)
  return async (
    _: unknown,
    { input }: { input: { after?: string | null | undefined } },
    context: Context,
  ): Promise<LiveEvents> => {
    const from = begin(input.after, context, undefined)
    const wants = (event: FlowEvent) =>
      wanted.has(eventType(event)) && (event.flowId === null || event.type === 'membership')
    return context.listen({ ...from, flowIds: [], isPrivate: true, wants, key: `private ${kinds.join(' ')}` })
  }
}

/** Each message that comes into a thread changes it, and so does one that is moved there. */
export async function subscribeThreadChanged(
  _: unknown,
  { input }: { input: NarrowInput },
  context: Context,
): Promise<LiveEvents> {
  const wants = (event: FlowEvent) => threadEvent(event) !== null
  return listen(input, context, { isPrivate: false, wants, key: 'ThreadChanged' })
}

export function threadEventOrGap(event: FlowEvent): LiveEvent {
  return threadEvent(event) ?? event
}

/** The event as one of the thread; null for one of none. */
function threadEvent(event: FlowEvent): ThreadEvent | null {
  if (event.type === 'message' && event.flowId !== null && event.message.threadId !== null) {
    const { flowId, message } = event
    return {
      ...{ type: 'thread', origin: event, flowId, message, messageId: message.id },
      ...{ threadId: message.threadId as string, thread: message.thread, occurredAt: message.sentAt },
    }
  }
  if (event.type !== 'change' || event.change.kind !== 'MessageMoved' || event.flowId === null) return null
  const { flowId, change, sentAt } = event
  return {
    ...{ type: 'thread', origin: event, flowId, messageId: change.messageId, threadId: change.threadId },
    ...{ message: null, thread: null, occurredAt: sentAt },
  }
}

export async function changedThread(
  { flowId, threadId, thread }: ThreadEvent,
  _: unknown,
  { flowdock }: Context,
): Promise<Thread | null> {
  return thread ?? flowdock.load.thread(flowId, threadId)
}

export async function threadMessage(
  { flowId, messageId, message }: ThreadEvent,
  _: unknown,
  { flowdock }: Context,
): Promise<Message | null> {
  return message ?? flowdock.load.message(flowId, messageId)
}

async function listen(
  input: NarrowInput,
  context: Context,
  options: Pick<ListenOptions, 'isPrivate' | 'wants' | 'key' | 'pace'>,
): Promise<LiveEvents> {
  const { isPrivate } = options
  if (input.flows == null)
    return context.listen({ ...options, ...begin(input.after, context, undefined), flowIds: 'all' })
  if (input.flows.length === 0 && !isPrivate)
    throw new ValidationError('There is no flow to listen to', [], { inputPath: ['input', 'flows'] })
  if (input.flows.length > maxFlows)
    throw new ValidationError(
      `Expected input.flows to name at most ${maxFlows} flows, got ${input.flows.length}`,
      [],
      { inputPath: ['input', 'flows'] },
    )
  const flows = await Promise.all(
    input.flows.map((by, index) => requireFlow(by, context, ['input', 'flows', String(index)])),
  )
  const from = begin(input.after, context, flows.length === 1 && !isPrivate ? flows[0] : undefined)
  return context.listen({ ...options, ...from, flowIds: flows.map(({ id }) => id) })
}

/** Where to begin. @throws ValidationError for what is no cursor, or one of a message where several channels are heard */
function begin(
  cursor: string | null | undefined,
  { lastEventId, flowdock }: Context,
  flow: Flow | undefined,
): Pick<ListenOptions, 'after' | 'since' | 'history'> {
  const text = lastEventId ?? cursor
  if (text == null) return { after: undefined }
  const { event, messageId, at } = decodePlace(text)
  if (event !== undefined) return { after: event, since: at }
  if (flow === undefined)
    throw new ValidationError(
      'Expected input.after to be the cursor of an event, or of the newest message of a list: that of an older message goes with one flow alone',
      [],
      { inputPath: ['input', 'after'] },
    )
  return { after: undefined, history: () => listedSince(flow, messageId ?? 0, flowdock) }
}

/** The messages behind one, from lists, up to the newest. Returns where the log of events stood then. */
async function* listedSince(
  { id, path }: Flow,
  messageId: number,
  { messages }: Context['flowdock'],
): AsyncGenerator<FlowEvent, string, undefined> {
  let after = messageId
  for (;;) {
    const page = { after, from: 'oldest', limit: maxPageSize } as const
    const { messages: listed, at } = await messages.listAt(path, undefined, page)
    if (at === undefined)
      throw new NotSupportedError(
        'Cannot go on behind a message: the upstream does not say where its lists stand',
      )
    for (const message of listed) {
      const cursor = messageCursor(message, undefined)
      yield { type: 'message', cursor, flowId: id, message, isListed: true }
      after = message.id
    }
    if (listed.length < maxPageSize) return at
  }
}

/** @throws ValidationError for a number out of range */
export function checkRange(value: number, least: number, most: number, name: string): number {
  if (value >= least && value <= most) return value
  throw new ValidationError(`Expected input.${name} to be ${least} to ${most}, got ${value}`, [], {
    inputPath: ['input', name],
  })
}

/** A flow somebody wants to hear. @throws NotFoundError, ForbiddenError unless it is one they have joined */
export async function requireFlow(by: FlowBy, context: Context, path: string[]): Promise<Flow> {
  const flow = await findFlow(by, context, path)
  if (flow === null)
    throw new NotFoundError(`${path.join('.')} names no flow, or one that is not for you to see`, {
      inputPath: path,
    })
  if (!flow.isJoined)
    throw new ForbiddenError(`Cannot listen to ${path.join('.')}: you have not joined it`, {
      inputPath: path,
    })
  return flow
}

/** The number of the message an event is about. */
function targetId(message: Message): number {
  return 'messageId' in message ? message.messageId : message.id
}

export async function conversation(
  event: LiveEvent,
  _: unknown,
  { flowdock }: Context,
): Promise<PrivateConversation | null> {
  const channel =
    event.type === 'message' ? event.message.channel : event.type === 'change' ? event.channel : ''
  return channel.startsWith('@') ? flowdock.load.conversation(Number(channel.slice(1))) : null
}
