import { decoded } from '../resolvers/decoded.ts'
import * as threads from '../resolvers/threads.ts'
import type { Thread } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const threadColors = [
  ...(['red', 'green', 'yellow', 'cyan', 'orange'] as const),
  ...(['grey', 'black', 'lime', 'purple', 'blue'] as const),
]

const color = <Name extends string>(value: Name) => ({ value, description: `Shown in ${value}.` })

const ThreadStatusColor = builder.enumType('ThreadStatusColor', {
  description: 'The color of a status.',
  values: {
    RED: color('red'),
    GREEN: color('green'),
    YELLOW: color('yellow'),
    CYAN: color('cyan'),
    ORANGE: color('orange'),
    GREY: color('grey'),
    BLACK: color('black'),
    LIME: color('lime'),
    PURPLE: color('purple'),
    BLUE: color('blue'),
  } as const,
})

builder.objectType('ViewAction', {
  description: 'A link of a thread.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The label.' }),
    url: t.exposeString('url', { description: 'The URL that the link opens.' }),
    description: t.exposeString('description', nullable('A longer description. Null when there is none.')),
    imageUrl: t.exposeString('imageUrl', nullable('The URL of a picture. Null when there is none.')),
  }),
})

const EntryPoint = builder.objectRef<{ urlTemplate: string; httpMethod: string }>('EntryPoint').implement({
  description: 'The HTTP request that a click causes.',
  fields: (t) => ({
    urlTemplate: t.exposeString('urlTemplate', {
      description:
        'The URL of the request. The upstream replaces the URL of the integration by its own, which signs a click and forwards it.',
    }),
    httpMethod: t.exposeString('httpMethod', { description: 'The HTTP method, such as `POST` or `PUT`.' }),
  }),
})

builder.objectType('UpdateAction', {
  description:
    'A button that changes the item at the service of the integration. `runThreadAction` clicks it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The label.' }),
    target: t.field({
      type: EntryPoint,
      description: 'The request that a click causes.',
      resolve: ({ target }) => target,
    }),
  }),
})

const ThreadAction = builder.unionType('ThreadAction', {
  description: 'A link or a button of a thread.',
  types: ['ViewAction', 'UpdateAction'],
  resolveType: (action) => action.kind,
})

builder.objectType('Thread', {
  sharing: 'same',
  description:
    'Messages that belong together: a conversation, or an item of an integration, such as a ticket, with its activities and comments.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: threads.id }),
    databaseId: t.exposeID('id', { description: 'The id in the upstream.' }),
    title: t.exposeString('title', {
      nullable: true,
      description:
        'The title: the first text of a conversation, or the name of an item. It may contain HTML links. Null when there is none.',
    }),
    body: t.exposeString('body', nullable('The description of an item, as HTML. Null for conversations.')),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      description: 'The URL of the item at its service. Null for conversations.',
    }),
    status: t.field({
      type: 'ThreadStatus',
      nullable: true,
      description: 'The status of an item, such as an open ticket.',
      resolve: (thread) => decoded(thread.status),
    }),
    fields: t.field({
      type: ['ThreadField'],
      listSize: 5,
      description: 'Further properties of an item. Empty for conversations.',
      resolve: (thread) => thread.fields,
    }),
    actions: t.field({
      type: [ThreadAction],
      sharing: 'self',
      listSize: 3,
      description: 'The links and buttons of an item. Empty for conversations.',
      resolve: (thread) => [...thread.actions],
    }),
    source: t.field({
      type: 'Source',
      nullable: true,
      description: 'The source that created the thread. Null for conversations.',
      resolve: (thread) => decoded(thread.source),
    }),
    activityCount: t.exposeInt('activityCount', { description: 'The number of activities.' }),
    internalCommentCount: t.exposeInt('internalCommentCount', {
      description: 'The number of messages that users wrote in the flow, including the first one.',
    }),
    externalCommentCount: t.exposeInt('externalCommentCount', {
      description: 'The number of comments at the service of the integration.',
    }),
    initialMessage: t.field({
      type: 'Message',
      nullable: true,
      calls: { each: 1 },
      description: 'The first message. Null when it was deleted or the thread began without one.',
      resolve: threads.initialMessage,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'The flow of the thread. Null when you cannot see it.',
      resolve: threads.flow,
    }),
    url: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'The URL in the REST API. Null when you cannot see the flow.',
      resolve: threads.url,
    }),
    webUrl: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description:
        'The URL of a web page that explains how to read the thread. Null when you cannot see the flow.',
      resolve: threads.webUrl,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'The time when the thread began.',
      resolve: (thread) => thread.createdAt,
    }),
    updatedAt: t.field({
      type: 'DateTime',
      description: 'The time of the last change of the thread: its newest message or activity.',
      resolve: (thread) => thread.updatedAt,
    }),
  }),
})

