import type { Access } from '../access.ts'
import { createAccumulator, type Row } from '../aggregation/accumulate.ts'
import { AggregationError } from '../aggregation/aggregation-error.ts'
import { parseAggregation } from '../aggregation/parse.ts'
import { readStored, toSubject } from '../drop-model.ts'
import { badRequest } from '../things-error.ts'
import { type FlowAddress, requireFlowOf } from './drop-requests.ts'
import { splitFilter } from './find-drops.ts'
import { readDropsOf } from './read-drops.ts'

/** Rows that sum up the drops of a flow. @throws ThingsError 400, 403, 404 */
export async function aggregateDrops(access: Access, address: FlowAddress, body: unknown): Promise<Row[]> {
  const flow = await requireFlowOf(access, address, 'dropRead')
  try {
    const aggregation = parseAggregation(body)
    const accumulator = createAccumulator(aggregation)
    const { condition } = splitFilter(access, flow, aggregation.filter)
    for await (const row of readDropsOf(access, flow, { descending: false, condition }))
      accumulator.add(toSubject(flow, row, readStored(row)), access.now)
    return accumulator.rows()
  } catch (error) {
    throw error instanceof AggregationError ? badRequest(error.message) : error
  }
}
