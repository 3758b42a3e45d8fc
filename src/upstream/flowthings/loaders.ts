import DataLoader from 'dataloader'
import type { Drops } from './drops.ts'
import { filtersOf, lengthInUrl, maxUrlFilterCharacters } from './filter-lists.ts'
import type { Find } from './find.ts'
import type { Drop, DropKey, ObjectKind, ThingsFlow, ThingsObject } from './model.ts'
import type { Objects } from './objects.ts'

export interface ThingsResources {
  readonly flows: Objects<ThingsFlow>
  readonly drops: Drops
  objects(kind: ObjectKind): Objects<ThingsObject>
}

/**
 * The reads of one operation. Each object is read once. Null means that it does not exist, or that the account may not read it.
 */
export interface ThingsLoaders {
  flow(id: string): Promise<ThingsFlow | null>
  flowByPath(path: string): Promise<ThingsFlow | null>
  flows(find: Find): Promise<readonly ThingsFlow[]>
  drop(key: DropKey): Promise<Drop | null>
  /** The drops of a flow; null if it does not exist. */
  drops(flowId: string, find: Find): Promise<readonly Drop[] | null>
  object(kind: ObjectKind, id: string): Promise<ThingsObject | null>
  objects(kind: ObjectKind, find: Find): Promise<readonly ThingsObject[]>
  /** The identity of the account. */
  identity(): Promise<ThingsObject | null>
}

/** The most finds in one call, and the most ids. [flowthings] compatible server: 500 finds, 1000 ids */
const maxKeys = 500

/**
 * Batches the reads of a turn of the event loop: one call for each kind of flows or objects by id, one for drops by id in each
 * flow, and one for all lists of drops.
 */
export function createThingsLoaders({ flows, drops, objects }: ThingsResources): ThingsLoaders {
  const singles = new Map<string, Promise<unknown>>()
  const flowsById = new DataLoader<string, ThingsFlow | null>((ids) => inOrder(ids, flows), {
    maxBatchSize: maxKeys,
  })
  const flowsByPath = new DataLoader<string, ThingsFlow | null>(
    async (paths) => {
      const spellings = paths.flatMap((path) => [trimPath(path), `${trimPath(path)}/`])
      const found = await Promise.all(
        filtersOf('path', spellings, maxUrlFilterCharacters, lengthInUrl).map((filter) =>
          flows.find({ filters: [filter], order: 'desc', limit: spellings.length }),
        ),
      )
      const byPath = new Map(found.flat().map((flow) => [trimPath(flow.path), flow]))
      return paths.map((path) => remember(byPath.get(trimPath(path)) ?? null))
    },
    { maxBatchSize: maxKeys },
  )
  const dropLists = new DataLoader<{ flowId: string; find: Find }, readonly Drop[] | null, string>(
    async (keys) => {
      const lists = new Map<string, readonly Drop[] | null>()
      for (const round of roundsOf(keys)) {
        const [only, ...others] = round
        if (only !== undefined && others.length === 0)
          lists.set(listKey(only), await drops.find(only.flowId, only.find))
        else {
          const found = await drops.findInFlows(new Map(round.map(({ flowId, find }) => [flowId, find])))
          for (const key of round) lists.set(listKey(key), found.get(key.flowId) ?? null)
        }
      }
      return keys.map((key) => lists.get(listKey(key)) ?? null)
    },
    { cacheKeyFn: listKey, maxBatchSize: maxKeys },
  )
  const dropsByKey = new DataLoader<DropKey, Drop | null, string>(
    async (keys) => {
      const byFlow = Map.groupBy(keys, ({ flowId }) => flowId)
      const read = await Promise.all(
        [...byFlow].map(async ([flowId, of]) =>
          drops.readMany(
            flowId,
            [...of].map(({ dropId }) => dropId),
          ),
        ),
      )
      const found = new Map(read.flatMap((each) => [...each]))
      return keys.map(({ dropId }) => found.get(dropId) ?? null)
    },
    { cacheKeyFn: ({ flowId, dropId }) => `${flowId} ${dropId}`, maxBatchSize: maxKeys },
  )
  const objectLoaders = new Map<ObjectKind, DataLoader<string, ThingsObject | null>>()

  function objectLoader(kind: ObjectKind): DataLoader<string, ThingsObject | null> {
    let loader = objectLoaders.get(kind)
    if (loader === undefined) {
      loader = new DataLoader((ids) => inOrder(ids, objects(kind)), { maxBatchSize: maxKeys })
      objectLoaders.set(kind, loader)
    }
    return loader
  }

  function remember(flow: ThingsFlow | null): ThingsFlow | null {
    if (flow !== null) flowsById.prime(flow.id, flow)
    return flow
  }

  function once<T>(key: string, read: () => Promise<T>): Promise<T> {
    let reading = singles.get(key) as Promise<T> | undefined
    if (reading === undefined) {
      reading = read()
      singles.set(key, reading)
    }
    return reading
  }

  return {
    flow: (id) => flowsById.load(id),
    flowByPath: (path) => flowsByPath.load(path),
    flows: (find) =>
      once(`flows ${JSON.stringify(find)}`, async () => {
        const found = await flows.find(find)
        for (const flow of found) remember(flow)
        return found
      }),
    drop: (key) => dropsByKey.load(key),
    drops: (flowId, find) => dropLists.load({ flowId, find }),
    object: (kind, id) => objectLoader(kind).load(id),
    objects: (kind, find) =>
      once(`${kind} ${JSON.stringify(find)}`, async () => {
        const found = await objects(kind).find(find)
        for (const each of found) objectLoader(kind).prime(each.id, each)
        return found
      }),
    identity: () =>
      once('identity', async () => {
        // The first identity of the list is that of the account. [flowthings] swift-client
        const [own] = await objects('identity').find({ filters: [], order: 'desc', limit: 1 })
        return own ?? null
      }),
  }
}

/** Sorts the response by the ids. The upstream returns resources in any order, and leaves out missing ones. */
async function inOrder<T>(ids: readonly string[], objects: Objects<T>): Promise<(T | null)[]> {
  const found = await objects.readMany(ids)
  return ids.map((id) => found.get(id) ?? null)
}

function listKey({ flowId, find }: { readonly flowId: string; readonly find: Find }): string {
  return JSON.stringify([flowId, find.filters, find.order, find.limit])
}

/** Splits finds into calls, because one call can have only one find of each flow. */
function roundsOf<T extends { readonly flowId: string }>(keys: readonly T[]): T[][] {
  const rounds: T[][] = []
  const counts = new Map<string, number>()
  for (const key of keys) {
    const round = counts.get(key.flowId) ?? 0
    counts.set(key.flowId, round + 1)
    rounds[round] = [...(rounds[round] ?? []), key]
  }
  return rounds
}

/** Removes a slash at the end. */
function trimPath(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}
