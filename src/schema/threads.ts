import * as threads from '../resolvers/threads.ts'
import { builder } from './builder.ts'

builder.objectType('Thread', {
  description:
    'Messages that belong together: a conversation, or an item of an integration and what is said of it.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: threads.id }),
    databaseId: t.exposeID('id', { description: 'The id the upstream knows it by.' }),
    title: t.exposeString('title', {
      description: 'For conversations the text that began it, for items their name; may have HTML links.',
    }),
    body: t.exposeString('body', { nullable: true, description: 'What an item is about, as HTML.' }),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      description: "The item's page at its service.",
    }),
    status: t.field({
      type: 'ThreadStatus',
      nullable: true,
      description: 'How an item stands.',
      resolve: (thread) => thread.status,
    }),
    fields: t.field({
      type: ['ThreadField'],
      description: 'What else is known of an item.',
      resolve: (thread) => thread.fields,
    }),
    source: t.field({
      type: 'Source',
      nullable: true,
      description: 'The integration it came from; null for conversations.',
      resolve: (thread) => thread.source,
    }),
    activityCount: t.exposeInt('activityCount', { description: 'How many activities it has.' }),
    internalCommentCount: t.exposeInt('internalCommentCount', {
      description: 'How many messages were written in the flow; the first one counts.',
    }),
    externalCommentCount: t.exposeInt('externalCommentCount', {
      description: 'How many were written at the service it came from.',
    }),
    initialMessage: t.field({
      type: 'Message',
      nullable: true,
      description: 'The message that began it; null when that is gone.',
      resolve: threads.initialMessage,
    }),
    flow: t.field({ type: 'Flow', nullable: true, description: 'The flow it is in.', resolve: threads.flow }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it began.',
      resolve: (thread) => thread.createdAt,
    }),
    updatedAt: t.field({
      type: 'DateTime',
      description: 'When its newest message came.',
      resolve: (thread) => thread.updatedAt,
    }),
  }),
})

builder.objectType('ThreadStatus', {
  description: 'How an item stands.',
  fields: (t) => ({
    color: t.exposeString('color', {
      description: 'red, green, yellow, cyan, orange, grey, black, lime, purple or blue.',
    }),
    value: t.exposeString('value', { description: 'In words.' }),
  }),
})

builder.objectType('ThreadField', {
  description: 'Something known of an item.',
  fields: (t) => ({
    label: t.exposeString('label', { description: 'What it is.' }),
    value: t.exposeString('value', { description: 'Its value; may have HTML links.' }),
  }),
})

const ThreadOrigin = builder.enumType('ThreadOrigin', {
  description: 'Where threads come from.',
  values: {
    CHAT: { value: 'chat', description: 'Conversations.' },
    INBOX: { value: 'inbox', description: 'Items of integrations.' },
  } as const,
})

builder.objectFields('Flow', (t) => ({
  threads: t.connection(
    {
      type: 'Thread',
      nullable: true,
      description:
        'Its threads, the most recently updated first; `first: 30` unless said otherwise. `last` needs `before`.',
      args: {
        since: t.arg({ type: 'DateTime', description: 'Only those updated after this moment.' }),
        until: t.arg({ type: 'DateTime', description: 'Only those updated before this moment.' }),
        origin: t.arg({ type: ThreadOrigin, description: 'Only those that come from here.' }),
        includeEmpty: t.arg.boolean({
          required: true,
          defaultValue: false,
          description: 'Those whose messages are all gone, too.',
        }),
      },
      resolve: threads.flowThreads,
    },
    { name: 'ThreadConnection' },
    { name: 'ThreadEdge' },
  ),
  thread: t.field({
    type: 'Thread',
    nullable: true,
    description: 'One of its threads; null when there is none.',
    args: { databaseId: t.arg.id({ required: true, description: 'The id the upstream knows it by.' }) },
    resolve: threads.flowThread,
  }),
}))
