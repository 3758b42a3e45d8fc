import * as uploads from '../resolvers/uploads.ts'
import { builder, mutationResult } from './builder.ts'

const CreateUploadPayload = builder.objectRef<uploads.UploadAddress>('CreateUploadPayload').implement({
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

const CreateUploadInput = builder.inputType('CreateUploadInput', {
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

builder.mutationField('createUpload', (t) =>
  t.field({
    type: CreateUploadPayload,
    description: 'Begins to send a file of up to 100 MB. The message is there once its bytes are.',
    args: { input: t.arg({ type: CreateUploadInput, required: true, description: 'The file.' }) },
    errors: mutationResult('CreateUploadResult', 'Where its bytes go, or why nowhere.'),
    resolve: uploads.createUpload,
  }),
)
