import type { Context } from '../context.ts'
import type { Flow, FlowUser, Invitation } from '../upstream/flowdock/model.ts'
import type { FlowBy } from './flows.ts'
import { encodeInFlow, expectId, splitInFlow } from './global-id.ts'
import { checkFilled, resolveFlow, resolveFlowPath } from './inputs.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'

export function id(invitation: Invitation): string {
  return encodeInFlow('Invitation', invitation.flowId, invitation.id)
}

export async function flow(invitation: Invitation, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return flowdock.load.flow(invitation.flowId)
}

export async function flowInvitations(
  flow: Flow,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<Invitation>> {
  return listConnection('invitation', await flowdock.invitations.list(flow.path), ({ id }) => id, args)
}

export async function invite(
  _: unknown,
  { input }: { input: { flow: FlowBy; email: string } },
  context: Context,
): Promise<{ invitation: Invitation }> {
  const email = checkFilled(input.email, 'email')
  const path = await resolveFlowPath(input.flow, context, ['input', 'flow'])
  return { invitation: await context.flowdock.invitations.create(path, email) }
}

export async function importInvitations(
  _: unknown,
  { input }: { input: { flow: FlowBy; list: string } },
  context: Context,
): Promise<{ invitations: Invitation[]; added: FlowUser[]; refused: string[] }> {
  const list = checkFilled(input.list, 'list')
  const path = await resolveFlowPath(input.flow, context, ['input', 'flow'])
  return context.flowdock.invitations.import(path, list)
}

export async function cancelInvitation(
  _: unknown,
  { input }: { input: { invitationId: string } },
  context: Context,
): Promise<{ invitationId: string }> {
  const path = ['input', 'invitationId']
  const key = splitInFlow(expectId('Invitation', input.invitationId, path), path)
  const { path: flowPath } = await resolveFlow({ databaseId: key.flowId }, context, path)
  await context.flowdock.invitations.delete(flowPath, Number(key.id))
  return { invitationId: input.invitationId }
}
