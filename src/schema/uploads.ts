import * as uploads from '../resolvers/uploads.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const CreateUploadPayload = mutationPayload<uploads.UploadAddress>('CreateUploadPayload', {
  description: 'Where to put the bytes of a file.',
  fields: (t) => ({
    url: t.exposeString('path', {
      description:
        'Send the bytes here on this host, with PUT and without a credential: 201 answers `{"data":{"messageId":"…"}}`, the global id of the file message. It takes one file.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it takes none any more.',
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
})

const CreateUploadInput = mutationInput('CreateUploadInput', {
  description: 'A file to send: to a flow, to a thread, or to somebody.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', description: 'The flow; a new thread begins.' }),
    threadId: t.id({ description: 'The global id of the thread it goes to.' }),
    userId: t.id({ description: 'The global id of whom it is for in private.' }),
    name: t.string({ required: true, description: 'What the file is called.' }),
    contentType: t.string({ required: true, description: 'Its media type, such as `image/png`.' }),
    tags: t.stringList({ description: 'Tags: `release`, `#release`, `@Ada`.' }),
    uuid: t.string({ description: 'An id of your own making. The same again makes no second message.' }),
  }),
})

const UploadFilePayload = mutationPayload<{ message: Message }>('UploadFilePayload', {
  description: 'A file was stored.',
  fields: (t) => ({
    uploadedMessage: t.field({
      type: 'Message',
      description: 'The message that has it.',
      resolve: ({ message }) => message,
    }),
  }),
})

const UploadFileInput = mutationInput('UploadFileInput', {
  description: 'A file to send with the request: to a flow, to a thread, or to somebody.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', description: 'The flow; a new thread begins.' }),
    threadId: t.id({ description: 'The global id of the thread it goes to.' }),
    userId: t.id({ description: 'The global id of whom it is for in private.' }),
    file: t.field({ type: 'Upload', required: true, description: 'The file.' }),
    name: t.string({ description: 'What it is called, if not as the request says.' }),
    tags: t.stringList({ description: 'Tags: `release`, `#release`, `@Ada`.' }),
    uuid: t.string({ description: 'An id of your own making. The same again makes no second message.' }),
  }),
})

builder.mutationField('uploadFile', (t) =>
  t.field({
    type: UploadFilePayload,
    description:
      'Sends a file of up to 50 MB that comes with the request. Several files are several of these in one document.',
    args: { input: t.arg({ type: UploadFileInput, required: true, description: 'The file.' }) },
    errors: mutationResult('UploadFileResult', 'The message that has it, or why there is none.'),
    resolve: uploads.uploadFile,
  }),
)

builder.mutationField('createUpload', (t) =>
  t.field({
    type: CreateUploadPayload,
    description: 'Begins to send a file of up to 100 MB. The message is there once its bytes are.',
    args: { input: t.arg({ type: CreateUploadInput, required: true, description: 'The file.' }) },
    errors: mutationResult('CreateUploadResult', 'Where its bytes go, or why nowhere.'),
    resolve: uploads.createUpload,
  }),
)
