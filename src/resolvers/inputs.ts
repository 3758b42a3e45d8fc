import type { Context } from '../context.ts'
import { NotFoundError, NotSupportedError, ValidationError } from '../errors.ts'
import type { Capability, Flow } from '../upstream/flowdock/model.ts'
import { checkFlowPath, type FlowBy, findFlow } from './flows.ts'
import { expectId, splitInFlow, splitMessageKey } from './global-id.ts'

/*
 * Resolves the objects that inputs of mutations name. Each function throws a ValidationError for a malformed id and a
 * NotFoundError for an object that does not exist or that the viewer cannot see; `path` is the path of the input.
 */

export async function resolveFlow(by: FlowBy, context: Context, path: readonly string[]): Promise<Flow> {
  const flow = await findFlow(by, context, path)
  if (flow === null) throw noSuchFlow(path)
  return flow
}

/** The path of a flow. A given path is not looked up, so that the change is one call. */
export async function resolveFlowPath(
  by: FlowBy,
  context: Context,
  path: readonly string[],
): Promise<string> {
  if (by.path != null) return checkFlowPath(by.path, path)
  return (await resolveFlow(by, context, path)).path
}

/** The channel of a message as requests name it, and the number of the message there. */
export async function resolveMessage(
  globalId: string,
  { flowdock }: Context,
  path: readonly string[],
): Promise<{ channel: string; messageId: number }> {
  const key = splitMessageKey(expectId('Message', globalId, path), path)
  const channel = key.channel.startsWith('@') ? key.channel : await pathOf(key.channel, flowdock, path)
  return { channel, messageId: key.id }
}

export async function resolveThread(
  globalId: string,
  { flowdock }: Context,
  path: readonly string[],
): Promise<{ flowPath: string; flowId: string; threadId: string }> {
  const { flowId, id } = splitInFlow(expectId('Thread', globalId, path), path)
  return { flowPath: await pathOf(flowId, flowdock, path), flowId, threadId: id }
}

/** The number of a user. */
export function resolveUser(globalId: string, path: readonly string[]): number {
  return toNumber(expectId('User', globalId, path), path)
}

export async function resolveOrganization(
  globalId: string,
  { flowdock }: Context,
  path: readonly string[],
): Promise<string> {
  const id = toNumber(expectId('Organization', globalId, path), path)
  const organization = await flowdock.load.organization(id)
  if (organization === null)
    throw new NotFoundError('The organization does not exist, or you are not a member', { inputPath: path })
  return organization.slug
}

/** The path of a flow and the number of an object in it, from a global id that has both. */
export function resolveInFlow(
  typename: 'DropRule' | 'Source' | 'TagRule',
  globalId: string,
  path: readonly string[],
): { flowPath: string; id: number } {
  const { flowId, id } = splitInFlow(expectId(typename, globalId, path), path)
  return { flowPath: flowId, id: toNumber(id, path) }
}

/** @throws NotSupportedError when the upstream cannot do this */
export async function requireCapability(capability: Capability, { flowdock }: Context): Promise<void> {
  if (!(await flowdock.can(capability)))
    throw new NotSupportedError(`The upstream cannot make this change: it lacks the capability ${capability}`)
}

/** The text without surrounding whitespace. @throws ValidationError when it is blank */
export function checkFilled(text: string, field: string): string {
  const trimmed = text.trim()
  if (trimmed !== '') return trimmed
  throw new ValidationError(`The ${field} can't be blank`, [{ field, message: "can't be blank" }], {
    inputPath: ['input', field],
  })
}

async function pathOf(
  flowId: string,
  flowdock: Context['flowdock'],
  path: readonly string[],
): Promise<string> {
  const flow = await flowdock.load.flow(flowId)
  if (flow === null) throw noSuchFlow(path)
  return flow.path
}

function noSuchFlow(path: readonly string[]): NotFoundError {
  return new NotFoundError('The flow does not exist, or you cannot see it', { inputPath: path })
}

function toNumber(key: string, path: readonly string[]): number {
  if (/^\d{1,15}$/.test(key)) return Number(key)
  throw new ValidationError(`Expected ${path.join('.')} to be a global id of this API`, [], {
    inputPath: path,
  })
}
