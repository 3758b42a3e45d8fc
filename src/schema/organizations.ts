import * as organizations from '../resolvers/organizations.ts'
import type { Organization, Subscription } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const SubscriptionType = builder.objectRef<Subscription>('OrganizationSubscription').implement({
  description:
    'The paid subscription of an organization. Dates are as the upstream sends them, such as `2026-10-26`.',
  fields: (t) => ({
    isTrial: t.exposeBoolean('isTrial', { description: 'Whether the organization is in its trial.' }),
    trialEndsOn: t.exposeString('trialEndsOn', {
      nullable: true,
      description: 'The date when the trial ends. Null when there is no trial.',
    }),
    billingOn: t.exposeString('billingOn', {
      nullable: true,
      description: 'The date of the next payment. Null when there is none.',
    }),
  }),
})

builder.objectType('Organization', {
  description: 'A company or team. It owns flows and has users.',
  sharing: 'same',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: organizations.id }),
    databaseId: t.exposeInt('id', { description: 'The number in the upstream.' }),
    name: t.exposeString('name', { description: 'The display name.' }),
    slug: t.exposeString('slug', { description: 'The part of URLs that names the organization.' }),
    userCount: t.exposeInt('userCount', {
      nullable: true,
      description: 'The number of users. Null when the upstream does not say.',
    }),
    userLimit: t.exposeInt('userLimit', {
      nullable: true,
      description:
        'The most users that the organization may have; 0 means no limit. Null when the upstream does not say.',
    }),
    isActive: t.exposeBoolean('isActive', { description: 'Whether the subscription is active.' }),
    url: t.exposeString('url', nullable('The URL in the REST API. Null when the upstream gives none.')),
    subscription: t.field({
      type: SubscriptionType,
      nullable: true,
      calls: { once: ['organizations'] },
      description: 'The paid subscription. Null when the upstream does not say.',
      resolve: organizations.subscription,
    }),
    viewerIsAdmin: t.boolean({
      nullable: true,
      calls: { each: 1, once: ['viewer'] },
      sharing: 'viewer',
      description: 'Whether you are an administrator of the organization. Null when it cannot be read.',
      resolve: organizations.viewerIsAdmin,
    }),
    users: t.connection(
      {
        type: 'OrganizationUser',
        nullable: true,
        calls: { each: 1 },
        listSize: 100,
        description:
          'The users of the organization, ordered by number; `first: 100` by default. Null when they cannot be read.',
        resolve: organizations.users,
      },
      { name: 'OrganizationUserConnection' },
      { name: 'OrganizationUserEdge' },
    ),
  }),
})

builder.objectType('OrganizationUser', {
  description: 'A member of an organization.',
  fields: (t) => ({
    user: t.field({ type: 'User', description: 'The user.', resolve: (member) => member.user }),
    isAdmin: t.exposeBoolean('isAdmin', {
      description: 'Whether the user is an administrator of the organization.',
    }),
  }),
})

const OrganizationBy = builder.inputType('OrganizationBy', {
  description: 'An organization, by exactly one of these fields.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'The global id.' }),
    databaseId: t.int({ description: 'The number in the upstream.' }),
    slug: t.string({ description: 'The part of URLs that names the organization.' }),
  }),
})

builder.queryFields((t) => ({
  organizations: t.connection(
    {
      type: 'Organization',
      calls: { once: ['organizations'] },
      listSize: 100,
      description: 'Your organizations, ordered by number; `first: 100` by default.',
      resolve: organizations.organizations,
    },
    { name: 'OrganizationConnection' },
    { name: 'OrganizationEdge' },
  ),
  organization: t.field({
    type: 'Organization',
    nullable: true,
    calls: { each: 1 },
    description: 'One organization. Null when it does not exist or you are not a member.',
    args: { by: t.arg({ type: OrganizationBy, required: true, description: 'The organization to read.' }) },
    resolve: organizations.organization,
  }),
}))

const UpdateOrganizationPayload = mutationPayload<{ organization: Organization }>(
  'UpdateOrganizationPayload',
  {
    description: 'The result of a renamed organization.',
    fields: (t) => ({
      organization: t.field({
        type: 'Organization',
        description: 'The organization after the change.',
        resolve: ({ organization }) => organization,
      }),
    }),
  },
)

const RemoveOrganizationMemberPayload = mutationPayload<{ userId: string }>(
  'RemoveOrganizationMemberPayload',
  {
    description: 'The result of a removed member.',
    fields: (t) => ({
      removedUserId: t.id({
        description: 'The global id of the removed user.',
        resolve: ({ userId }) => userId,
      }),
    }),
  },
)

mutation('updateOrganization', {
  description: 'Renames an organization. Only for administrators.',
  input: mutationInput('UpdateOrganizationInput', {
    description: 'The new name of an organization.',
    fields: (t) => ({
      organizationId: t.id({ required: true, description: 'The global id of the organization.' }),
      name: t.string({
        required: true,
        description: 'The new display name. The slug and URLs stay the same.',
      }),
    }),
  }),
  payload: UpdateOrganizationPayload,
  resolve: organizations.updateOrganization,
})

mutation('removeOrganizationMember', {
  description:
    'Removes a user from an organization and all its flows. The messages of the user stay. Only for administrators.',
  input: mutationInput('RemoveOrganizationMemberInput', {
    description: 'The user to remove from an organization.',
    fields: (t) => ({
      organizationId: t.id({ required: true, description: 'The global id of the organization.' }),
      userId: t.id({ required: true, description: 'The global id of the user.' }),
    }),
  }),
  payload: RemoveOrganizationMemberPayload,
  resolve: organizations.removeOrganizationMember,
})
