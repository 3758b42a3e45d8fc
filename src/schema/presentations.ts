import * as presentations from '../resolvers/presentations.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { builder } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const PresentPayload = mutationPayload<{ message: Message | null }>('PresentPayload', {
  description: 'The result of a posted item.',
  fields: (t) => ({
    presentedMessage: t.field({
      type: 'Message',
      nullable: true,
      description:
        'The posted activity or discussion. Null when the upstream does not return it and the request has no credential of a member with which it could be read.',
      resolve: ({ message }) => message,
    }),
  }),
})

const AuthorInput = builder.inputType('AuthorInput', {
  description: 'The author of an activity or comment at the service of the integration.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The display name.' }),
    avatarUrl: t.string({ description: 'The URL of a picture.' }),
    email: t.string({ description: 'The e-mail address.' }),
  }),
})

const ViewActionInput = builder.inputType('ViewActionInput', {
  description: 'A link.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The label.' }),
    url: t.string({ required: true, description: 'The URL that the link opens.' }),
    description: t.string({ description: 'A longer description.' }),
    imageUrl: t.string({ description: 'The URL of a picture.' }),
  }),
})

const EntryPointInput = builder.inputType('EntryPointInput', {
  description: 'The HTTP request that a click causes.',
  fields: (t) => ({
    urlTemplate: t.string({ required: true, description: 'The URL that receives the signed request.' }),
    httpMethod: t.string({
      required: true,
      defaultValue: 'POST',
      description: 'The HTTP method: `POST`, `PUT`, `PATCH` or `DELETE`.',
    }),
  }),
})

const UpdateActionInput = builder.inputType('UpdateActionInput', {
  description: 'A button that changes the item at its service.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The label.' }),
    target: t.field({
      type: EntryPointInput,
      required: true,
      description: 'The request that a click causes.',
    }),
  }),
})

const ThreadActionInput = builder.inputType('ThreadActionInput', {
  description: 'A link or a button: exactly one of these fields.',
  isOneOf: true,
  fields: (t) => ({
    view: t.field({ type: ViewActionInput, description: 'A link.' }),
    update: t.field({ type: UpdateActionInput, description: 'A button.' }),
  }),
})

const ThreadInput = builder.inputType('ThreadInput', {
  description: 'The state of the item. Fields that are not given keep their values.',
  fields: (t) => ({
    title: t.string({
      description: 'The name of the item, which may contain HTML links. Required when the thread is new.',
    }),
    body: t.string({ description: 'The description, as HTML.' }),
    externalUrl: t.string({ description: 'The URL of the item at its service.' }),
    status: t.field({ type: 'ThreadStatusInput', description: 'The status.' }),
    fields: t.field({ type: ['ThreadFieldInput'], description: 'Further properties.' }),
    actions: t.field({ type: [ThreadActionInput], description: 'The links and buttons.' }),
  }),
})

mutation('present', {
  description:
    'Posts an activity or discussion as an integration. Needs no credential except the flow token.',
  input: mutationInput('PresentInput', {
    description: 'What an integration posts about an item: a discussion with `body`, an activity without.',
    fields: (t) => ({
      flowToken: t.string({
        required: true,
        description: 'The flow token of the source, which `createSource` returns.',
      }),
      title: t.string({
        required: true,
        description: 'What happened, such as `closed the ticket`. It may contain HTML links.',
      }),
      body: t.string({ description: 'The text of a comment, as HTML.' }),
      author: t.field({ type: AuthorInput, required: true, description: 'The author.' }),
      externalThreadId: t.string({
        description:
          'The id of the item at its service. Posts with the same id go to the same thread. Give either this or `threadId`.',
      }),
      threadId: t.id({ description: 'The global id of the thread. Give either this or `externalThreadId`.' }),
      thread: t.field({ type: ThreadInput, description: 'The new state of the item.' }),
      attachments: t.field({
        type: ['Upload'],
        description: 'Files of the request. `body` refers to them as `cid:file1`, `cid:file2` and so on.',
      }),
      tags: t.stringList({ description: 'The tags, such as `release`, `#release` or `@Ada`.' }),
      uuid: t.string({
        description: 'An id that you choose. A request that repeats it makes no second message.',
      }),
    }),
  }),
  payload: PresentPayload,
  resolve: presentations.present,
})
