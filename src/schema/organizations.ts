import * as organizations from '../resolvers/organizations.ts'
import type { Organization } from '../upstream/flowdock/model.ts'
import { builder, mutationResult } from './builder.ts'

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
    viewerIsAdmin: t.boolean({
      nullable: true,
      description: 'Whether you administer it.',
      resolve: organizations.viewerIsAdmin,
    }),
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

const UpdateOrganizationPayload = builder
  .objectRef<{ organization: Organization }>('UpdateOrganizationPayload')
  .implement({
    description: 'An organization was changed.',
    fields: (t) => ({
      organization: t.field({
        type: 'Organization',
        description: 'The organization as it is now.',
        resolve: ({ organization }) => organization,
      }),
    }),
  })

const RemoveOrganizationMemberPayload = builder
  .objectRef<{ userId: string }>('RemoveOrganizationMemberPayload')
  .implement({
    description: 'Somebody left an organization.',
    fields: (t) => ({
      removedUserId: t.id({ description: 'Their global id.', resolve: ({ userId }) => userId }),
    }),
  })

const UpdateOrganizationInput = builder.inputType('UpdateOrganizationInput', {
  description: 'Changes to an organization. For administrators.',
  fields: (t) => ({
    organizationId: t.id({ required: true, description: 'The global id of the organization.' }),
    name: t.string({ required: true, description: 'The new name. The address stays.' }),
  }),
})

const RemoveOrganizationMemberInput = builder.inputType('RemoveOrganizationMemberInput', {
  description: 'Somebody to take out of an organization. For administrators.',
  fields: (t) => ({
    organizationId: t.id({ required: true, description: 'The global id of the organization.' }),
    userId: t.id({ required: true, description: 'The global id of the user.' }),
  }),
})

builder.mutationFields((t) => ({
  updateOrganization: t.field({
    type: UpdateOrganizationPayload,
    description: 'Renames an organization.',
    args: { input: t.arg({ type: UpdateOrganizationInput, required: true, description: 'The change.' }) },
    errors: mutationResult('UpdateOrganizationResult', 'The organization, or why it is as it was.'),
    resolve: organizations.updateOrganization,
  }),
  removeOrganizationMember: t.field({
    type: RemoveOrganizationMemberPayload,
    description: 'Takes somebody out of an organization and all its flows. What they wrote stays.',
    args: {
      input: t.arg({ type: RemoveOrganizationMemberInput, required: true, description: 'Who, and where.' }),
    },
    errors: mutationResult('RemoveOrganizationMemberResult', 'Who left, or why they did not.'),
    resolve: organizations.removeOrganizationMember,
  }),
}))