builder.objectType('ThreadStatus', {
  sharing: 'same',
  description: 'The status of an item, such as an open ticket.',
  fields: (t) => ({
    color: t.field({
      type: ThreadStatusColor,
      nullable: true,
      description: 'The color. Null when the integration gave another color.',
      resolve: ({ color }) => threadColors.find((known) => known === color) ?? null,
    }),
    value: t.exposeString('value', { description: 'The text, such as `open`.' }),
  }),
})

builder.objectType('ThreadField', {
  sharing: 'same',
  description: 'A property of an item.',
  fields: (t) => ({
    label: t.exposeString('label', { description: 'The name of the property.' }),
    value: t.exposeString('value', { description: 'The value, which may contain HTML links.' }),
  }),
})

const ThreadOrigin = builder.enumType('ThreadOrigin', {
  description: 'The origin of threads.',
  values: {
    CHAT: { value: 'chat', description: 'Threads that began with a chat message.' },
    INBOX: { value: 'inbox', description: 'Threads in the inbox, which sources created.' },
  } as const,
})

builder.objectFields('Flow', (t) => ({
  threads: t.connection(
    {
      type: 'Thread',
      nullable: true,
      calls: { each: 1, withArgument: { name: 'last', each: 10 }, isPage: true },
      listSize: 30,
      description:
        'The threads of the flow, the most recently updated first; threads with the same time by descending id. `first: 30` by default. `last` fails when more than 1,000 threads match. Null when they cannot be read.',
      args: {
        since: t.arg({ type: 'DateTime', description: 'Only threads that were updated after this time.' }),
        until: t.arg({ type: 'DateTime', description: 'Only threads that were updated before this time.' }),
        origin: t.arg({ type: ThreadOrigin, description: 'Only threads with this origin.' }),
        includeEmpty: t.arg.boolean({
          required: true,
          defaultValue: false,
          description: 'Whether to include threads whose messages were all deleted.',
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
    calls: { each: 1 },
    description: 'One thread of the flow. Null when it does not exist.',
    args: { databaseId: t.arg.id({ required: true, description: 'The id in the upstream.' }) },
    resolve: threads.flowThread,
  }),
}))

const ThreadPayload = mutationPayload<{ thread: Thread }>('ThreadPayload', {
  description: 'The result of a created or changed thread.',
  fields: (t) => ({
    thread: t.field({
      type: 'Thread',
      description: 'The thread after the change.',
      resolve: ({ thread }) => thread,
    }),
  }),
})

builder.inputType('ThreadStatusInput', {
  description: 'The status of an item, such as an open ticket.',
  fields: (t) => ({
    color: t.field({ type: ThreadStatusColor, required: true, description: 'The color.' }),
    value: t.string({ required: true, description: 'The text, such as `open`.' }),
  }),
})

builder.inputType('ThreadFieldInput', {
  description: 'A property of an item.',
  fields: (t) => ({
    label: t.string({ required: true, description: 'The name of the property.' }),
    value: t.string({ required: true, description: 'The value, which may contain HTML links.' }),
  }),
})

mutation('createThread', {
  description: 'Creates a thread without a message. Needs the capability `CREATE_THREAD`.',
  input: mutationInput('CreateThreadInput', {
    description: 'The thread to create.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      title: t.string({ required: true, description: 'The title.' }),
      body: t.string({ description: 'The description, as HTML.' }),
      externalUrl: t.string({ description: 'The URL of a page about the thread.' }),
      status: t.field({ type: 'ThreadStatusInput', description: 'The status.' }),
      fields: t.field({ type: ['ThreadFieldInput'], description: 'Further properties.' }),
    }),
  }),
  payload: ThreadPayload,
  resolve: threads.createThread,
})

mutation('runThreadAction', {
  description: 'Clicks a button of a thread. The integration receives the click with your name.',
  input: mutationInput('RunThreadActionInput', {
    description: 'The button to click.',
    fields: (t) => ({
      threadId: t.id({ required: true, description: 'The global id of the thread.' }),
      name: t.string({ required: true, description: 'The label of the button.' }),
    }),
  }),
  payload: ThreadPayload,
  resolve: threads.runThreadAction,
})
