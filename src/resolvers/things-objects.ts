import type { Context } from '../context.ts'
import { hasRfc3339Text } from '../iso-time.ts'
import type { ObjectKind, PathPermission, ThingsFlow, ThingsObject } from '../upstream/flowthings/model.ts'
import type { Connection, PageArgs } from './pagination.ts'
import { loadIdentity, type ThingsListArgs } from './things-flows.ts'
import { objectGlobalId } from './things-ids.ts'
import { datedConnection } from './things-pages.ts'

export function id({ kind, id }: ThingsObject): string {
  return objectGlobalId(kind, id)
}

/** A member that is a text; null when it is missing or blank. */
export function text({ members }: ThingsObject, name: string): string | null {
  const value = members[name]
  return typeof value === 'string' && value !== '' ? value : null
}

/** A member that is a number; null when it is missing. */
export function number({ members }: ThingsObject, name: string): number | null {
  const value = members[name]
  return typeof value === 'number' ? value : null
}

export function json({ members }: ThingsObject, name: string): unknown {
  return members[name] ?? null
}

/** A member that is a text or a list of texts. */
export function texts({ members }: ThingsObject, name: string): string[] {
  const value = members[name]
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string')
}

/** What a token or share permits. */
export function permissions({ members }: ThingsObject): PathPermission[] {
  const { paths } = members
  if (typeof paths !== 'object' || paths === null) return []
  return Object.entries(paths as object).map(([path, given]) => ({
    path,
    permissions: Object.entries(given as object).flatMap(([name, isGiven]) =>
      isGiven === true ? [name] : [],
    ),
  }))
}

/** When a token or share ends, from the time that is left. Null when it does not end, or after the year 9999. */
export function expiresAt(object: ThingsObject, now = Date.now()): number | null {
  const left = number(object, 'expiresInMs')
  return left === null || !hasRfc3339Text(now + left) ? null : now + left
}

/** The members of a task beside those with fields of their own, without its secret. */
export function settings({ members }: ThingsObject): unknown {
  const left = new Set(['password', ...shownOfTasks])
  return Object.fromEntries(Object.entries(members).filter(([name]) => !left.has(name)))
}

const shownOfTasks = [
  ...['id', 'creationDate', 'creatorId', 'lastEditDate', 'lastEditorId', 'displayName', 'description'],
  ...['periodicity', 'disabled', 'destination', 'source', 'status'],
]

/** Reads the flow at the path in a member. */
export async function flowAt(
  object: ThingsObject,
  name: string,
  { flowthings }: Context,
): Promise<ThingsFlow | null> {
  const path = text(object, name)
  return path === null ? null : flowthings.load.flowByPath(path)
}

export async function identityIn(
  object: ThingsObject,
  name: string,
  context: Context,
): Promise<ThingsObject | null> {
  return loadIdentity(text(object, name), context)
}

export async function groupMembers(
  group: ThingsObject,
  _: unknown,
  context: Context,
): Promise<ThingsObject[]> {
  const found = await Promise.all(texts(group, 'memberIds').map((id) => loadIdentity(id, context)))
  return found.filter((each) => each !== null)
}

/** The identity or group that a share is for. */
export async function shareHolder(
  share: ThingsObject,
  _: unknown,
  { flowthings }: Context,
): Promise<ThingsObject | null> {
  const id = text(share, 'issuedTo')
  if (id === null) return null
  return flowthings.load.object(id.startsWith('g') ? 'group' : 'identity', id)
}

export async function deviceToken(
  device: ThingsObject,
  _: unknown,
  { flowthings }: Context,
): Promise<ThingsObject | null> {
  const id = text(device, 'tokenId')
  return id === null ? null : flowthings.load.object('token', id)
}

export async function identity(
  _: unknown,
  __: unknown,
  { flowthings }: Context,
): Promise<ThingsObject | null> {
  return flowthings.load.identity()
}

/** Makes the resolver of a list of objects of a kind. */
export function objects(kind: ObjectKind) {
  return (_: unknown, args: ThingsListArgs, context: Context) => listObjects(kind, args, context)
}

export async function tasks(
  _: unknown,
  { kind, ...args }: ThingsListArgs & { kind: ObjectKind },
  context: Context,
): Promise<Connection<ThingsObject>> {
  return listObjects(kind, args, context)
}

/** The tracks that read from a flow. */
export async function flowTracks(
  { path }: ThingsFlow,
  args: PageArgs,
  context: Context,
): Promise<Connection<ThingsObject>> {
  const filter = { compare: { member: 'source', comparison: '==', value: path } } as const
  return listObjects('track', { ...args, order: 'desc', filter }, context)
}

async function listObjects(
  kind: ObjectKind,
  { filter, order, ...page }: ThingsListArgs,
  { flowthings }: Context,
): Promise<Connection<ThingsObject>> {
  const list = await datedConnection<ThingsObject>(
    {
      name: kind,
      filter,
      order,
      placeOf: ({ id, created }) => ({ at: created.at, id }),
      read: (find) => flowthings.load.objects(kind, find),
    },
    page,
  )
  return list as Connection<ThingsObject>
}
