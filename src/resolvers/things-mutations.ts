import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { ThingsFilter } from '../upstream/flowthings/filter-text.ts'
import type { Drop, ObjectKind, ThingsFlow, ThingsObject } from '../upstream/flowthings/model.ts'
import { decodeGlobalId, expectId } from './global-id.ts'
import {
  checkThingsId,
  checkThingsPath,
  kindOfTask,
  resolveDropKey,
  resolveObject,
  resolveThingsFlowId,
  type ThingsFlowBy,
} from './things-ids.ts'

type Members = Readonly<Record<string, unknown>>
type Maybe<T> = T | null | undefined

/** The members that are given: absent ones keep their values. */
function given(members: Members): Members {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined && value !== null),
  )
}

/** The filter of a flow, track or rule as text. A blank text ends it. */
export function filterOf(
  { filter, filterText }: { filter?: Maybe<ThingsFilter>; filterText?: Maybe<string> },
  { flowthings }: Context,
): string | undefined {
  if (filter != null && filterText != null)
    throw new ValidationError('Expected either input.filter or input.filterText, got both', [], {
      inputPath: ['input', 'filterText'],
    })
  return filter == null ? (filterText ?? undefined) : flowthings.filterText(filter, ['input', 'filter'])
}

/** @throws ValidationError for what is not an object of JSON */
function checkObject(value: unknown, path: readonly string[]): Members {
  // As JSON such a number is null.
  if (!hasFiniteNumbers(value))
    throw new ValidationError(`Expected each number in ${path.join('.')} to be at most 1.8e308`, [], {
      inputPath: path,
    })
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members
  throw new ValidationError(`Expected ${path.join('.')} to be an object of JSON`, [], { inputPath: path })
}

function hasFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value !== 'object' || value === null || Object.values(value).every(hasFiniteNumbers)
}

export interface FlowInput {
  readonly path?: Maybe<string>
  readonly displayName?: Maybe<string>
  readonly description?: Maybe<string>
  readonly capacity?: Maybe<number>
  readonly filter?: Maybe<ThingsFilter>
  readonly filterText?: Maybe<string>
}

function flowMembers(input: FlowInput, context: Context): Members {
  const { path, displayName, description, capacity } = input
  return given({ path, displayName, description, capacity, filter: filterOf(input, context) })
}

export async function createFlow(
  _: unknown,
  { input }: { input: FlowInput & { path: string } },
  context: Context,
): Promise<{ flow: ThingsFlow }> {
  checkThingsPath(input.path, ['input', 'path'])
  return { flow: await context.flowthings.flows.create(flowMembers(input, context)) }
}

export async function updateFlow(
  _: unknown,
  { input: { flow, ...changes } }: { input: FlowInput & { flow: ThingsFlowBy } },
  context: Context,
): Promise<{ flow: ThingsFlow }> {
  const id = await resolveThingsFlowId(flow, context, ['input', 'flow'])
  return { flow: await context.flowthings.flows.update(id, flowMembers(changes, context)) }
}

export async function deleteFlow(
  _: unknown,
  { input }: { input: { flowId: string } },
  context: Context,
): Promise<{ deletedId: string }> {
  const path = ['input', 'flowId']
  const id = checkThingsId('flow', expectId('ThingsFlow', input.flowId, path), path)
  await context.flowthings.flows.delete(id)
  context.thingsFlowDeleted(id)
  return { deletedId: input.flowId }
}

export async function emptyFlow(
  _: unknown,
  { input }: { input: { flow: ThingsFlowBy } },
  context: Context,
): Promise<{ flow: ThingsFlow | null }> {
  const id = await resolveThingsFlowId(input.flow, context, ['input', 'flow'])
  await context.flowthings.drops.deleteAll(id)
  return { flow: await context.flowthings.load.flow(id) }
}

export interface DropInput {
  readonly elements?: unknown
  readonly fhash?: Maybe<string>
  readonly location?: Maybe<{
    readonly latitude: number
    readonly longitude: number
    readonly specifiers?: unknown
  }>
}

function dropMembers({ elements, fhash, location }: DropInput, path: readonly string[]): Members {
  return given({
    elems: elements == null ? undefined : checkObject(elements, [...path, 'elements']),
    fhash,
    location:
      location == null
        ? undefined
        : given({ lat: location.latitude, lon: location.longitude, specifiers: location.specifiers }),
  })
}

