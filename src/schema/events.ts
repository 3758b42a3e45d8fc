import * as activity from '../resolvers/activity.ts'
import { eventCursor } from '../resolvers/cursor.ts'
import * as events from '../resolvers/events.ts'
import { builder } from './builder.ts'

const sameUser = { type: 'User', nullable: true, sharing: 'same' } as const
const sameMessage = { type: 'Message', nullable: true, sharing: 'same' } as const
const sameThread = { type: 'Thread', nullable: true, sharing: 'same' } as const

builder.interfaceType('FlowEvent', {
  sharing: 'same',
  description: 'An event of a subscription.',
  resolveType: events.eventType,
  fields: (t) => ({
    cursor: t.string({
      description:
        'The position of the event in the stream, for `after`. Lists of messages accept it as `after` and `before`, too. Do not parse it.',
      resolve: eventCursor,
    }),
    occurredAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time of the event. Null when the upstream does not say.',
      resolve: events.occurredAt,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      sharing: 'same',
      description:
        'The flow of the event. Null for events that concern only you, and when you cannot see the flow.',
      resolve: events.flow,
    }),
    conversation: t.field({
      type: 'PrivateConversation',
      nullable: true,
      description: 'The private conversation of the event. Null for an event of a flow.',
      resolve: events.conversation,
    }),
  }),
})

builder.objectType('MessageAdded', {
  sharing: 'same',
  description: 'A new message was sent.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    message: t.field({ type: 'Message', description: 'The message.', resolve: (event) => event.message }),
  }),
})

builder.objectType('MessageEdited', {
  sharing: 'same',
  description: 'A message was edited.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    content: t.string({ description: 'The new text.', resolve: events.content }),
    editedMessage: t.field({
      ...sameMessage,
      description: 'The message as it is now, read from the upstream. Null when it no longer exists.',
      resolve: events.message,
    }),
    editor: t.field({
      ...sameUser,
      description: 'The user who edited the message. Null for a user whom you cannot see.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('MessageDeleted', {
  sharing: 'same',
  description: 'A message was deleted.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    remover: t.field({
      ...sameUser,
      description: 'The user who deleted the message. Null for a user whom you cannot see.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('TagsChanged', {
  sharing: 'same',
  description: 'The tags of a message were changed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    added: t.stringList({ description: 'The added tags.', resolve: events.addedTags }),
    removed: t.stringList({ description: 'The removed tags.', resolve: events.removedTags }),
    taggedMessage: t.field({
      ...sameMessage,
      description: 'The message as it is now, read from the upstream. Null when it no longer exists.',
      resolve: events.message,
    }),
    tagger: t.field({
      ...sameUser,
      description: 'The user who changed the tags. Null for a user whom you cannot see.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('ReactionChanged', {
  sharing: 'same',
  description: 'A reaction was added to a message or removed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.changedMessageId }),
    emoji: t.string({ description: 'The name of the emoji.', resolve: ({ change }) => change.emoji }),
    isAdded: t.boolean({
      description: 'True for an added reaction, false for a removed one.',
      resolve: ({ change }) => change.isAdded,
    }),
    reactedMessage: t.field({
      ...sameMessage,
      description: 'The message as it is now, read from the upstream. Null when it no longer exists.',
      resolve: events.changedMessage,
    }),
    reactor: t.field({
      ...sameUser,
      description: 'The user who reacted. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('MessageMoved', {
  sharing: 'same',
  description: 'A message was moved to another thread.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.changedMessageId }),
    movedMessage: t.field({
      ...sameMessage,
      description: 'The message as it is now, read from the upstream. Null when it no longer exists.',
      resolve: events.changedMessage,
    }),
    thread: t.field({
      ...sameThread,
      description: 'The new thread. Null when it no longer exists.',
      resolve: events.changeThread,
    }),
    mover: t.field({
      ...sameUser,
      description: 'The user who moved the message. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('ThreadChanged', {
  sharing: 'same',
  description: 'A thread received a message, or an integration changed its state.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    thread: t.field({
      ...sameThread,
      description: 'The thread after this event. Null when it no longer exists.',
      resolve: events.changedThread,
    }),
    threadMessage: t.field({
      ...sameMessage,
      description: 'The new message of the thread. Null when it no longer exists.',
      resolve: events.threadMessage,
    }),
  }),
})

builder.objectType('MemberJoined', {
  sharing: 'same',
  description: 'A user joined the flow.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      ...sameUser,
      description: 'The user who joined. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('MemberBlocked', {
  description: 'A user was blocked from the flow or left it.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      description: 'The user who was blocked or left. Null for a user whom you can no longer see.',
      resolve: events.blockedUser,
    }),
    blockedBy: t.field({
      type: 'User',
      nullable: true,
      description: 'The user who blocked the other, or who left. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('UserEdited', {
  sharing: 'same',
  description: 'A user changed their profile.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      ...sameUser,
      description: 'The user with the new profile. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('UserTyping', {
  sharing: 'same',
  description: 'A user is typing. The event is not stored and not replayed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      ...sameUser,
      description: 'The user who is typing. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
    thread: t.field({
      ...sameThread,
      description: 'The thread in which the user is typing. Null when the user is typing in no thread.',
      resolve: events.changeThread,
    }),
  }),
})

builder.objectType('UserActive', {
  sharing: 'same',
  description:
    'A user is active. The event repeats while the user is active. It is not stored and not replayed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      ...sameUser,
      description: 'The user. Null for a user whom you cannot see.',
      resolve: events.changeUser,
    }),
    lastActivityAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time of the last activity. Null while the user is idle.',
      resolve: ({ change }) => change.lastActivityAt,
    }),
  }),
})

