import * as users from '../resolvers/users.ts'
import { builder } from './builder.ts'

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
