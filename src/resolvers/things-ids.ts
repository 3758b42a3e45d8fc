import type { Context } from '../context.ts'
import { NotFoundError, ValidationError } from '../errors.ts'
import type { DropKey, ObjectKind, ThingsFlow } from '../upstream/flowthings/model.ts'
import { encodeGlobalId, encodeInFlow, expectId, splitInFlow } from './global-id.ts'

/** Names a flow of flowthings in exactly one way. */
export interface ThingsFlowBy {
  readonly id?: string | null | undefined
  readonly databaseId?: string | null | undefined
  readonly path?: string | null | undefined
}

type IdKind = ObjectKind | 'flow' | 'drop'

/** The first letters of ids. [flowthings] identifiers */
const idLetters: Readonly<Record<IdKind, string>> = {
  flow: 'f',
  drop: 'd',
  track: 't',
  group: 'g',
  identity: 'i',
  token: 'k',
  share: 's',
  device: 'v',
  'api-task': 'q',
  mqtt: 'm',
  rss: 'r',
}

/** Whether a text is an id of objects of a kind. */
function isThingsId(kind: IdKind, id: string): boolean {
  return id.startsWith(idLetters[kind]) && /^[a-z][0-9a-f]{24}$/.test(id)
}

/** The types of the schema by kinds of the upstream. */
export const typeOfKind: Readonly<Record<ObjectKind, string>> = {
  track: 'Track',
  group: 'ThingsGroup',
  identity: 'ThingsIdentity',
  token: 'ThingsToken',
  share: 'ThingsShare',
  device: 'ThingsDevice',
  'api-task': 'ThingsTask',
  mqtt: 'ThingsTask',
  rss: 'ThingsTask',
}

/** The kind of a type that is no task; undefined for another type. */
export function kindOfType(typename: string): ObjectKind | undefined {
  return (Object.keys(typeOfKind) as ObjectKind[]).find((kind) => typeOfKind[kind] === typename)
}

const kindsOfTasks: readonly ObjectKind[] = ['api-task', 'mqtt', 'rss']

export function flowGlobalId(id: string): string {
  return encodeGlobalId('ThingsFlow', id)
}

export function dropGlobalId({ flowId, dropId }: DropKey): string {
  return encodeInFlow('Drop', flowId, dropId)
}

export function objectGlobalId(kind: ObjectKind, id: string): string {
  return encodeGlobalId(typeOfKind[kind], id)
}

/** @throws ValidationError for what is no id of a flow or no path */
export async function findThingsFlow(
  by: ThingsFlowBy,
  { flowthings }: Context,
  path: readonly string[],
): Promise<ThingsFlow | null> {
  if (by.path != null) return flowthings.load.flowByPath(checkThingsPath(by.path, [...path, 'path']))
  return flowthings.load.flow(flowIdOf(by, path))
}

/** The id of a flow for a call. Only a path is looked up. @throws NotFoundError, ValidationError */
export async function resolveThingsFlowId(
  by: ThingsFlowBy,
  context: Context,
  path: readonly string[],
): Promise<string> {
  if (by.path == null) return flowIdOf(by, path)
  const flow = await findThingsFlow(by, context, path)
  if (flow === null)
    throw new NotFoundError('The flow does not exist, or you cannot see it', { inputPath: path })
  return flow.id
}

function flowIdOf(by: ThingsFlowBy, path: readonly string[]): string {
  const id = by.id == null ? (by.databaseId ?? '') : expectId('ThingsFlow', by.id, [...path, 'id'])
  return checkThingsId('flow', id, path)
}

/** @throws ValidationError for what no path can be */
export function checkThingsPath(text: string, path: readonly string[]): string {
  if (/^\/./.test(text) && text.length <= 128) return text
  throw new ValidationError(
    `Expected ${path.join('.')} to be a path such as "/account/flow"; got "${text.slice(0, 128)}"`,
    [],
    { inputPath: path },
  )
}

/** @throws ValidationError for a text that is no id of the kind */
export function checkThingsId(kind: IdKind, id: string, path?: readonly string[]): string {
  if (isThingsId(kind, id)) return id
  throw new ValidationError(
    `Expected the id of a ${kind} of flowthings, a letter and 24 hexadecimal digits; got "${id.slice(0, 60)}"`,
    [],
    { inputPath: path },
  )
}

/** @throws ValidationError for what is not the global id of a drop */
export function resolveDropKey(globalId: string, path: readonly string[]): DropKey {
  return splitDropKey(expectId('Drop', globalId, path), path)
}

export function splitDropKey(key: string, path?: readonly string[]): DropKey {
  const { flowId, id } = splitInFlow(key, path)
  return { flowId: checkThingsId('flow', flowId, path), dropId: checkThingsId('drop', id, path) }
}

/** The kind and id of an object. @throws ValidationError for a global id of another type */
export function resolveObject(kind: ObjectKind, globalId: string, path: readonly string[]): string {
  return checkThingsId(kind, expectId(typeOfKind[kind], globalId, path), path)
}

/** The kind of a task, by the letter of its id. @throws ValidationError for another id */
export function kindOfTask(id: string, path?: readonly string[]): ObjectKind {
  const kind = kindsOfTasks.find((each) => isThingsId(each, id))
  if (kind === undefined)
    throw new ValidationError('Expected the global id of a task of flowthings', [], { inputPath: path })
  return kind
}