builder.objectType('FlowAdded', {
  description:
    'You joined a flow or were added to it. A subscription that names its flows does not include the new one.',
  interfaces: ['FlowEvent'],
})

builder.objectType('FlowRemoved', {
  description: 'You left a flow or were removed from it, or it was archived.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    flowDatabaseId: t.id({
      description: 'The id of the flow in the upstream.',
      resolve: ({ flowId }) => flowId,
    }),
  }),
})

const GapFidelity = builder.enumType('GapFidelity', {
  description: 'What can still be read of a gap.',
  values: {
    MESSAGES: {
      value: 'messages',
      description:
        'The messages of that time, as they are now, by `Flow.messages(filter: { since: …, until: … })` with `from` and `to`. Changes of older messages and of members are lost.',
    },
    NOTHING: {
      value: 'nothing',
      description: 'The start of the gap is unknown. Read again all data that you show.',
    },
  } as const,
})

const GapReason = builder.enumType('GapReason', {
  description: 'The reason for a gap.',
  values: {
    FORGOTTEN: {
      value: 'forgotten',
      description: 'The events are older than those that the upstream stores.',
    },
    FELL_BEHIND: {
      value: 'fellBehind',
      description: 'The subscription was interrupted at an unknown position.',
    },
    UNREADABLE: {
      value: 'unreadable',
      description:
        'The upstream sent an event that the gateway cannot read: it is longer than 4 MiB, or broken. The events after it are delivered.',
    },
  } as const,
})

builder.objectType('Gap', {
  sharing: 'same',
  description:
    'Events were lost. The next events are those after the gap. `fidelity` says what can still be read.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    after: t.exposeString('after', {
      nullable: true,
      description: 'The cursor of the last event before the gap. Null when there was none.',
    }),
    reason: t.field({
      type: GapReason,
      description: 'The reason for the gap.',
      resolve: ({ reason }) => reason,
    }),
    from: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time of the last event before the gap. Null when it is unknown.',
      resolve: ({ from }) => from,
    }),
    to: t.field({
      type: 'DateTime',
      description: 'The end of the gap. Every later event is delivered.',
      resolve: ({ to }) => to,
    }),
    fidelity: t.field({
      type: GapFidelity,
      description: 'What can still be read of the gap.',
      resolve: ({ from }) => (from === null ? 'nothing' : 'messages'),
    }),
    missed: t.int({
      nullable: true,
      calls: { once: ['flows', 'capabilities'], each: 20 },
      description:
        'The number of messages that were sent during the gap to the flows of the subscription, including those that its filter excludes. Null when `fidelity` is `NOTHING`, when the subscription has no flow or more than 20, and when an upstream without the capability `ACTIVITY` has too many messages to count.',
      resolve: activity.missed,
    }),
  }),
})

