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

/** The most flows of a subscription. More would make a URL that is too long for servers. */
const maxFlows = 150

/** The schema type of an event. */
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
      // Content cannot be edited to nothing; an edit to nothing is how the upstream reports a deleted message.
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

/** The user who made the change, or whom it concerns. */
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

/** The kinds of events, named after their schema types. */
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

/** Events of the given flows, or of all that the viewer has joined. */
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

interface NarrowInput {
  readonly flows?: readonly FlowBy[] | null | undefined
  readonly after?: string | null | undefined
}

/** Makes a subscription that delivers some kinds of events. */
export function subscribeTo(kinds: readonly EventKind[], options: { isPrivate?: boolean } = {}) {
  const wanted = new Set(kinds)
  return async (_: unknown, { input }: { input: NarrowInput }, context: Context): Promise<LiveEvents> =>
    listen(input, context, {
      isPrivate: options.isPrivate ?? false,
      wants: (event) => wanted.has(eventType(event)),
      key: kinds.join(' '),
    })
}

/** Makes a subscription that delivers only private events of the viewer, none of flows. */
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

/** A thread changes with each message that is sent or moved to it. */
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

/** The event of the thread that an event changes. Null when it changes no thread. */
function threadEvent(event: FlowEvent): ThreadEvent | null {
  if (event.type === 'message' && event.flowId !== null && event.message.threadId !== null) {
    const { flowId, message } = event
    return {
      type: 'thread',
      origin: event,
      flowId,
      message,
      messageId: message.id,
      threadId: message.threadId as string,
      thread: message.thread,
      occurredAt: message.sentAt,
    }
  }
  if (event.type !== 'change' || event.change.kind !== 'MessageMoved' || event.flowId === null) return null
  const { flowId, change, sentAt } = event
  return {
    type: 'thread',
    origin: event,
    flowId,
    messageId: change.messageId,
    threadId: change.threadId,
    message: null,
    thread: null,
    occurredAt: sentAt,
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
    throw new ValidationError('Expected input.flows to name at least one flow', [], {
      inputPath: ['input', 'flows'],
    })
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

/** The position to start from. @throws ValidationError for a text that is not a cursor, or the cursor of a message with several flows */
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
      'Expected input.after to be the cursor of an event or of the newest message of a list; the cursor of an older message works only with one flow',
      [],
      { inputPath: ['input', 'after'] },
    )
  return { after: undefined, history: () => listedSince(flow, messageId ?? 0, flowdock) }
}

/** The messages after one, read from lists, up to the newest. Returns the offset of the event log at that time. */
async function* listedSince(
  { id, path }: Flow,
  messageId: number,
  { messages }: Context['flowdock'],
): AsyncGenerator<FlowEvent, string, undefined> {
  let after = messageId
  for (;;) {
    const page = { after, from: 'oldest', limit: maxPageSize } as const
    const { items: listed, sent, at } = await messages.listAt(path, undefined, page)
    if (at === undefined)
      throw new NotSupportedError(
        'Cannot continue after a message: the upstream does not return the event offset of its lists',
      )
    if (listed.length < sent)
      yield {
        type: 'gap',
        reason: 'unreadable',
        cursor: messageCursor({ id: after }, undefined),
        flowId: null,
        after: null,
        from: null,
        to: Date.now(),
        flowIds: [id],
      }
    for (const message of listed) {
      const cursor = messageCursor(message, undefined)
      yield { type: 'message', cursor, flowId: id, message, isListed: true }
      after = message.id
    }
    if (sent < maxPageSize) return at
  }
}

/** @throws ValidationError for a number out of range */
export function checkRange(value: number, least: number, most: number, name: string): number {
  if (value >= least && value <= most) return value
  throw new ValidationError(`Expected input.${name} to be ${least} to ${most}, got ${value}`, [], {
    inputPath: ['input', name],
  })
}

/** A flow to subscribe to. @throws NotFoundError, ForbiddenError unless the viewer has joined it and it is not archived */
export async function requireFlow(by: FlowBy, context: Context, path: string[]): Promise<Flow> {
  const flow = await findFlow(by, context, path)
  if (flow === null)
    throw new NotFoundError(`${path.join('.')} names a flow that does not exist or that you cannot see`, {
      inputPath: path,
    })
  if (flow.isDisabled === true)
    throw new ForbiddenError(`Cannot subscribe to ${path.join('.')}: "${flow.path}" is archived`, {
      inputPath: path,
    })
  if (!flow.isJoined)
    throw new ForbiddenError(`Cannot subscribe to ${path.join('.')}: you have not joined the flow`, {
      inputPath: path,
    })
  return flow
}

/** The number of the message that an event concerns. */
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
