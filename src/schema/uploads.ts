import * as uploads from '../resolvers/uploads.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const CreateUploadPayload = mutationPayload<uploads.UploadUrl>('CreateUploadPayload', {
  description: 'The URL that takes the bytes of a file.',
  fields: (t) => ({
    url: t.exposeString('path', {
      description:
        'The path on this host to which you send the bytes with PUT, without a credential. The response is 201 with `{"data":{"messageId":"…"}}`, the global id of the file message. A second PUT makes no second message.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'The time when the URL expires.',
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
})

const UploadFilePayload = mutationPayload<{ message: Message }>('UploadFilePayload', {
  description: 'The result of a sent file.',
  fields: (t) => ({
    uploadedMessage: t.field({
      type: 'Message',
      description: 'The message with the file.',
      resolve: ({ message }) => message,
    }),
  }),
})

mutation('uploadFile', {
  description:
    'Sends a file of up to 50 MB that is part of the request. To send several files, repeat this field with aliases.',
  input: mutationInput('UploadFileInput', {
    description: 'The file to send. Give exactly one of `flow`, `threadId` and `userId`.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', description: 'Send to this flow, in a new thread.' }),
      threadId: t.id({ description: 'Send to the thread with this global id.' }),
      userId: t.id({ description: 'Send privately to the user with this global id.' }),
      file: t.field({ type: 'Upload', required: true, description: 'The file.' }),
      name: t.string({
        description: 'The file name, at most 255 bytes. The name in the request by default.',
      }),
      tags: t.stringList({ description: 'The tags, such as `release`, `#release` or `@Ada`.' }),
      uuid: t.string({
        description: 'An id that you choose. A request that repeats it makes no second message.',
      }),
    }),
  }),
  payload: UploadFilePayload,
  resolve: uploads.uploadFile,
})
mutation('createUpload', {
  description:
    'Returns a URL that takes a file of up to 100 MB. The message is posted when the bytes have arrived.',
  input: mutationInput('CreateUploadInput', {
    description: 'The file to send. Give exactly one of `flow`, `threadId` and `userId`.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', description: 'Send to this flow, in a new thread.' }),
      threadId: t.id({ description: 'Send to the thread with this global id.' }),
      userId: t.id({ description: 'Send privately to the user with this global id.' }),
      name: t.string({ required: true, description: 'The file name, at most 255 bytes.' }),
      contentType: t.string({ required: true, description: 'The media type, such as `image/png`.' }),
      tags: t.stringList({ description: 'The tags, such as `release`, `#release` or `@Ada`.' }),
      uuid: t.string({
        description: 'An id that you choose. A request that repeats it makes no second message.',
      }),
    }),
  }),
  payload: CreateUploadPayload,
  resolve: uploads.createUpload,
})
