import * as events from '../resolvers/events.ts'
import { builder } from './builder.ts'

builder.interfaceType('FlowEvent', {
  description: 'Something that happened just now.',
  resolveType: events.eventType,
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'Its place in the stream of events; opaque.' }),
    occurredAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it happened; null where the upstream does not say.',
      resolve: events.occurredAt,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
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
  description: 'A message came.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    message: t.field({ type: 'Message', description: 'The message.', resolve: (event) => event.message }),
  }),
})

builder.objectType('MessageEdited', {
  description: 'Somebody changed what they wrote.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    content: t.string({ description: 'The new text.', resolve: events.content }),
    editedMessage: t.field({
      type: 'Message',
      nullable: true,
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.message,
    }),
    editor: t.field({
      type: 'User',
      nullable: true,
      description: 'Who changed it.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('MessageDeleted', {
  description: 'A message was deleted.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    remover: t.field({
      type: 'User',
      nullable: true,
      description: 'Who deleted it.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('TagsChanged', {
  description: 'The tags of a message were changed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.messageId }),
    added: t.stringList({ description: 'The new tags.', resolve: events.addedTags }),
    removed: t.stringList({ description: 'The tags that went.', resolve: events.removedTags }),
    taggedMessage: t.field({
      type: 'Message',
      nullable: true,
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.message,
    }),
    tagger: t.field({
      type: 'User',
      nullable: true,
      description: 'Who changed them.',
      resolve: events.user,
    }),
  }),
})

builder.objectType('ReactionChanged', {
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
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.changedMessage,
    }),
    reactor: t.field({ type: 'User', nullable: true, description: 'Who did.', resolve: events.changeUser }),
  }),
})

builder.objectType('MessageMoved', {
  description: 'A message went to another thread.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    messageId: t.id({ description: 'The global id of the message.', resolve: events.changedMessageId }),
    movedMessage: t.field({
      type: 'Message',
      nullable: true,
      description: 'The message as it is now, read from the upstream; null when it is gone.',
      resolve: events.changedMessage,
    }),
    thread: t.field({
      type: 'Thread',
      nullable: true,
      description: 'The thread it went to.',
      resolve: events.changeThread,
    }),
    mover: t.field({
      type: 'User',
      nullable: true,
      description: 'Who moved it.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('MemberJoined', {
  description: 'Somebody came into the flow.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({ type: 'User', nullable: true, description: 'Who came.', resolve: events.changeUser }),
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
  description: 'Somebody changed their profile.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      description: 'Who it is, as they are now.',
      resolve: events.changeUser,
    }),
  }),
})

builder.objectType('UserTyping', {
  description: 'Somebody is about to say something. Kept nowhere.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({ type: 'User', nullable: true, description: 'Who types.', resolve: events.changeUser }),
    thread: t.field({
      type: 'Thread',
      nullable: true,
      description: 'The thread it will be in, if they say so.',
      resolve: events.changeThread,
    }),
  }),
})

builder.objectType('UserActive', {
  description: 'Somebody is there. Told again and again while they are, and kept nowhere.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({ type: 'User', nullable: true, description: 'Who it is.', resolve: events.changeUser }),
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

builder.objectType('Gap', {
  description:
    'Something was missed and cannot be had any more: the upstream has forgotten what came after `after`. What follows is complete again; messages in between are still to be listed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    after: t.exposeString('after', { description: 'The last event before the gap, by its cursor.' }),
  }),
})

builder.objectType('OtherEvent', {
  description: 'Something this API has no type for yet.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    event: t.exposeString('event', { description: "The upstream's name for it." }),
    raw: t.field({ type: 'JSON', description: 'All of it, as it came.', resolve: (event) => event.raw }),
  }),
})

const FlowEventsInput = builder.inputType('FlowEventsInput', {
  description: 'What to listen to.',
  fields: (t) => ({
    flows: t.field({
      type: ['FlowBy'],
      description: 'Which flows, at most 150; all you have joined unless given.',
    }),
    includePrivate: t.boolean({
      required: true,
      defaultValue: false,
      description:
        'Whether to hear what is told to you alone, too: private messages, and coming into and out of flows.',
    }),
    after: t.string({
      description:
        'The `cursor` of the last event you had: what happened since comes first, each event once. For the same flows.',
    }),
  }),
})

builder.subscriptionField('flowEvents', (t) =>
  t.field({
    type: 'FlowEvent',
    description:
      'Tells what happens in flows, in order: from the moment the subscription stands, or from the event that `after` names.',
    args: { input: t.arg({ type: FlowEventsInput, required: true, description: 'What to listen to.' }) },
    subscribe: events.subscribeFlowEvents,
    resolve: (event) => event,
  }),
)
