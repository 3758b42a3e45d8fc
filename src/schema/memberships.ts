import * as memberships from '../resolvers/memberships.ts'
import type { Flow } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const FlowPayload = mutationPayload<{ flow: Flow }>('FlowPayload', {
  description: 'A flow was made or changed.',
  fields: (t) => ({
    flow: t.field({ type: 'Flow', description: 'The flow as it is now.', resolve: ({ flow }) => flow }),
  }),
})

const FlowMembersPayload = mutationPayload<{ path: string }>('FlowMembersPayload', {
  description: 'Who is in a flow was changed.',
  fields: (t) => ({
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow as it is now; null when it is not for you to see any more.',
      resolve: memberships.flowOf,
    }),
  }),
})

const RotatePushTokenPayload = mutationPayload<{ path: string }>('RotatePushTokenPayload', {
  description: 'The push token of a flow was replaced.',
  fields: (t) => ({
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow with its new `pushToken`.',
      resolve: memberships.flowOf,
    }),
  }),
})

const MarkReadPayload = mutationPayload<{ path: string; readCount: number }>('MarkReadPayload', {
  description: 'Mentions were marked read.',
  fields: (t) => ({
    readCount: t.exposeInt('readCount', { description: 'How many messages that were.' }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow as it is now.',
      resolve: memberships.flowOf,
    }),
  }),
})

const CreateFlowInput = mutationInput('CreateFlowInput', {
  description: 'A flow to make. You are in it.',
  fields: (t) => ({
    organizationId: t.id({ required: true, description: 'The global id of whose it is to be.' }),
    name: t.string({ required: true, description: 'The name people see, at most 100 characters.' }),
    description: t.string({ description: 'What it is for.' }),
  }),
})

const UpdateFlowInput = mutationInput('UpdateFlowInput', {
  description: 'Changes to a flow; what is not given stays. All but `isOpen` is for administrators.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'Which one.' }),
    name: t.string({ description: 'The new name. The address stays.' }),
    description: t.string({ description: 'What it is for.' }),
    access: t.field({ type: 'FlowAccess', description: 'How people come into it.' }),
    isOpen: t.boolean({ description: 'Whether you keep a tab open for it.' }),
  }),
})

const ArchiveFlowInput = mutationInput('ArchiveFlowInput', {
  description: 'A flow to put away, or to bring back. For administrators.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'Which one.' }),
    archived: t.boolean({
      required: true,
      defaultValue: true,
      description: 'False brings it back. What was written stays either way.',
    }),
  }),
})

const FlowInput = mutationInput('FlowInput', {
  description: 'A flow.',
  fields: (t) => ({ flow: t.field({ type: 'FlowBy', required: true, description: 'Which one.' }) }),
})

const FlowMemberInput = mutationInput('FlowMemberInput', {
  description: 'Somebody of the organization, and a flow.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    userId: t.id({ required: true, description: 'The global id of the user.' }),
  }),
})

const BlockFlowMemberInput = mutationInput('BlockFlowMemberInput', {
  description: 'Somebody to shut out of a flow, or to let in again.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    userId: t.id({ required: true, description: 'The global id of the user.' }),
    blocked: t.boolean({ required: true, defaultValue: true, description: 'False lets them in again.' }),
  }),
})

const MarkReadInput = mutationInput('MarkReadInput', {
  description: 'What to mark read.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    untilMessageId: t.id({
      description: 'The global id of the newest message that was read; everything unless given.',
    }),
  }),
})

builder.mutationFields((t) => ({
  createFlow: t.field({
    type: FlowPayload,
    description: 'Makes a flow.',
    args: { input: t.arg({ type: CreateFlowInput, required: true, description: 'The flow.' }) },
    errors: mutationResult('CreateFlowResult', 'The flow, or why there is none.'),
    resolve: memberships.createFlow,
  }),
  updateFlow: t.field({
    type: FlowPayload,
    description: 'Changes a flow.',
    args: { input: t.arg({ type: UpdateFlowInput, required: true, description: 'The changes.' }) },
    errors: mutationResult('UpdateFlowResult', 'The flow, or why it is as it was.'),
    resolve: memberships.updateFlow,
  }),
  archiveFlow: t.field({
    type: FlowPayload,
    description: 'Hides a flow, so that nobody writes to it or joins it any more.',
    args: { input: t.arg({ type: ArchiveFlowInput, required: true, description: 'Which one.' }) },
    errors: mutationResult('ArchiveFlowResult', 'The flow, or why it is as it was.'),
    resolve: memberships.archiveFlow,
  }),
  joinFlow: t.field({
    type: FlowPayload,
    description: 'Makes you a member of a flow that is open to its organization.',
    args: { input: t.arg({ type: FlowInput, required: true, description: 'Which one.' }) },
    errors: mutationResult('JoinFlowResult', 'The flow, or why you are not in it.'),
    resolve: memberships.joinFlow,
  }),
  leaveFlow: t.field({
    type: FlowMembersPayload,
    description: 'Takes you out of a flow. Somebody in it has to let you in again.',
    args: { input: t.arg({ type: FlowInput, required: true, description: 'Which one.' }) },
    errors: mutationResult('LeaveFlowResult', 'What is left of it for you, or why you are still in it.'),
    resolve: memberships.leaveFlow,
  }),
  addFlowMember: t.field({
    type: FlowMembersPayload,
    description: 'Brings somebody of the organization into a flow.',
    args: { input: t.arg({ type: FlowMemberInput, required: true, description: 'Who, and where.' }) },
    errors: mutationResult('AddFlowMemberResult', 'The flow, or why they are not in it.'),
    resolve: memberships.addFlowMember,
  }),
  blockFlowMember: t.field({
    type: FlowMembersPayload,
    description: 'Shuts somebody out of a flow, or lets them in again. Only administrators can shut out one.',
    args: { input: t.arg({ type: BlockFlowMemberInput, required: true, description: 'Who, and where.' }) },
    errors: mutationResult('BlockFlowMemberResult', 'The flow, or why nothing changed.'),
    resolve: memberships.blockFlowMember,
  }),
  rotatePushToken: t.field({
    type: RotatePushTokenPayload,
    description:
      'Replaces the push token of a flow; integrations that push with the old one are refused from then on. For administrators. Needs the capability `ROTATE_PUSH_TOKEN`.',
    args: { input: t.arg({ type: FlowInput, required: true, description: 'The flow.' }) },
    errors: mutationResult('RotatePushTokenResult', 'The flow, or why its push token was not replaced.'),
    resolve: memberships.rotatePushToken,
  }),
  markRead: t.field({
    type: MarkReadPayload,
    description: 'Marks what mentions you in a flow as read. Needs the capability `MARK_READ`.',
    args: { input: t.arg({ type: MarkReadInput, required: true, description: 'What was read.' }) },
    errors: mutationResult('MarkReadResult', 'How much that was, or why nothing changed.'),
    resolve: memberships.markRead,
  }),
}))
