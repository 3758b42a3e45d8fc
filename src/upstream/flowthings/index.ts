import { createThingsCalls, type ThingsCallOptions } from './calls.ts'
import { createDrops } from './drops.ts'
import { filterText, type ThingsFilter } from './filter-text.ts'
import { createThingsLoaders, type ThingsLoaders, type ThingsResources } from './loaders.ts'
import { createThingsFlows, createThingsObjects, simulateTrack } from './objects.ts'
import { createPermit } from './permits.ts'
import { readStatistics, type StatisticsBucket, type StatisticsRequest } from './statistics.ts'

/** The flowthings upstream for one account and one operation. */
export interface Flowthings extends ThingsResources {
  /** Cached reads of this operation. The other members always make a call. */
  readonly load: ThingsLoaders
  /** The text of a filter. @param path the path of the input @throws ValidationError */
  filterText(filter: ThingsFilter, path: readonly string[]): string
  /** @param path the path of the period in the input @throws ValidationError for an invalid period */
  statistics(request: StatisticsRequest, path: readonly string[]): Promise<StatisticsBucket[]>
  /** @throws NotSupportedError for a server without rules */
  createPermit(): Promise<string>
  simulateTrack(input: {
    readonly drop: Readonly<Record<string, unknown>>
    readonly js: string
  }): ReturnType<typeof simulateTrack>
}

export function createFlowthings(options: ThingsCallOptions): Flowthings {
  const calls = createThingsCalls(options)
  const resources: ThingsResources = {
    flows: createThingsFlows(calls),
    drops: createDrops(calls),
    objects: (kind) => createThingsObjects(calls, kind),
  }
  return {
    ...resources,
    load: createThingsLoaders(resources),
    filterText: (filter, path) => filterText(filter, path),
    statistics: (request, path) => readStatistics(calls, request, path),
    createPermit: () => createPermit(calls),
    simulateTrack: (input) => simulateTrack(calls, input),
  }
}
