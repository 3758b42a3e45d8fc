import * as invitations from '../resolvers/invitations.ts'
import type { FlowUser, Invitation } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const InvitationState = builder.enumType('InvitationState', {
  description: 'What became of an invitation.',
  values: {
    PENDING: { value: 'pending', description: 'Nobody came yet.' },
    ACCEPTED: { value: 'accepted', description: 'They are in.' },
  } as const,
})

builder.objectType('Invitation', {
  description: 'An address that was asked into a flow.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: invitations.id }),
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows it by.' }),
    email: t.exposeString('email', { nullable: true, description: 'The e-mail address that was invited.' }),
    state: t.field({
      type: InvitationState,
      description: 'What became of it.',
      resolve: ({ state }) => state,
    }),
    url: t.exposeString('url', { nullable: true, description: 'The URL in the REST API.' }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      description: 'The flow it is to.',
      resolve: invitations.flow,
    }),
  }),
})

builder.objectField('Flow', 'invitations', (t) =>
  t.connection(
    {
      type: 'Invitation',
      nullable: true,
      calls: { each: 1 },
      listSize: 100,
      description: 'Who was asked in and has not come yet.',
      resolve: invitations.flowInvitations,
    },
    { name: 'InvitationConnection' },
    { name: 'InvitationEdge' },
  ),
)

const InvitePayload = mutationPayload<{ invitation: Invitation }>('InvitePayload', {
  description: 'An address was invited.',
  fields: (t) => ({
    invitation: t.field({
      type: 'Invitation',
      description: 'The invitation; accepted at once for somebody of the organization.',
      resolve: ({ invitation }) => invitation,
    }),
  }),
})

const ImportInvitationsPayload = mutationPayload<{
  invitations: Invitation[]
  added: FlowUser[]
  refused: string[]
}>('ImportInvitationsPayload', {
  description: 'A list of addresses was invited.',
  fields: (t) => ({
    invitations: t.field({
      type: ['Invitation'],
      listSize: 100,
      description: 'Those who were asked in.',
      resolve: (payload) => payload.invitations,
    }),
    addedUsers: t.field({
      type: ['FlowUser'],
      listSize: 100,
      description: 'Those of the organization, who are in now.',
      resolve: (payload) => payload.added,
    }),
    refusedAddresses: t.exposeStringList('refused', { description: 'What is no address.' }),
  }),
})

const CancelInvitationPayload = mutationPayload<{ invitationId: string }>('CancelInvitationPayload', {
  description: 'An invitation was taken back.',
  fields: (t) => ({
    cancelledInvitationId: t.id({
      description: 'Its global id.',
      resolve: (payload) => payload.invitationId,
    }),
  }),
})

const InviteInput = mutationInput('InviteInput', {
  description: 'An address to invite.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    email: t.string({ required: true, description: 'The address.' }),
  }),
})

const ImportInvitationsInput = mutationInput('ImportInvitationsInput', {
  description: 'Addresses to invite.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    list: t.string({
      required: true,
      description: 'Addresses with commas or line breaks between: `a@example.com, "Bea" <b@example.com>`.',
    }),
  }),
})

const CancelInvitationInput = mutationInput('CancelInvitationInput', {
  description: 'An invitation to take back.',
  fields: (t) => ({
    invitationId: t.id({ required: true, description: 'The global id of a pending invitation.' }),
  }),
})

builder.mutationFields((t) => ({
  invite: t.field({
    type: InvitePayload,
    description: 'Asks an address into a flow. Somebody of the organization is in at once.',
    args: { input: t.arg({ type: InviteInput, required: true, description: 'Whom, and where.' }) },
    errors: mutationResult('InviteResult', 'The invitation, or why there is none.'),
    resolve: invitations.invite,
  }),
  importInvitations: t.field({
    type: ImportInvitationsPayload,
    description: 'Asks every address of a list into a flow.',
    args: { input: t.arg({ type: ImportInvitationsInput, required: true, description: 'Whom, and where.' }) },
    errors: mutationResult('ImportInvitationsResult', 'What became of each, or why nothing did.'),
    resolve: invitations.importInvitations,
  }),
  cancelInvitation: t.field({
    type: CancelInvitationPayload,
    description: 'Takes a pending invitation back.',
    args: { input: t.arg({ type: CancelInvitationInput, required: true, description: 'Which one.' }) },
    errors: mutationResult('CancelInvitationResult', 'What was taken back, or why it was not.'),
    resolve: invitations.cancelInvitation,
  }),
}))