export async function createDrop(
  _: unknown,
  { input: { flow, ...drop } }: { input: DropInput & { flow: ThingsFlowBy } },
  context: Context,
): Promise<{ drop: Drop }> {
  const members = dropMembers(drop, ['input'])
  // A path is not looked up, so that the change is one call.
  const address =
    flow.path == null
      ? { id: await resolveThingsFlowId(flow, context, ['input', 'flow']) }
      : { path: checkThingsPath(flow.path, ['input', 'flow', 'path']) }
  return { drop: await context.flowthings.drops.create(address, members) }
}

export async function updateDrop(
  _: unknown,
  { input: { dropId, ...changes } }: { input: DropInput & { dropId: string } },
  { flowthings }: Context,
): Promise<{ drop: Drop }> {
  const key = resolveDropKey(dropId, ['input', 'dropId'])
  return {
    drop: await flowthings.drops.update(key.flowId, key.dropId, dropMembers(changes, ['input'])),
  }
}

const maxChanges = 100

/** Changes several drops of one flow in one call. */
export async function updateDrops(
  _: unknown,
  { input }: { input: { changes: readonly (DropInput & { dropId: string })[] } },
  { flowthings }: Context,
): Promise<{ drops: Drop[] }> {
  const { changes } = input
  if (changes.length === 0 || changes.length > maxChanges)
    throw new ValidationError(`Expected input.changes to have 1 to ${maxChanges} changes`, [], {
      inputPath: ['input', 'changes'],
    })
  const keyed = changes.map(({ dropId, ...change }, index) => {
    const path = ['input', 'changes', String(index)]
    return { key: resolveDropKey(dropId, [...path, 'dropId']), members: dropMembers(change, path) }
  })
  const flowId = keyed[0]?.key.flowId ?? ''
  const other = keyed.findIndex(({ key }) => key.flowId !== flowId)
  if (other !== -1)
    throw new ValidationError('Expected all drops to be of one flow', [], {
      inputPath: ['input', 'changes', String(other), 'dropId'],
    })
  const ids = keyed.map(({ key }) => key.dropId)
  const again = ids.findIndex((id, index) => ids.indexOf(id) !== index)
  if (again !== -1)
    throw new ValidationError('Expected each drop once', [], {
      inputPath: ['input', 'changes', String(again), 'dropId'],
    })
  const changed = await flowthings.drops.updateMany(
    flowId,
    Object.fromEntries(keyed.map(({ key, members }) => [key.dropId, members])),
  )
  return { drops: keyed.flatMap(({ key }) => changed.get(key.dropId) ?? []) }
}

export async function deleteDrop(
  _: unknown,
  { input }: { input: { dropId: string } },
  { flowthings }: Context,
): Promise<{ deletedId: string }> {
  const { flowId, dropId } = resolveDropKey(input.dropId, ['input', 'dropId'])
  await flowthings.drops.delete(flowId, dropId)
  return { deletedId: input.dropId }
}

export interface TrackInput {
  readonly sourcePath?: Maybe<string>
  readonly destinationPaths?: Maybe<readonly string[]>
  readonly filter?: Maybe<ThingsFilter>
  readonly filterText?: Maybe<string>
  readonly js?: Maybe<string>
  readonly description?: Maybe<string>
  readonly isDisabled?: Maybe<boolean>
}

export function trackMembers(input: TrackInput, context: Context): Members {
  const { sourcePath, destinationPaths, js, description, isDisabled } = input
  return given({
    source: sourcePath,
    destination: destinationPaths?.length === 1 ? destinationPaths[0] : destinationPaths,
    filter: filterOf(input, context),
    ...{ js, description, disabled: isDisabled },
  })
}

export interface GroupInput {
  readonly displayName?: Maybe<string>
  readonly description?: Maybe<string>
  readonly identityIds?: Maybe<readonly string[]>
}

export function groupMembers({ displayName, description, identityIds }: GroupInput): Members {
  const memberIds = identityIds?.map((id, index) =>
    resolveObject('identity', id, ['input', 'identityIds', String(index)]),
  )
  return given({ displayName, description, memberIds })
}

export interface GrantInput {
  readonly permissions: readonly { readonly path: string; readonly permissions: readonly string[] }[]
  readonly description?: Maybe<string>
  readonly durationMs?: Maybe<number>
}

