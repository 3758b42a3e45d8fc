import * as users from '../resolvers/users.ts'
import type { User } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

builder.interfaceType('Author', {
  description: 'Who wrote a message.',
  resolveType: (author) => ('nick' in author ? 'User' : 'ExternalAuthor'),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The full name.' }),
    avatarUrl: t.exposeString('avatarUrl', { nullable: true, description: 'A picture, if there is one.' }),
  }),
})

builder.objectType('User', {
  description: 'Somebody with a Flowdock account.',
  interfaces: ['Author', builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: users.id }),
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows this user by.' }),
    nick: t.exposeString('nick', { description: 'What to write after "@".' }),
    email: t.exposeString('email', { nullable: true, description: 'The e-mail address.' }),
    url: t.string({ description: 'Their address in the REST API.', resolve: users.url }),
    websiteUrl: t.exposeString('websiteUrl', {
      nullable: true,
      description: 'Their web site, if they gave one.',
    }),
  }),
})

builder.objectType('ExternalAuthor', {
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