const StreamState = builder.enumType('StreamState', {
  description: 'The state of the stream from the upstream.',
  values: {
    LIVE: { value: 'live', description: 'Events are delivered as they happen.' },
    CATCHING_UP: {
      value: 'catchingUp',
      description:
        'The connection to the upstream is interrupted. The events of that time are delivered when it is restored.',
    },
    POLLING: {
      value: 'polling',
      description:
        'The upstream cannot be streamed, so it is polled every few seconds. Events are delivered a little later; typing and presence are not delivered.',
    },
    CLOSING: {
      value: 'closing',
      description: 'The gateway is about to stop. Subscribe again with `after` to lose no events.',
    },
  } as const,
})

builder.objectType('StreamStatus', {
  sharing: 'same',
  description: 'The state of the stream. It is only delivered with `includeStatus`.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    state: t.field({
      type: StreamState,
      description: 'The state from now on.',
      resolve: ({ state }) => state,
    }),
    retryWithinMs: t.exposeInt('retryWithinMs', {
      nullable: true,
      description:
        'The number of milliseconds within which to subscribe again, at a random time. Null unless `state` is `CLOSING`.',
    }),
  }),
})

builder.objectType('UnknownEvent', {
  sharing: 'same',
  description: 'An event of a kind that this API has no type for.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    event: t.exposeString('event', { description: 'The kind of event in the upstream’s words.' }),
    raw: t.field({
      type: 'JSON',
      description: 'The whole event, as the upstream sent it.',
      resolve: (event) => event.raw,
    }),
  }),
})

const eventKind = <Kind extends string>(value: Kind, description: string) => ({ value, description })

const EventKind = builder.enumType('EventKind', {
  description: 'The kinds of events, named after their types.',
  values: {
    MESSAGE_ADDED: eventKind('MessageAdded', 'A new message was sent.'),
    MESSAGE_EDITED: eventKind('MessageEdited', 'A message was edited.'),
    MESSAGE_DELETED: eventKind('MessageDeleted', 'A message was deleted.'),
    TAGS_CHANGED: eventKind('TagsChanged', 'Tags of a message were changed.'),
    REACTION_CHANGED: eventKind('ReactionChanged', 'A reaction was added or removed.'),
    MESSAGE_MOVED: eventKind('MessageMoved', 'A message was moved to another thread.'),
    MEMBER_JOINED: eventKind('MemberJoined', 'A user joined a flow.'),
    MEMBER_BLOCKED: eventKind('MemberBlocked', 'A user was blocked from a flow or left it.'),
    USER_EDITED: eventKind('UserEdited', 'A user changed their profile.'),
    USER_TYPING: eventKind('UserTyping', 'A user is typing.'),
    USER_ACTIVE: eventKind('UserActive', 'A user is active.'),
    PRESENCE_CHANGED: eventKind(
      'PresenceChanged',
      'The presence of a user changed. It is only delivered with `includePrivate`.',
    ),
    FLOW_ADDED: eventKind('FlowAdded', 'You joined a flow or were added to it.'),
    FLOW_REMOVED: eventKind('FlowRemoved', 'You left a flow or were removed from it, or it was archived.'),
    UNKNOWN_EVENT: eventKind('UnknownEvent', 'An event of a kind that this API has no type for.'),
  } as const,
})

const after =
  'The `cursor` of the last event that you received, or `pageInfo.endCursor` of a list of messages. The events since then are delivered first, each once. It must be of the same flows.'
const flows =
  'The flows, at most 150. By default, all flows that you have joined, including those that you join later.'

