import { decoded } from '../resolvers/decoded.ts'
import * as threads from '../resolvers/threads.ts'
import type { Thread } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const threadColors = [
  ...(['red', 'green', 'yellow', 'cyan', 'orange'] as const),
  ...(['grey', 'black', 'lime', 'purple', 'blue'] as const),
]

const color = <Name extends string>(value: Name) => ({ value, description: `Shown in ${value}.` })

const ThreadStatusColor = builder.enumType('ThreadStatusColor', {
  description: 'The ten colors a status can have.',
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
  description: 'A link.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it says.' }),
    url: t.exposeString('url', { description: 'Where it leads.' }),
    description: t.exposeString('description', { nullable: true, description: 'More about it.' }),
    imageUrl: t.exposeString('imageUrl', { nullable: true, description: 'A picture for it.' }),
  }),
})

const EntryPoint = builder.objectRef<{ urlTemplate: string; httpMethod: string }>('EntryPoint').implement({
  description: 'Where a click goes, and how.',
  fields: (t) => ({
    urlTemplate: t.exposeString('urlTemplate', {
      description: 'The address; the upstream puts one of its own here, which passes a click on, signed.',
    }),
    httpMethod: t.exposeString('httpMethod', { description: 'The method: `POST`, `PUT` …' }),
  }),
})

builder.objectType('UpdateAction', {
  description: 'A button that changes the item at its service. `runThreadAction` clicks it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it says.' }),
    target: t.field({ type: EntryPoint, description: 'What a click does.', resolve: ({ target }) => target }),
  }),
})

const ThreadAction = builder.unionType('ThreadAction', {
  description: 'What can be clicked in a thread.',
  types: ['ViewAction', 'UpdateAction'],
  resolveType: (action) => action.kind,
})

builder.objectType('Thread', {
  sharing: 'same',
  description:
    'Messages that belong together: a conversation, or an item of an integration and what is said of it.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: threads.id }),
    databaseId: t.exposeID('id', { description: 'The id the upstream knows it by.' }),
    title: t.exposeString('title', {
      nullable: true,
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
      resolve: (thread) => decoded(thread.status),
    }),
    fields: t.field({
      type: ['ThreadField'],
      listSize: 5,
      description: 'What else is known of an item.',
      resolve: (thread) => thread.fields,
    }),
    actions: t.field({
      type: [ThreadAction],
      sharing: 'self',
      listSize: 3,
      description: 'What can be clicked.',
      resolve: (thread) => [...thread.actions],
    }),
    source: t.field({
      type: 'Source',
      nullable: true,
      description: 'The integration it came from; null for conversations.',
      resolve: (thread) => decoded(thread.source),
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
      calls: { each: 1 },
      description: 'The message that began it; null when that is gone.',
      resolve: threads.initialMessage,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'The flow it is in.',
      resolve: threads.flow,
    }),
    url: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'Its address in the REST API; null when its flow is not to be seen.',
      resolve: threads.url,
    }),
    webUrl: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description:
        'The URL of a web page that says how to read the thread. Null when its flow is not visible to you.',
      resolve: threads.webUrl,
    }),
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
  sharing: 'same',
  description: 'How an item stands.',
  fields: (t) => ({
    color: t.field({
      type: ThreadStatusColor,
      nullable: true,
      description: 'The color; null for one that is none of these.',
      resolve: ({ color }) => threadColors.find((known) => known === color) ?? null,
    }),
    value: t.exposeString('value', { description: 'In words.' }),
  }),
})

builder.objectType('ThreadField', {
  sharing: 'same',
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
      calls: { each: 1, withArgument: { name: 'last', each: 10 }, isPage: true },
      listSize: 30,
      description:
        'Its threads, the most recently updated first; those with one time by descending id; `first: 30` by default. `last` reads at most 1,000 threads.',
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
    calls: { each: 1 },
    description: 'One of its threads; null when there is none.',
    args: { databaseId: t.arg.id({ required: true, description: 'The id the upstream knows it by.' }) },
    resolve: threads.flowThread,
  }),
}))

const ThreadPayload = mutationPayload<{ thread: Thread }>('ThreadPayload', {
  description: 'A thread was made or changed.',
  fields: (t) => ({
    thread: t.field({
      type: 'Thread',
      description: 'The thread as it is now.',
      resolve: ({ thread }) => thread,
    }),
  }),
})

builder.inputType('ThreadStatusInput', {
  description: 'How an item stands.',
  fields: (t) => ({
    color: t.field({ type: ThreadStatusColor, required: true, description: 'The color.' }),
    value: t.string({ required: true, description: 'In words.' }),
  }),
})

builder.inputType('ThreadFieldInput', {
  description: 'Something known of an item.',
  fields: (t) => ({
    label: t.string({ required: true, description: 'What it is.' }),
    value: t.string({ required: true, description: 'Its value; may have HTML links.' }),
  }),
})

const CreateThreadInput = mutationInput('CreateThreadInput', {
  description: 'A thread to begin without a message.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    title: t.string({ required: true, description: 'What it is about.' }),
    body: t.string({ description: 'More about it, as HTML.' }),
    externalUrl: t.string({ description: 'A page about it.' }),
    status: t.field({ type: 'ThreadStatusInput', description: 'How it stands.' }),
    fields: t.field({ type: ['ThreadFieldInput'], description: 'What else is known of it.' }),
  }),
})

const RunThreadActionInput = mutationInput('RunThreadActionInput', {
  description: 'A button of a thread to click.',
  fields: (t) => ({
    threadId: t.id({ required: true, description: 'The global id of the thread.' }),
    name: t.string({ required: true, description: 'What the button says.' }),
  }),
})

builder.mutationFields((t) => ({
  createThread: t.field({
    type: ThreadPayload,
    description: 'Begins a thread without a message. Needs the capability `CREATE_THREAD`.',
    args: { input: t.arg({ type: CreateThreadInput, required: true, description: 'The thread.' }) },
    errors: mutationResult('CreateThreadResult', 'The thread, or why there is none.'),
    resolve: threads.createThread,
  }),
  runThreadAction: t.field({
    type: ThreadPayload,
    description: 'Clicks an update action of a thread: the integration hears who did.',
    args: { input: t.arg({ type: RunThreadActionInput, required: true, description: 'What to click.' }) },
    errors: mutationResult('RunThreadActionResult', 'The thread, or why nothing happened.'),
    resolve: threads.runThreadAction,
  }),
}))
