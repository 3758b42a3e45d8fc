import * as users from '../resolvers/users.ts'
import type { User } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

builder.interfaceType('Author', {
  sharing: 'same',
  description: 'Who wrote a message.',
  resolveType: (author) => ('nick' in author ? 'User' : 'ExternalAuthor'),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The full name.' }),
    avatarUrl: t.exposeString('avatarUrl', {
      nullable: true,
      description:
        'The URL of a picture; null only where the upstream has none. To one that ends in a slash, a size in pixels can be appended.',
    }),
  }),
})

builder.objectType('User', {
  sharing: 'same',
  description: 'Somebody with a Flowdock account.',
  interfaces: ['Author', builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: users.id }),
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows this user by.' }),
    nick: t.exposeString('nick', { description: 'What to write after "@".' }),
    email: t.exposeString('email', { nullable: true, description: 'The e-mail address.' }),
    url: t.string({
      nullable: true,
      sharing: 'same',
      description: 'The URL in the REST API.',
      resolve: users.url,
    }),
    websiteUrl: t.exposeString('websiteUrl', {
      nullable: true,
      description: 'Their web site, if they gave one.',
    }),
  }),
})

builder.objectType('ExternalAuthor', {
  sharing: 'same',
  description: 'Somebody who wrote through an integration or under an external name, without an account.',
  interfaces: ['Author'],
  fields: (t) => ({
    email: t.exposeString('email', {
      nullable: true,
      description: 'The e-mail address the integration gave.',
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
  description: 'Your profile was changed.',
  fields: (t) => ({
    viewer: t.field({ type: 'User', description: 'You, as you are now.', resolve: ({ user }) => user }),
  }),
})

const UpdateViewerInput = mutationInput('UpdateViewerInput', {
  description: 'Changes to your profile; what is not given stays.',
  fields: (t) => ({
    nick: t.string({ description: 'What others write after "@"; without whitespace.' }),
    email: t.string({
      description: 'The e-mail address you sign in with. The embedded backend refuses to change it.',
    }),
  }),
})

builder.mutationField('updateViewer', (t) =>
  t.field({
    type: UpdateViewerPayload,
    description: 'Changes your own profile.',
    args: { input: t.arg({ type: UpdateViewerInput, required: true, description: 'The changes.' }) },
    errors: mutationResult('UpdateViewerResult', 'You, or why you are as you were.'),
    resolve: users.updateViewer,
  }),
)

const SetAvatarPayload = mutationPayload<{ user: User }>('SetAvatarPayload', {
  description: 'Your picture was changed.',
  fields: (t) => ({
    viewer: t.field({ type: 'User', description: 'You, with the new picture.', resolve: ({ user }) => user }),
  }),
})

const SetAvatarInput = mutationInput('SetAvatarInput', {
  description: 'A picture of you.',
  fields: (t) => ({
    avatar: t.field({
      type: 'Upload',
      description:
        'A PNG, JPEG, GIF or WebP image of up to 128 KiB, square if possible. Null brings the generated picture back.',
    }),
  }),
})

builder.mutationField('setAvatar', (t) =>
  t.field({
    type: SetAvatarPayload,
    description: 'Sets the picture that others see of you.',
    args: { input: t.arg({ type: SetAvatarInput, required: true, description: 'The picture.' }) },
    errors: mutationResult('SetAvatarResult', 'You, or why your picture is the one it was.'),
    resolve: users.setAvatar,
  }),
)
