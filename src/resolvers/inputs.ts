import type { Context } from '../context.ts'
import { NotFoundError, NotSupportedError, ValidationError } from '../errors.ts'
import type { Capability, Flow } from '../upstream/flowdock/model.ts'
import { checkFlowPath, type FlowBy, findFlow } from './flows.ts'
import { expectId, splitInFlow, splitMessageKey } from './global-id.ts'

/*
 * What inputs of mutations name. Each function throws a ValidationError for what cannot name anything and a
 * NotFoundError for what names nothing the caller may see; `path` is the input it stood in.
 */

export async function namedFlow(by: FlowBy, context: Context, path: readonly string[]): Promise<Flow> {
  const flow = await findFlow(by, context, path)
  if (flow === null) throw noSuchFlow(path)
  return flow
}

/** The path of a flow; one that is given is taken as it is, so that what is done to it is one call. */
export async function namedFlowPath(by: FlowBy, context: Context, path: readonly string[]): Promise<string> {
  if (by.path != null) return checkFlowPath(by.path, path)
  return (await namedFlow(by, context, path)).path
}

/** Where a message is, as the upstream is asked for it, and its number there. */
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
    throw new NotFoundError('There is no such organization, or you are not in it', { inputPath: path })
  return organization.slug
}

/** The path of a flow and the number of something in it whose id names both, such as a source. */
export function namedInFlow(
  typename: 'Source',
  globalId: string,
  path: readonly string[],
): { flowPath: string; id: number } {
  const { flowId, id } = splitInFlow(expectId(typename, globalId, path), path)
  return { flowPath: flowId, id: toNumber(id, path) }
}

/** @throws NotSupportedError when the upstream cannot do this */
export async function requireCapability(capability: Capability, { flowdock }: Context): Promise<void> {
  if (!(await flowdock.capabilities()).has(capability))
    throw new NotSupportedError(`The upstream cannot do this: it lacks the capability ${capability}`)
}

/** @throws ValidationError when a text has nothing in it */
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
  return new NotFoundError('There is no such flow, or it is not for you to see', { inputPath: path })
}

function toNumber(key: string, path: readonly string[]): number {
  if (/^\d{1,15}$/.test(key)) return Number(key)
  throw new ValidationError(`Expected ${path.join('.')} to be a global id of this API`, [], {
    inputPath: path,
  })
}
