import * as activity from '../resolvers/activity.ts'
import { eventCursor } from '../resolvers/cursor.ts'
import * as events from '../resolvers/events.ts'
import { builder } from './builder.ts'

builder.interfaceType('FlowEvent', {
  sharing: 'same',
  description: 'Something that happened just now.',
  resolveType: events.eventType,
  fields: (t) => ({
    cursor: t.string({
      description:
        'Its place in the stream of events; opaque. Lists of messages take it, too, as `after` and `before`.',
      resolve: eventCursor,
    }),
    occurredAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it happened; null where the upstream does not say.',
      resolve: events.occurredAt,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      sharing: 'same',
      description: 'Where it happened; null for what is told to you rather than to a flow.',
      resolve: events.flow,
    }),
    conversation: t.field({
      type: 'PrivateConversation',
      nullable: true,
      description: 'The private conversation it happened in; null for what happened in a flow.',
      resolve: events.conversation,
    }),
  }),
})

builder.objectType('MessageAdded', {
  sharing: 'same',
  description: 'A message came.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    message: t.field({ type: 'Message', description: 'The message.', resolve: (event) => event.message }),
  }),
})

builder.objectType('MessageEdited', {
  sharing: 'same',
  description: 'Somebody changed what they wrote.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    content: t.string({ description: 'The new text.', resolve: events.content }),
    editedMessage: t.field({
      type: 'Message',
      nullable: true,
      sharing: 'same',
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.message,
    }),
    editor: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who changed it.',
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
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who deleted it.',
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
    added: t.stringList({ description: 'The new tags.', resolve: events.addedTags }),
    removed: t.stringList({ description: 'The tags that went.', resolve: events.removedTags }),
    taggedMessage: t.field({
      type: 'Message',
      nullable: true,
      sharing: 'same',
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.message,
    }),
    tagger: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who changed them.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('ReactionChanged', {
  sharing: 'same',
  description: 'Somebody answered a message with an emoji, or took one back.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.changedMessageId }),
    emoji: t.string({ description: 'The name of the emoji.', resolve: ({ change }) => change.emoji }),
    isAdded: t.boolean({
      description: 'False when it was taken back.',
      resolve: ({ change }) => change.isAdded,
    }),
    reactedMessage: t.field({
      type: 'Message',
      nullable: true,
      sharing: 'same',
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.changedMessage,
    }),
    reactor: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who did.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('MessageMoved', {
  sharing: 'same',
  description: 'A message went to another thread.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.changedMessageId }),
    movedMessage: t.field({
      type: 'Message',
      nullable: true,
      sharing: 'same',
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.changedMessage,
    }),
    thread: t.field({
      type: 'Thread',
      nullable: true,
      sharing: 'same',
      description: 'The thread it went to.',
      resolve: events.changeThread,
    }),
    mover: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who moved it.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('ThreadChanged', {
  sharing: 'same',
  description:
    'A thread is not as it was: a message came into it, from somebody or from an integration that changed its state.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    thread: t.field({
      type: 'Thread',
      nullable: true,
      sharing: 'same',
      description: 'The thread as it is behind this event.',
      resolve: events.changedThread,
    }),
    threadMessage: t.field({
      type: 'Message',
      nullable: true,
      sharing: 'same',
      description: 'What came into it; null when it is gone.',
      resolve: events.threadMessage,
    }),
  }),
})

builder.objectType('MemberJoined', {
  sharing: 'same',
  description: 'Somebody came into the flow.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who came.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('MemberBlocked', {
  description: 'Somebody was shut out of the flow, or left.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      description: 'Who it was, if you may still see them.',
      resolve: events.blockedUser,
    }),
    blockedBy: t.field({
      type: 'User',
      nullable: true,
      description: 'Who did it.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('UserEdited', {
  sharing: 'same',
  description: 'Somebody changed their profile.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who it is, as they are now.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('UserTyping', {
  sharing: 'same',
  description: 'Somebody is about to say something. Kept nowhere.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who types.',
      resolve: events.changeUser,
    }),
    thread: t.field({
      type: 'Thread',
      nullable: true,
      sharing: 'same',
      description: 'The thread it will be in, if they say so.',
      resolve: events.changeThread,
    }),
  }),
})

builder.objectType('UserActive', {
  sharing: 'same',
  description: 'Somebody is there. Told again and again while they are, and kept nowhere.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who it is.',
      resolve: events.changeUser,
    }),
    lastActivityAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When they last did something; null while they are idle.',
      resolve: ({ change }) => change.lastActivityAt,
    }),
  }),
})

builder.objectType('FlowAdded', {
  description:
    'You came into a flow. A subscription to the flows it named does not hear it: begin a new one.',
  interfaces: ['FlowEvent'],
})

