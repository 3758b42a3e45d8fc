import type { Access } from '../access.ts'
import { createAccumulator, type Row } from '../aggregation/accumulate.ts'
import { AggregationError } from '../aggregation/aggregation-error.ts'
import { parseAggregation } from '../aggregation/parse.ts'
import { badRequest } from '../things-error.ts'
import { type FlowAddress, requireFlowOf } from './drop-requests.ts'
import { scanDrops } from './scan-drops.ts'

/** Rows that sum up the drops of a flow. @throws ThingsError 400, 403, 404 */
export async function aggregateDrops(access: Access, address: FlowAddress, body: unknown): Promise<Row[]> {
  const flow = await requireFlowOf(access, address, 'dropRead')
  try {
    const aggregation = parseAggregation(body)
    const accumulator = createAccumulator(aggregation)
    for await (const { subject } of scanDrops(access, flow, aggregation.filter, { descending: false }))
      accumulator.add(subject, access.now)
    return accumulator.rows()
  } catch (error) {
    throw error instanceof AggregationError ? badRequest(error.message) : error
  }
}
