import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Aggregation } from '../upstream/flowthings/aggregation.ts'
import type { AggregationRow, ThingsFlow } from '../upstream/flowthings/model.ts'
import type { StatisticsBucket, StatisticsPeriod } from '../upstream/flowthings/statistics.ts'

/** Rows of an aggregation. */
export interface DropAggregation {
  readonly rows: readonly AggregationRow[]
}

/** Counts of the parts of a period. */
export interface ThingsStatistics {
  readonly buckets: readonly StatisticsBucket[]
}

/** The most rows of one response. */
const maxRows = 1000

export async function aggregate(
  flow: ThingsFlow,
  { input }: { input: Aggregation },
  { flowthings }: Context,
): Promise<DropAggregation> {
  return { rows: await flowthings.drops.aggregate(flow.id, input, ['input']) }
}

export function rows({ rows }: DropAggregation, { first }: { first: number }): readonly AggregationRow[] {
  if (first >= 1 && first <= maxRows) return rows.slice(0, first)
  throw new ValidationError(`Expected first to be 1 to ${maxRows}, got ${first}`, [], {
    inputPath: ['first'],
  })
}

export interface StatisticsInput<Kind extends string> extends StatisticsPeriod {
  readonly kind: Kind
}

/** How often something happened to an object. */
export async function statistics(
  { id }: { readonly id: string },
  { input: { kind, ...period } }: { input: StatisticsInput<string> },
  { flowthings }: Context,
): Promise<ThingsStatistics> {
  return { buckets: await flowthings.statistics({ type: kind, id, period }, ['input']) }
}

export function total({ buckets }: ThingsStatistics): number {
  return buckets.reduce((sum, { count }) => sum + count, 0)
}
