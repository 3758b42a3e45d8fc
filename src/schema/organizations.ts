import * as organizations from '../resolvers/organizations.ts'
import type { Organization, Subscription } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const SubscriptionType = builder.objectRef<Subscription>('OrganizationSubscription').implement({
  description: 'What is paid for an organization. Dates are those of the upstream: `2026-10-26`.',
  fields: (t) => ({
    isTrial: t.exposeBoolean('isTrial', { description: 'Whether it is on trial.' }),
    trialEndsOn: t.exposeString('trialEndsOn', { nullable: true, description: 'When the trial ends.' }),
    billingOn: t.exposeString('billingOn', { nullable: true, description: 'When it is paid for next.' }),
  }),
})

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
    url: t.exposeString('url', { nullable: true, description: 'The URL in the REST API.' }),
    subscription: t.field({
      type: SubscriptionType,
      nullable: true,
      calls: { once: ['organizations'] },
      description: 'What is paid for it; null where the upstream does not say.',
      resolve: organizations.subscription,
    }),
    viewerIsAdmin: t.boolean({
      nullable: true,
      calls: { each: 1, once: ['viewer'] },
      sharing: 'viewer',
      description: 'Whether you administer it.',
      resolve: organizations.viewerIsAdmin,
    }),
    users: t.connection(
      {
        type: 'OrganizationUser',
        nullable: true,
        calls: { each: 1 },
        listSize: 100,
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
  organizations: t.connection(
    {
      type: 'Organization',
      calls: { once: ['organizations'] },
      listSize: 100,
      description: 'The organizations you belong to.',
      resolve: organizations.organizations,
    },
    { name: 'OrganizationConnection' },
    { name: 'OrganizationEdge' },
  ),
  organization: t.field({
    type: 'Organization',
    nullable: true,
    calls: { each: 1 },
    description: 'One organization; null when there is none or you are not in it.',
    args: { by: t.arg({ type: OrganizationBy, required: true, description: 'Which one.' }) },
    resolve: organizations.organization,
  }),
}))

const UpdateOrganizationPayload = mutationPayload<{ organization: Organization }>(
  'UpdateOrganizationPayload',
  {
    description: 'An organization was changed.',
    fields: (t) => ({
      organization: t.field({
        type: 'Organization',
        description: 'The organization as it is now.',
        resolve: ({ organization }) => organization,
      }),
    }),
  },
)

const RemoveOrganizationMemberPayload = mutationPayload<{ userId: string }>(
  'RemoveOrganizationMemberPayload',
  {
    description: 'Somebody left an organization.',
    fields: (t) => ({
      removedUserId: t.id({ description: 'Their global id.', resolve: ({ userId }) => userId }),
    }),
  },
)

const UpdateOrganizationInput = mutationInput('UpdateOrganizationInput', {
  description: 'Changes to an organization. For administrators.',
  fields: (t) => ({
    organizationId: t.id({ required: true, description: 'The global id of the organization.' }),
    name: t.string({ required: true, description: 'The new name. The address stays.' }),
  }),
})

const RemoveOrganizationMemberInput = mutationInput('RemoveOrganizationMemberInput', {
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