export function grantMembers({ permissions, description, durationMs }: GrantInput): Members {
  const paths = Object.fromEntries(
    permissions.map((each) => [
      each.path,
      Object.fromEntries(each.permissions.map((permission) => [permission, true])),
    ]),
  )
  return given({ paths, description, duration: durationMs })
}

export function shareMembers(input: GrantInput & { holderId: string }): Members {
  const path = ['input', 'holderId']
  const { typename } = decodeGlobalId(input.holderId, path)
  const kind = typename === 'ThingsGroup' ? 'group' : 'identity'
  return { ...grantMembers(input), issuedTo: resolveObject(kind, input.holderId, path) }
}

export interface DeviceInput {
  readonly path?: Maybe<string>
  readonly displayName?: Maybe<string>
  readonly reportPeriodMs?: Maybe<number>
}

export function deviceMembers({ path, displayName, reportPeriodMs }: DeviceInput): Members {
  return given({ path, displayName, reportPeriodicity: reportPeriodMs })
}

export interface TaskInput {
  readonly displayName?: Maybe<string>
  readonly description?: Maybe<string>
  readonly periodMs?: Maybe<number>
  readonly isDisabled?: Maybe<boolean>
  readonly destinationPath?: Maybe<string>
  readonly sourcePath?: Maybe<string>
  readonly settings?: unknown
}

export function taskMembers(input: TaskInput): Members {
  const { displayName, description, periodMs, isDisabled, destinationPath, sourcePath, settings } = input
  return {
    ...(settings == null ? {} : checkObject(settings, ['input', 'settings'])),
    ...given({
      ...{ displayName, description, periodicity: periodMs, disabled: isDisabled },
      ...{ destination: destinationPath, source: sourcePath },
    }),
  }
}

/** The result of a change of an object. */
export interface ObjectPayload {
  readonly object: ThingsObject
}

/** Makes the resolver that creates an object of a kind. */
export function create<Input>(kind: ObjectKind, members: (input: Input, context: Context) => Members) {
  return async (_: unknown, { input }: { input: Input }, context: Context): Promise<ObjectPayload> => ({
    object: await context.flowthings.objects(kind).create(members(input, context)),
  })
}

/** Makes the resolver that changes an object of a kind. @param idField the field of the input with its global id */
export function update<Input extends object>(
  kind: ObjectKind,
  idField: keyof Input & string,
  members: (input: Input, context: Context) => Members,
) {
  return async (_: unknown, { input }: { input: Input }, context: Context): Promise<ObjectPayload> => {
    const id = resolveObject(kind, String(input[idField]), ['input', idField])
    return { object: await context.flowthings.objects(kind).update(id, members(input, context)) }
  }
}

/** Makes the resolver that deletes an object of a kind. */
export function remove<Input extends object>(kind: ObjectKind, idField: keyof Input & string) {
  return async (
    _: unknown,
    { input }: { input: Input },
    { flowthings }: Context,
  ): Promise<{ deletedId: string }> => {
    const globalId = String(input[idField])
    await flowthings.objects(kind).delete(resolveObject(kind, globalId, ['input', idField]))
    return { deletedId: globalId }
  }
}

/** The text of a new token. */
export function tokenText({ object }: ObjectPayload): string | null {
  const { tokenString } = object.members
  return typeof tokenString === 'string' ? tokenString : null
}

export async function createTask(
  _: unknown,
  { input: { kind, ...task } }: { input: TaskInput & { kind: ObjectKind } },
  { flowthings }: Context,
): Promise<ObjectPayload> {
  return { object: await flowthings.objects(kind).create(taskMembers(task)) }
}

export async function updateTask(
  _: unknown,
  { input: { taskId, ...changes } }: { input: TaskInput & { taskId: string } },
  { flowthings }: Context,
): Promise<ObjectPayload> {
  const path = ['input', 'taskId']
  const id = expectId('ThingsTask', taskId, path)
  return {
    object: await flowthings.objects(kindOfTask(id, path)).update(id, taskMembers(changes)),
  }
}

export async function deleteTask(
  _: unknown,
  { input: { taskId } }: { input: { taskId: string } },
  { flowthings }: Context,
): Promise<{ deletedId: string }> {
  const path = ['input', 'taskId']
  const id = expectId('ThingsTask', taskId, path)
  await flowthings.objects(kindOfTask(id, path)).delete(id)
  return { deletedId: taskId }
}