builder.objectType('FlowRemoved', {
  description: 'You are out of a flow, or it was archived.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    flowDatabaseId: t.id({
      description: 'The id the upstream knows it by.',
      resolve: ({ flowId }) => flowId,
    }),
  }),
})

const GapFidelity = builder.enumType('GapFidelity', {
  description: 'What can still be had of a gap.',
  values: {
    MESSAGES: {
      value: 'messages',
      description:
        'The messages of that time, as they are now, by `Flow.messages(filter: { since: …, until: … })` with `from` and `to`. What became of older ones, and who came and went, is not told any more.',
    },
    NOTHING: {
      value: 'nothing',
      description: 'Nobody knows where it begins: read again what you show.',
    },
  } as const,
})

const GapReason = builder.enumType('GapReason', {
  description: 'Why something that happened cannot be told.',
  values: {
    FORGOTTEN: { value: 'forgotten', description: 'The upstream keeps events for a while only.' },
    FELL_BEHIND: {
      value: 'fellBehind',
      description: 'The subscription was interrupted, and nothing said where.',
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
    'Something that happened cannot be told any more; what comes now is behind it. The messages in between are still to be listed by `Flow.messages`.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    after: t.exposeString('after', {
      nullable: true,
      description: 'The last event before the gap, by its cursor; null when there was none.',
    }),
    reason: t.field({ type: GapReason, description: 'Why.', resolve: ({ reason }) => reason }),
    from: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the last event before the gap was; null when that is not known.',
      resolve: ({ from }) => from,
    }),
    to: t.field({
      type: 'DateTime',
      description: 'When it ended: from then on everything is told.',
      resolve: ({ to }) => to,
    }),
    fidelity: t.field({
      type: GapFidelity,
      description: 'What can still be had of it.',
      resolve: ({ from }) => (from === null ? 'nothing' : 'messages'),
    }),
    missed: t.int({
      nullable: true,
      calls: { once: ['flows', 'capabilities'], each: 20 },
      description:
        'How many messages were sent in it to the flows you listen to, whichever of them you asked for; null where nobody can count them: when `fidelity` is `NOTHING`, in none or more than twenty flows, or more messages than an upstream lists that does not count.',
      resolve: activity.missed,
    }),
  }),
})

const StreamState = builder.enumType('StreamState', {
  description: 'How a live stream is.',
  values: {
    LIVE: { value: 'live', description: 'As it should be: everything is told when it happens.' },
    CATCHING_UP: {
      value: 'catchingUp',
      description: 'The line to the upstream is cut. What happens meanwhile is told once it stands again.',
    },
    POLLING: {
      value: 'polling',
      description:
        'No stream gets through from the upstream: it is asked every few seconds. All is told, a little later; but not who types or is there.',
    },
    CLOSING: {
      value: 'closing',
      description: 'The gateway is about to stop: subscribe again with `after`, and miss nothing.',
    },
  } as const,
})

builder.objectType('StreamStatus', {
  sharing: 'same',
  description: 'How the stream itself is; with `includeStatus`.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    state: t.field({ type: StreamState, description: 'How it is now.', resolve: ({ state }) => state }),
    retryWithinMs: t.exposeInt('retryWithinMs', {
      nullable: true,
      description: 'When it closes: come back at a random moment within this time.',
    }),
  }),
})

builder.objectType('UnknownEvent', {
  sharing: 'same',
  description: 'Something this API has no type for yet.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    event: t.exposeString('event', { description: "The upstream's name for it." }),
    raw: t.field({ type: 'JSON', description: 'All of it, as it came.', resolve: (event) => event.raw }),
  }),
})

const eventKind = <Kind extends string>(value: Kind, description: string) => ({ value, description })

const EventKind = builder.enumType('EventKind', {
  description: 'The kinds of events there are, by the type each has.',
  values: {
    MESSAGE_ADDED: eventKind('MessageAdded', 'A message came.'),
    MESSAGE_EDITED: eventKind('MessageEdited', 'A text was changed.'),
    MESSAGE_DELETED: eventKind('MessageDeleted', 'A message was deleted.'),
    TAGS_CHANGED: eventKind('TagsChanged', 'Tags of a message were changed.'),
    REACTION_CHANGED: eventKind('ReactionChanged', 'An emoji was added or taken back.'),
    MESSAGE_MOVED: eventKind('MessageMoved', 'A message went to another thread.'),
    MEMBER_JOINED: eventKind('MemberJoined', 'Somebody came into a flow.'),
    MEMBER_BLOCKED: eventKind('MemberBlocked', 'Somebody was shut out of a flow, or left.'),
    USER_EDITED: eventKind('UserEdited', 'Somebody changed their profile.'),
    USER_TYPING: eventKind('UserTyping', 'Somebody types.'),
    USER_ACTIVE: eventKind('UserActive', 'Somebody is there.'),
    PRESENCE_CHANGED: eventKind(
      'PresenceChanged',
      'Somebody came, went or fell idle; with `includePrivate`.',
    ),
    FLOW_ADDED: eventKind('FlowAdded', 'You came into a flow.'),
    FLOW_REMOVED: eventKind('FlowRemoved', 'You are out of a flow.'),
    UNKNOWN_EVENT: eventKind('UnknownEvent', 'Anything else.'),
  } as const,
})

