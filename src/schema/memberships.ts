import * as memberships from '../resolvers/memberships.ts'
import type { Flow } from '../upstream/flowdock/model.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const FlowPayload = mutationPayload<{ flow: Flow }>('FlowPayload', {
  description: 'The result of a created or changed flow.',
  fields: (t) => ({
    flow: t.field({ type: 'Flow', description: 'The flow after the change.', resolve: ({ flow }) => flow }),
  }),
})

const FlowMembersPayload = mutationPayload<{ path: string }>('FlowMembersPayload', {
  description: 'The result of changed members.',
  fields: (t) => ({
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow after the change. Null when you can no longer see it.',
      resolve: memberships.flowOf,
    }),
  }),
})

const RotatePushTokenPayload = mutationPayload<{ path: string }>('RotatePushTokenPayload', {
  description: 'The result of a replaced push token.',
  fields: (t) => ({
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow with its new `pushToken`. Null when you can no longer see it.',
      resolve: memberships.flowOf,
    }),
  }),
})

const MarkReadPayload = mutationPayload<{ path: string; readCount: number }>('MarkReadPayload', {
  description: 'The result of marking mentions as read.',
  fields: (t) => ({
    readCount: t.exposeInt('readCount', { description: 'The number of messages that were marked as read.' }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow after the change.',
      resolve: memberships.flowOf,
    }),
  }),
})

mutation('createFlow', {
  description: 'Creates a flow in an organization.',
  input: mutationInput('CreateFlowInput', {
    description: 'The flow to create. You become its first member.',
    fields: (t) => ({
      organizationId: t.id({ required: true, description: 'The global id of the organization.' }),
      name: t.string({ required: true, description: 'The display name, at most 100 characters.' }),
      description: t.string({ description: 'The purpose of the flow.' }),
    }),
  }),
  payload: FlowPayload,
  resolve: memberships.createFlow,
})

mutation('updateFlow', {
  description: 'Changes a flow. Every field except `isOpen` is only for administrators.',
  input: mutationInput('UpdateFlowInput', {
    description: 'The changes to a flow. Fields that are not given keep their values.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      name: t.string({ description: 'The new display name. The path and URLs stay the same.' }),
      description: t.string({ description: 'The purpose of the flow.' }),
      access: t.field({ type: 'FlowAccess', description: 'Who can join the flow.' }),
      isOpen: t.boolean({ description: 'Whether the flow is open in your list of flows.' }),
    }),
  }),
  payload: FlowPayload,
  resolve: memberships.updateFlow,
})

mutation('archiveFlow', {
  description:
    'Archives a flow, so that no one can post to it or join it, or restores it. Only for administrators.',
  input: mutationInput('ArchiveFlowInput', {
    description: 'The flow to archive or restore.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      archived: t.boolean({
        required: true,
        defaultValue: true,
        description: 'False restores the flow. Messages stay in either case.',
      }),
    }),
  }),
  payload: FlowPayload,
  resolve: memberships.archiveFlow,
})

mutation('joinFlow', {
  description: 'Joins a flow whose `access` is `ORGANIZATION`.',
  input: mutationInput('JoinFlowInput', {
    description: 'The flow to join.',
    fields: (t) => ({ flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }) }),
  }),
  payload: FlowPayload,
  resolve: memberships.joinFlow,
})

mutation('leaveFlow', {
  description: 'Leaves a flow. To return, you must be added by a member.',
  input: mutationInput('LeaveFlowInput', {
    description: 'The flow to leave.',
    fields: (t) => ({ flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }) }),
  }),
  payload: FlowMembersPayload,
  resolve: memberships.leaveFlow,
})

mutation('addFlowMember', {
  description: 'Adds a user of the organization to a flow.',
  input: mutationInput('AddFlowMemberInput', {
    description: 'The user to add to a flow.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      userId: t.id({ required: true, description: 'The global id of the user.' }),
    }),
  }),
  payload: FlowMembersPayload,
  resolve: memberships.addFlowMember,
})

mutation('blockFlowMember', {
  description:
    'Blocks a user from a flow, or unblocks the user. Only administrators can block an administrator.',
  input: mutationInput('BlockFlowMemberInput', {
    description: 'The user to block or unblock.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      userId: t.id({ required: true, description: 'The global id of the user.' }),
      blocked: t.boolean({ required: true, defaultValue: true, description: 'False unblocks the user.' }),
    }),
  }),
  payload: FlowMembersPayload,
  resolve: memberships.blockFlowMember,
})

mutation('rotatePushToken', {
  description:
    'Replaces the push token of a flow. Integrations that push with the old token are refused from then on. Only for administrators. Needs the capability `ROTATE_PUSH_TOKEN`.',
  input: mutationInput('RotatePushTokenInput', {
    description: 'The flow whose push token to replace.',
    fields: (t) => ({ flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }) }),
  }),
  payload: RotatePushTokenPayload,
  resolve: memberships.rotatePushToken,
})

mutation('markRead', {
  description: 'Marks messages of a flow that mention you as read. Needs the capability `MARK_READ`.',
  input: mutationInput('MarkReadInput', {
    description: 'The mentions to mark as read.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      untilMessageId: t.id({
        description:
          'The global id of the newest message that you have read. All mentions are marked by default.',
      }),
    }),
  }),
  payload: MarkReadPayload,
  resolve: memberships.markRead,
})