const FlowEventsInput = builder.inputType('FlowEventsInput', {
  description: 'The events to deliver.',
  fields: (t) => ({
    flows: t.field({ type: ['FlowBy'], description: flows }),
    kinds: t.field({
      type: [EventKind],
      description: 'The kinds of events to deliver; all by default. A `Gap` is always delivered.',
    }),
    filter: t.field({
      type: 'LiveMessageFilter',
      description: 'The new messages to deliver; all by default. Other kinds of events are not filtered.',
    }),
    throttleMs: t.int({
      description:
        'The least number of milliseconds between two deliveries, 250 to 60,000; each delivery has all events since the last. By default, each event is delivered as it happens.',
    }),
    includePrivate: t.boolean({
      required: true,
      defaultValue: false,
      description:
        'Whether to deliver events that concern only you: private messages, presence, and flows that you join or leave.',
    }),
    includeStatus: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether to deliver the state of the stream, as `StreamStatus`.',
    }),
    after: t.string({ description: after }),
  }),
})

const ListenInput = builder.inputType('ListenInput', {
  description: 'The flows whose events to deliver.',
  fields: (t) => ({
    flows: t.field({ type: ['FlowBy'], description: flows }),
    after: t.string({ description: after }),
  }),
})

const ListenPrivatelyInput = builder.inputType('ListenPrivatelyInput', {
  description: 'The position to start from.',
  fields: (t) => ({ after: t.string({ description: after }) }),
})

builder.subscriptionFields((t) => {
  const input = t.arg({
    type: ListenInput,
    required: true,
    defaultValue: {},
    description: 'The flows, and the position to start from.',
  })
  const privately = t.arg({
    type: ListenPrivatelyInput,
    required: true,
    defaultValue: {},
    description: 'The position to start from.',
  })
  return {
    flowEvents: t.field({
      type: 'FlowEvent',
      description:
        'Delivers the events of flows in order: from the start of the subscription, or after the event that `after` names.',
      args: {
        input: t.arg({ type: FlowEventsInput, required: true, description: 'The events to deliver.' }),
      },
      subscribe: events.subscribeFlowEvents,
      resolve: (event) => event,
    }),
    messageAdded: t.field({
      type: 'FlowEvent',
      description: 'Delivers each new message as `MessageAdded`, and a `Gap` when events were lost.',
      args: { input },
      subscribe: events.subscribeTo(['MessageAdded']),
      resolve: (event) => event,
    }),
    messageChanged: t.field({
      type: 'FlowEvent',
      description:
        'Delivers changes of messages as `MessageEdited`, `MessageDeleted`, `TagsChanged`, `ReactionChanged` and `MessageMoved`, and a `Gap` when events were lost.',
      args: { input },
      subscribe: events.subscribeTo([
        ...(['MessageEdited', 'MessageDeleted', 'TagsChanged', 'ReactionChanged', 'MessageMoved'] as const),
      ]),
      resolve: (event) => event,
    }),
    threadChanged: t.field({
      type: 'FlowEvent',
      description:
        'Delivers `ThreadChanged` for each new message of a thread, with the thread as it is now, and a `Gap` when events were lost.',
      args: { input },
      subscribe: events.subscribeThreadChanged,
      resolve: events.threadEventOrGap,
    }),
    privateMessageAdded: t.field({
      type: 'FlowEvent',
      description:
        'Delivers each private message to you or from you as `MessageAdded`, and a `Gap` when events were lost.',
      args: { input: privately },
      subscribe: events.subscribePrivately(['MessageAdded']),
      resolve: (event) => event,
    }),
    userTyping: t.field({
      type: 'FlowEvent',
      description:
        'Delivers `UserTyping` while users are typing. These events are not stored and not replayed.',
      args: { input },
      subscribe: events.subscribeTo(['UserTyping']),
      resolve: (event) => event,
    }),
    flowsChanged: t.field({
      type: 'FlowEvent',
      description:
        'Delivers the flows that you join or leave as `FlowAdded` and `FlowRemoved`, and a `Gap` when events were lost.',
      args: { input: privately },
      subscribe: events.subscribePrivately(['FlowAdded', 'FlowRemoved']),
      resolve: (event) => event,
    }),
  }
})