const after =
  'The `cursor` of the last event you had, or `pageInfo.endCursor` of a list of messages: what happened since comes first, each event once. For the same flows.'
const flows = 'Which flows, at most 150; all you have joined, now and later, unless given.'

const FlowEventsInput = builder.inputType('FlowEventsInput', {
  description: 'What to listen to.',
  fields: (t) => ({
    flows: t.field({ type: ['FlowBy'], description: flows }),
    kinds: t.field({ type: [EventKind], description: 'Only these kinds of events; gaps are told always.' }),
    filter: t.field({
      type: 'LiveMessageFilter',
      description: 'Of the messages that come, only these. Other kinds of events are told as ever.',
    }),
    throttleMs: t.int({
      description:
        'Tell what happened no more often than this, 250 to 60,000 ms, all of it then; each event as it happens unless given.',
    }),
    includePrivate: t.boolean({
      required: true,
      defaultValue: false,
      description:
        'Whether to hear what is told to you alone, too: private messages, and coming into and out of flows.',
    }),
    includeStatus: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether to hear how the stream itself is, as `StreamStatus`.',
    }),
    after: t.string({ description: after }),
  }),
})

const ListenInput = builder.inputType('ListenInput', {
  description: 'Which flows to listen to.',
  fields: (t) => ({
    flows: t.field({ type: ['FlowBy'], description: flows }),
    after: t.string({ description: after }),
  }),
})

const ListenPrivatelyInput = builder.inputType('ListenPrivatelyInput', {
  description: 'Where to begin to listen.',
  fields: (t) => ({ after: t.string({ description: after }) }),
})

builder.subscriptionFields((t) => {
  const input = t.arg({
    type: ListenInput,
    required: true,
    defaultValue: {},
    description: 'Which flows, and from where on.',
  })
  const privately = t.arg({
    type: ListenPrivatelyInput,
    required: true,
    defaultValue: {},
    description: 'From where on.',
  })
  return {
    flowEvents: t.field({
      type: 'FlowEvent',
      description:
        'Tells what happens in flows, in order: from the moment the subscription stands, or from the event that `after` names.',
      args: { input: t.arg({ type: FlowEventsInput, required: true, description: 'What to listen to.' }) },
      subscribe: events.subscribeFlowEvents,
      resolve: (event) => event,
    }),
    messageAdded: t.field({
      type: 'FlowEvent',
      description: 'Tells of each message that comes: `MessageAdded`, or a `Gap`.',
      args: { input },
      subscribe: events.subscribeTo(['MessageAdded']),
      resolve: (event) => event,
    }),
    messageChanged: t.field({
      type: 'FlowEvent',
      description:
        'Tells what becomes of messages: `MessageEdited`, `MessageDeleted`, `TagsChanged`, `ReactionChanged`, `MessageMoved`, or a `Gap`.',
      args: { input },
      subscribe: events.subscribeTo([
        ...(['MessageEdited', 'MessageDeleted', 'TagsChanged', 'ReactionChanged', 'MessageMoved'] as const),
      ]),
      resolve: (event) => event,
    }),
    threadChanged: t.field({
      type: 'FlowEvent',
      description:
        'Tells of each thread that something comes into: `ThreadChanged`, with the thread as it is now, or a `Gap`.',
      args: { input },
      subscribe: events.subscribeThreadChanged,
      resolve: events.threadEventOrGap,
    }),
    privateMessageAdded: t.field({
      type: 'FlowEvent',
      description: 'Tells of each private message to you or from you: `MessageAdded`, or a `Gap`.',
      args: { input: privately },
      subscribe: events.subscribePrivately(['MessageAdded']),
      resolve: (event) => event,
    }),
    userTyping: t.field({
      type: 'FlowEvent',
      description: 'Tells who is about to say something in a flow: `UserTyping`. Kept nowhere.',
      args: { input },
      subscribe: events.subscribeTo(['UserTyping']),
      resolve: (event) => event,
    }),
    flowsChanged: t.field({
      type: 'FlowEvent',
      description:
        'Tells into which flows you come, and out of which: `FlowAdded`, `FlowRemoved`, or a `Gap`.',
      args: { input: privately },
      subscribe: events.subscribePrivately(['FlowAdded', 'FlowRemoved']),
      resolve: (event) => event,
    }),
  }
})
