import * as users from '../resolvers/users.ts'
import type { User } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

builder.interfaceType('Author', {
  sharing: 'same',
  description: 'The author of a message: a user, or a name that an integration gave.',
  resolveType: (author) => ('nick' in author ? 'User' : 'ExternalAuthor'),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The full name.' }),
    avatarUrl: t.exposeString('avatarUrl', {
      nullable: true,
      description:
        'The URL of the picture. Null when there is none. When the URL ends in a slash, a size in pixels can be appended.',
    }),
  }),
})

builder.objectType('User', {
  sharing: 'same',
  description: 'A person with a Flowdock account.',
  interfaces: ['Author', builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: users.id }),
    databaseId: t.exposeInt('id', { description: 'The number of the user in the upstream.' }),
    nick: t.exposeString('nick', { description: 'The nickname, which mentions the user after `@`.' }),
    email: t.exposeString('email', nullable('The e-mail address. Null when the upstream does not say.')),
    url: t.string({
      nullable: true,
      sharing: 'same',
      description: 'The URL in the REST API.',
      resolve: users.url,
    }),
    websiteUrl: t.exposeString('websiteUrl', {
      nullable: true,
      description: 'The web site of the user. Null when the user gave none.',
    }),
  }),
})

builder.objectType('ExternalAuthor', {
  sharing: 'same',
  description: 'An author without an account, whose name an integration gave.',
  interfaces: ['Author'],
  fields: (t) => ({
    email: t.exposeString('email', {
      nullable: true,
      description: 'The e-mail address that the integration gave. Null when it gave none.',
    }),
  }),
})

builder.queryField('viewer', (t) =>
  t.field({
    type: 'User',
    calls: { once: ['viewer'] },
    description: 'The user whose credential this request carries.',
    resolve: users.viewer,
  }),
)

const UpdateViewerPayload = mutationPayload<{ user: User }>('UpdateViewerPayload', {
  description: 'The result of a changed profile.',
  fields: (t) => ({
    viewer: t.field({
      type: 'User',
      description: 'Your user after the change.',
      resolve: ({ user }) => user,
    }),
  }),
})

mutation('updateViewer', {
  description: 'Changes your profile.',
  input: mutationInput('UpdateViewerInput', {
    description: 'The changes to your profile. Fields that are not given keep their values.',
    fields: (t) => ({
      nick: t.string({ description: 'The new nickname, without whitespace.' }),
      email: t.string({
        description: 'The e-mail address you sign in with. The embedded backend refuses to change it.',
      }),
    }),
  }),
  payload: UpdateViewerPayload,
  resolve: users.updateViewer,
})
const SetAvatarPayload = mutationPayload<{ user: User }>('SetAvatarPayload', {
  description: 'The result of a changed picture.',
  fields: (t) => ({
    viewer: t.field({
      type: 'User',
      description: 'Your user after the change.',
      resolve: ({ user }) => user,
    }),
  }),
})

mutation('setAvatar', {
  description: 'Sets your picture. Needs the capability `AVATAR`.',
  input: mutationInput('SetAvatarInput', {
    description: 'The new picture.',
    fields: (t) => ({
      avatar: t.field({
        type: 'Upload',
        description:
          'A PNG, JPEG, GIF or WebP image of up to 128 KiB, preferably square. Null restores the generated picture.',
      }),
    }),
  }),
  payload: SetAvatarPayload,
  resolve: users.setAvatar,
})
