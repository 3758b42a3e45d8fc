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

builder.objectType('OtherEvent', {
  description: 'Something this API has no type for yet: presence, people coming and going.',
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
  }),
})

builder.subscriptionField('flowEvents', (t) =>
  t.field({
    type: 'FlowEvent',
    description: 'Tells what happens in flows, from the moment the subscription stands, in order.',
    args: { input: t.arg({ type: FlowEventsInput, required: true, description: 'What to listen to.' }) },
    subscribe: events.subscribeFlowEvents,
    resolve: (event) => event,
  }),
)
