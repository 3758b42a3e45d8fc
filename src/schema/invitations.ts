import * as invitations from '../resolvers/invitations.ts'
import type { FlowUser, Invitation } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const InvitationState = builder.enumType('InvitationState', {
  description: 'The state of an invitation.',
  values: {
    PENDING: { value: 'pending', description: 'The invitation has not been accepted.' },
    ACCEPTED: { value: 'accepted', description: 'The invited user has joined the flow.' },
  } as const,
})

builder.objectType('Invitation', {
  description: 'An invitation of an e-mail address to a flow.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: invitations.id }),
    databaseId: t.exposeInt('id', { description: 'The number in the upstream.' }),
    email: t.exposeString('email', {
      nullable: true,
      description: 'The invited e-mail address. Null when the upstream does not say.',
    }),
    state: t.field({
      type: InvitationState,
      description: 'Whether the invitation was accepted.',
      resolve: ({ state }) => state,
    }),
    url: t.exposeString('url', nullable('The URL in the REST API. Null when the upstream gives none.')),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      description: 'The flow of the invitation. Null when you cannot see it.',
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
      description:
        'The invitations that have not been accepted, ordered by number; `first: 100` by default. Null when they cannot be read.',
      resolve: invitations.flowInvitations,
    },
    { name: 'InvitationConnection' },
    { name: 'InvitationEdge' },
  ),
)

const InvitePayload = mutationPayload<{ invitation: Invitation }>('InvitePayload', {
  description: 'The result of an invitation.',
  fields: (t) => ({
    invitation: t.field({
      type: 'Invitation',
      description: 'The invitation. For a user of the organization it is accepted at once.',
      resolve: ({ invitation }) => invitation,
    }),
  }),
})

const ImportInvitationsPayload = mutationPayload<{
  invitations: Invitation[]
  added: FlowUser[]
  refused: string[]
}>('ImportInvitationsPayload', {
  description: 'The result of invitations to a list of e-mail addresses.',
  fields: (t) => ({
    invitations: t.field({
      type: ['Invitation'],
      listSize: 100,
      description: 'The new invitations.',
      resolve: (payload) => payload.invitations,
    }),
    addedUsers: t.field({
      type: ['FlowUser'],
      listSize: 100,
      description: 'The users of the organization who were added to the flow at once.',
      resolve: (payload) => payload.added,
    }),
    refusedAddresses: t.exposeStringList('refused', {
      description: 'The parts of the list that are not e-mail addresses.',
    }),
  }),
})

const CancelInvitationPayload = mutationPayload<{ invitationId: string }>('CancelInvitationPayload', {
  description: 'The result of a cancelled invitation.',
  fields: (t) => ({
    cancelledInvitationId: t.id({
      description: 'The global id of the cancelled invitation.',
      resolve: (payload) => payload.invitationId,
    }),
  }),
})

mutation('invite', {
  description: 'Invites an e-mail address to a flow. A user of the organization joins at once.',
  input: mutationInput('InviteInput', {
    description: 'The e-mail address to invite.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      email: t.string({ required: true, description: 'The e-mail address.' }),
    }),
  }),
  payload: InvitePayload,
  resolve: invitations.invite,
})

mutation('importInvitations', {
  description: 'Invites every e-mail address of a list to a flow.',
  input: mutationInput('ImportInvitationsInput', {
    description: 'The e-mail addresses to invite.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      list: t.string({
        required: true,
        description:
          'E-mail addresses, separated by commas or line breaks: `a@example.com, "Bea" <b@example.com>`.',
      }),
    }),
  }),
  payload: ImportInvitationsPayload,
  resolve: invitations.importInvitations,
})

mutation('cancelInvitation', {
  description: 'Cancels a pending invitation.',
  input: mutationInput('CancelInvitationInput', {
    description: 'The invitation to cancel.',
    fields: (t) => ({
      invitationId: t.id({ required: true, description: 'The global id of a pending invitation.' }),
    }),
  }),
  payload: CancelInvitationPayload,
  resolve: invitations.cancelInvitation,
})
