import type { ThingsCalls } from './calls.ts'
import { decodeThingsFlow, decodeThingsList, decodeThingsMap, decodeThingsObject, record } from './decode.ts'
import { type Find, findParams } from './find.ts'
import type { ObjectKind, ThingsFlow, ThingsObject } from './model.ts'

type Members = Readonly<Record<string, unknown>>

/** Objects of one kind. */
export interface Objects<T> {
  /** By creation date. */
  find(find: Find): Promise<T[]>
  /** The upstream leaves out those that do not exist. */
  readMany(ids: readonly string[]): Promise<ReadonlyMap<string, T>>
  create(members: Members): Promise<T>
  /** Replaces the given members of an object. */
  update(id: string, changes: Members): Promise<T>
  updateMany(changes: Readonly<Record<string, Members>>): Promise<ReadonlyMap<string, T>>
  delete(id: string): Promise<void>
}

export function createThingsFlows(calls: ThingsCalls): Objects<ThingsFlow> {
  return createObjects(calls, 'flow', decodeThingsFlow)
}

export function createThingsObjects(calls: ThingsCalls, kind: ObjectKind): Objects<ThingsObject> {
  return createObjects(calls, kind, (value) => decodeThingsObject(kind, value))
}

/** All kinds have the same paths. [flowthings] HTTP API */
function createObjects<T>({ call }: ThingsCalls, kind: string, decode: (value: unknown) => T): Objects<T> {
  return {
    async find(find) {
      const query = findParams(find)
      return decodeThingsList(await call('GET', [kind], { query, doing: `list ${kind}s` }), decode)
    },
    async readMany(ids) {
      return decodeThingsMap(await call('MGET', [kind], { body: ids, doing: `read ${kind}s` }), decode)
    },
    async create(members) {
      return decode(await call('POST', [kind], { body: members, doing: `create a ${kind}` }))
    },
    async update(id, changes) {
      return decode(await call('PUT', [kind, id], { body: changes, doing: `change a ${kind}` }))
    },
    async updateMany(changes) {
      return decodeThingsMap(await call('MPUT', [kind], { body: changes, doing: `change ${kind}s` }), decode)
    },
    async delete(id) {
      await call('DELETE', [kind, id], { doing: `delete a ${kind}` })
    },
  }
}

/** The drops that a function of a track returned, as JSON, and its log output. */
export async function simulateTrack(
  { call }: ThingsCalls,
  body: { readonly drop: Members; readonly js: string },
): Promise<{
  readonly drops: readonly unknown[]
  readonly log: readonly unknown[]
  readonly errors: readonly unknown[]
}> {
  const result = record(
    await call('POST', ['track', 'simulate'], { body, doing: 'run a function' }),
    'a result',
  )
  const list = (name: string): readonly unknown[] => (Array.isArray(result[name]) ? result[name] : [])
  return { drops: list('drops'), log: list('log'), errors: list('errors') }
}
