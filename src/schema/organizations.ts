import * as organizations from '../resolvers/organizations.ts'
import { builder } from './builder.ts'

builder.objectType('Organization', {
  description: 'A company or team; flows belong to one.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: organizations.id }),
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows it by.' }),
    name: t.exposeString('name', { description: 'The name people see.' }),
    slug: t.exposeString('slug', { description: 'The name in addresses.' }),
    userCount: t.exposeInt('userCount', { nullable: true, description: 'How many users it has.' }),
    userLimit: t.exposeInt('userLimit', {
      nullable: true,
      description: 'How many users it may have; 0 for no limit.',
    }),
    isActive: t.exposeBoolean('isActive', { description: 'Whether its subscription is active.' }),
    url: t.exposeString('url', { description: 'Its address in the REST API.' }),
    users: t.connection(
      {
        type: 'OrganizationUser',
        nullable: true,
        description: 'Its users, by id.',
        resolve: organizations.users,
      },
      { name: 'OrganizationUserConnection' },
      { name: 'OrganizationUserEdge' },
    ),
  }),
})

builder.objectType('OrganizationUser', {
  description: 'A user as a member of an organization.',
  fields: (t) => ({
    user: t.field({ type: 'User', description: 'Who it is.', resolve: (member) => member.user }),
    isAdmin: t.exposeBoolean('isAdmin', { description: 'Whether they administer the organization.' }),
  }),
})

const OrganizationBy = builder.inputType('OrganizationBy', {
  description: 'Names an organization in exactly one way.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'Its global id.' }),
    databaseId: t.int({ description: 'Its number.' }),
    slug: t.string({ description: 'Its name in addresses.' }),
  }),
})

builder.queryFields((t) => ({
  organizations: t.field({
    type: ['Organization'],
    description: 'The organizations you belong to.',
    resolve: organizations.organizations,
  }),
  organization: t.field({
    type: 'Organization',
    nullable: true,
    description: 'One organization; null when there is none or you are not in it.',
    args: { by: t.arg({ type: OrganizationBy, required: true, description: 'Which one.' }) },
    resolve: organizations.organization,
  }),
}))
