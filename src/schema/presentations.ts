import * as presentations from '../resolvers/presentations.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const PresentPayload = mutationPayload<{ message: Message | null }>('PresentPayload', {
  description: 'An item was presented.',
  fields: (t) => ({
    presentedMessage: t.field({
      type: 'Message',
      nullable: true,
      description:
        'The activity or discussion, with its thread. Null where the upstream does not say what it made; with the credential of a member it is looked up.',
      resolve: ({ message }) => message,
    }),
  }),
})

const AuthorInput = builder.inputType('AuthorInput', {
  description: 'Who did or said something elsewhere.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The name people see.' }),
    avatarUrl: t.string({ description: 'A picture.' }),
    email: t.string({ description: 'The e-mail address.' }),
  }),
})

const ViewActionInput = builder.inputType('ViewActionInput', {
  description: 'A link.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'What it says.' }),
    url: t.string({ required: true, description: 'Where it leads.' }),
    description: t.string({ description: 'More about it.' }),
    imageUrl: t.string({ description: 'A picture for it.' }),
  }),
})

const EntryPointInput = builder.inputType('EntryPointInput', {
  description: 'Where a click goes, and how.',
  fields: (t) => ({
    urlTemplate: t.string({ required: true, description: 'The address a click is sent to, signed.' }),
    httpMethod: t.string({
      required: true,
      defaultValue: 'POST',
      description: 'The method: `POST`, `PUT`, `PATCH` or `DELETE`.',
    }),
  }),
})

const UpdateActionInput = builder.inputType('UpdateActionInput', {
  description: 'A button that changes the item.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'What it says.' }),
    target: t.field({ type: EntryPointInput, required: true, description: 'What a click does.' }),
  }),
})

const ThreadActionInput = builder.inputType('ThreadActionInput', {
  description: 'What can be clicked, in exactly one kind.',
  isOneOf: true,
  fields: (t) => ({
    view: t.field({ type: ViewActionInput, description: 'A link.' }),
    update: t.field({ type: UpdateActionInput, description: 'A button.' }),
  }),
})

const ThreadInput = builder.inputType('ThreadInput', {
  description: 'How an item stands now. It replaces what was said before; left out, all stays.',
  fields: (t) => ({
    title: t.string({ description: 'Its name; needed the first time. May have HTML links.' }),
    body: t.string({ description: 'What it is about, as HTML.' }),
    externalUrl: t.string({ description: 'Its page.' }),
    status: t.field({ type: 'ThreadStatusInput', description: 'How it stands.' }),
    fields: t.field({ type: ['ThreadFieldInput'], description: 'What else is known of it.' }),
    actions: t.field({ type: [ThreadActionInput], description: 'What can be clicked.' }),
  }),
})

const PresentInput = mutationInput('PresentInput', {
  description: 'What an integration tells of an item. With a body it is a discussion, without an activity.',
  fields: (t) => ({
    flowToken: t.string({ required: true, description: 'The token of the source, see `createSource`.' }),
    title: t.string({
      required: true,
      description: 'What happened: `closed the ticket`. May have HTML links.',
    }),
    body: t.string({ description: 'What was said, as HTML.' }),
    author: t.field({ type: AuthorInput, required: true, description: 'Who did it.' }),
    externalThreadId: t.string({
      description:
        'The item’s own id at its service; the same again is the same thread. Give this or `threadId`.',
    }),
    threadId: t.id({ description: 'The global id of the thread it goes to.' }),
    thread: t.field({ type: ThreadInput, description: 'How the item stands now.' }),
    attachments: t.field({
      type: ['Upload'],
      description: 'Files that come with the request. The body refers to them as `cid:file1`, `cid:file2` …',
    }),
    tags: t.stringList({ description: 'Tags: `release`, `#release`, `@Ada`.' }),
    uuid: t.string({ description: 'An id of your own making. The same again makes no second message.' }),
  }),
})

builder.mutationField('present', (t) =>
  t.field({
    type: PresentPayload,
    description: 'Posts as an integration. Needs no other credential than the flow token.',
    args: { input: t.arg({ type: PresentInput, required: true, description: 'What it tells.' }) },
    errors: mutationResult('PresentResult', 'What was made, or why nothing was.'),
    resolve: presentations.present,
  }),
)
