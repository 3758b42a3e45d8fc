import { ValidationError } from '../../errors.ts'
import { type Aggregation, aggregationBody, decodeRow } from './aggregation.ts'
import type { ThingsCalls } from './calls.ts'
import { decodeDrop, decodeThingsList, decodeThingsMap, record } from './decode.ts'
import { lengthInUrl, maxSubscriptionFilter, maxUrlFilterCharacters } from './filter-lists.ts'
import { filterText, type ThingsFilter } from './filter-text.ts'
import { type Find, findParams } from './find.ts'
import type { AggregationRow, Drop } from './model.ts'

/** The members of a new drop or a change, with the names of the REST API. */
export type DropMembers = Readonly<Record<string, unknown>>

export interface Drops {
  /** The drops of a flow by creation date; null if the flow does not exist. */
  find(flowId: string, find: Find): Promise<Drop[] | null>
  /** The drops of several flows in one call. The upstream leaves out flows that do not exist. */
  findInFlows(finds: ReadonlyMap<string, Find>): Promise<ReadonlyMap<string, Drop[]>>
  /** The same, without elements and location: a short response, however large the drops are. */
  findHeadsInFlows(finds: ReadonlyMap<string, Find>): Promise<ReadonlyMap<string, Drop[]>>
  /**
   * Finds no drop, so that the upstream reads a filter of a subscription.
   *
   * @param path the path of the filter in the input
   * @throws ValidationError for a filter that no text can have, that is too long, or that the upstream refuses
   */
  checkFilter(flowId: string, filter: ThingsFilter, path: readonly string[]): Promise<void>
  /** Drops of one flow by their ids. The upstream leaves out those that do not exist. */
  readMany(flowId: string, ids: readonly string[]): Promise<ReadonlyMap<string, Drop>>
  create(flow: { readonly id: string } | { readonly path: string }, members: DropMembers): Promise<Drop>
  update(flowId: string, id: string, changes: DropMembers): Promise<Drop>
  updateMany(
    flowId: string,
    changes: Readonly<Record<string, DropMembers>>,
  ): Promise<ReadonlyMap<string, Drop>>
  delete(flowId: string, id: string): Promise<void>
  /** Deletes all drops of a flow. */
  deleteAll(flowId: string): Promise<void>
  /** @param path the path of the input @throws ValidationError for what the upstream would refuse or misread */
  aggregate(flowId: string, aggregation: Aggregation, path: readonly string[]): Promise<AggregationRow[]>
}

/** The members of a drop but for its elements and location. */
const heads = { only: 'id,flowId,path,creationDate,lastEditDate,version,fhash' }
/** An id that no drop has. */
const noDrop = `d${'0'.repeat(24)}`

/** [flowthings] HTTP API, drops */
export function createDrops({ call, find, hasTypes }: ThingsCalls): Drops {
  const decode = (value: unknown) => decodeDrop(value, hasTypes)
  async function findInFlows(finds: ReadonlyMap<string, Find>, query: { readonly only?: string } = {}) {
    const body = [...finds].map(([flowId, each]) => ({ flowId, params: findParams(each) }))
    const json = await call('MGET', ['drop'], { query, body, doing: 'list drops' })
    return decodeThingsMap(json, (drops) => decodeThingsList(drops, decode))
  }
  return {
    async find(flowId, query) {
      const params = findParams(query)
      // A body has room for any filter.
      if (lengthInUrl(String(params['filter'] ?? '')) > maxUrlFilterCharacters)
        return (await findInFlows(new Map([[flowId, query]]))).get(flowId) ?? null
      const json = await find('GET', ['drop', flowId], { query: params, doing: 'list drops' })
      return json === null ? null : decodeThingsList(json, decode)
    },
    findInFlows: (finds) => findInFlows(finds),
    findHeadsInFlows: (finds) => findInFlows(finds, heads),
    async checkFilter(flowId, filter, path) {
      if (filterText(filter, path).length > maxSubscriptionFilter)
        throw new ValidationError(
          `Expected ${path.join('.')} to have at most ${maxSubscriptionFilter} characters as a text`,
          [],
          { inputPath: path },
        )
      const none = { compare: { member: 'id', comparison: '==', value: noDrop } } as const
      const finds = new Map([[flowId, { filters: [none, filter], order: 'desc', limit: 1 } as const]])
      await findInFlows(finds, heads)
    },
    async readMany(flowId, ids) {
      const json = await find('MGET', ['drop', flowId], { body: ids, doing: 'read drops' })
      return json === null ? new Map() : decodeThingsMap(json, decode)
    },
    async create(flow, members) {
      const doing = 'create a drop'
      return decode(
        'id' in flow
          ? await call('POST', ['drop', flow.id], { body: members, doing })
          : await call('POST', ['drop'], { body: { path: flow.path, ...members }, doing }),
      )
    },
    async update(flowId, id, changes) {
      return decode(await call('PUT', ['drop', flowId, id], { body: changes, doing: 'change a drop' }))
    },
    async updateMany(flowId, changes) {
      const json = await call('MPUT', ['drop', flowId], { body: changes, doing: 'change drops' })
      return decodeThingsMap(json, decode)
    },
    async delete(flowId, id) {
      await call('DELETE', ['drop', flowId, id], { doing: 'delete a drop' })
    },
    async deleteAll(flowId) {
      await call('DELETE', ['drop', flowId], { doing: 'delete the drops of a flow' })
    },
    async aggregate(flowId, aggregation, path) {
      const json = await call('POST', ['drop', flowId, 'aggregate'], {
        ...{ body: aggregationBody(aggregation, path), isRead: true },
        doing: 'aggregate drops',
      })
      return decodeThingsList(json, (row) => decodeRow(record(row, 'a row')))
    },
  }
}
