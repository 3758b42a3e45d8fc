import type { Context } from '../context.ts'
import { NotFoundError } from '../errors.ts'
import type { AccessMode, Flow } from '../upstream/flowdock/model.ts'
import type { FlowBy } from './flows.ts'
import {
  checkFilled,
  requireCapability,
  resolveFlowPath,
  resolveMessage,
  resolveOrganization,
  resolveUser,
} from './inputs.ts'

/* Mutations that create and change flows and their members. */

const flowInput = ['input', 'flow']

interface FlowInput {
  readonly flow: FlowBy
}

export async function createFlow(
  _: unknown,
  { input }: { input: { organizationId: string; name: string; description?: string | null | undefined } },
  context: Context,
): Promise<{ flow: Flow }> {
  const name = checkFilled(input.name, 'name')
  const organization = await resolveOrganization(input.organizationId, context, ['input', 'organizationId'])
  const flow = await context.flowdock.flows.create(organization, name)
  if (input.description == null) return { flow }
  return { flow: await context.flowdock.flows.update(flow.path, { description: input.description }) }
}

export async function updateFlow(
  _: unknown,
  {
    input,
  }: {
    input: FlowInput & {
      name?: string | null | undefined
      description?: string | null | undefined
      access?: AccessMode | null | undefined
      isOpen?: boolean | null | undefined
    }
  },
  context: Context,
): Promise<{ flow: Flow }> {
  return change(input, context, {
    name: input.name == null ? undefined : checkFilled(input.name, 'name'),
    description: input.description ?? undefined,
    accessMode: input.access ?? undefined,
    isOpen: input.isOpen ?? undefined,
  })
}

export async function archiveFlow(
  _: unknown,
  { input }: { input: FlowInput & { archived: boolean } },
  context: Context,
): Promise<{ flow: Flow }> {
  return change(input, context, { isArchived: input.archived })
}

export async function joinFlow(
  _: unknown,
  { input }: { input: FlowInput },
  context: Context,
): Promise<{ flow: Flow }> {
  return change(input, context, { isOpen: true })
}

/** In the upstream, users leave a flow by blocking themselves. */
export async function leaveFlow(
  _: unknown,
  { input }: { input: FlowInput },
  context: Context,
): Promise<{ path: string }> {
  const path = await resolveFlowPath(input.flow, context, flowInput)
  await context.flowdock.flows.setBlocked(path, (await context.flowdock.load.viewer()).id, true)
  return { path }
}

export async function addFlowMember(
  _: unknown,
  { input }: { input: FlowInput & { userId: string } },
  context: Context,
): Promise<{ path: string }> {
  const userId = resolveUser(input.userId, ['input', 'userId'])
  const path = await resolveFlowPath(input.flow, context, flowInput)
  await context.flowdock.flows.addUser(path, userId)
  return { path }
}

export async function blockFlowMember(
  _: unknown,
  { input }: { input: FlowInput & { userId: string; blocked: boolean } },
  context: Context,
): Promise<{ path: string }> {
  const userId = resolveUser(input.userId, ['input', 'userId'])
  const path = await resolveFlowPath(input.flow, context, flowInput)
  try {
    await context.flowdock.flows.setBlocked(path, userId, input.blocked)
  } catch (error) {
    // The upstream does not say whether the flow or the user does not exist.
    if (error instanceof NotFoundError && (await context.flowdock.flows.find({ path })) !== null)
      throw new NotFoundError(error.message, { inputPath: ['input', 'userId'], cause: error })
    throw error
  }
  return { path }
}

export async function rotatePushToken(
  _: unknown,
  { input }: { input: FlowInput },
  context: Context,
): Promise<{ path: string }> {
  await requireCapability('rotatePushToken', context)
  const path = await resolveFlowPath(input.flow, context, flowInput)
  await context.flowdock.flows.rotatePushToken(path)
  return { path }
}

export async function markRead(
  _: unknown,
  { input }: { input: FlowInput & { untilMessageId?: string | null | undefined } },
  context: Context,
): Promise<{ path: string; readCount: number }> {
  await requireCapability('markRead', context)
  const path = await resolveFlowPath(input.flow, context, flowInput)
  const until =
    input.untilMessageId == null
      ? undefined
      : await resolveMessage(input.untilMessageId, context, ['input', 'untilMessageId'])
  return { path, readCount: await context.flowdock.flows.markRead(path, until?.messageId) }
}

/** The flow of a payload as it is now. Null when the viewer can no longer see it. */
export async function flowOf(
  { path }: { path: string },
  _: unknown,
  { flowdock }: Context,
): Promise<Flow | null> {
  return flowdock.flows.find({ path })
}

async function change(
  { flow }: FlowInput,
  context: Context,
  changes: Parameters<Context['flowdock']['flows']['update']>[1],
): Promise<{ flow: Flow }> {
  const path = await resolveFlowPath(flow, context, flowInput)
  return { flow: await context.flowdock.flows.update(path, changes) }
}
