import { listCounts } from '../../store/things/counts.ts'
import { findObject } from '../../store/things/objects.ts'
import type { Access } from '../access.ts'
import { checkId } from '../ids.ts'
import { parseBuckets, StatisticsError, statisticTypes, sumBuckets } from '../statistics.ts'
import { badRequest, forbidden, notFound } from '../things-error.ts'

export interface StatisticsRequest {
  readonly type: string
  readonly id: string
  /** Year, month and day. */
  readonly period: readonly string[]
  readonly level: string | undefined
}

/** How often something happened in each part of a period. @throws ThingsError 400, 403, 404 */
export async function readStatistics(
  access: Access,
  { type, id, period, level }: StatisticsRequest,
): Promise<number[]> {
  if (!Object.hasOwn(statisticTypes, type))
    throw badRequest(`Expected the type to be one of ${Object.keys(statisticTypes).join(', ')}`)
  await requireSeen(access, statisticTypes[type] ?? '', id)
  try {
    const buckets = parseBuckets(period, level, access.now)
    const counts = await listCounts(access.db, type, id, buckets.starts[0] ?? buckets.end, buckets.end)
    return sumBuckets(buckets, counts)
  } catch (error) {
    throw error instanceof StatisticsError ? badRequest(error.message) : error
  }
}

/** @throws ThingsError for what the principal does not see */
async function requireSeen(access: Access, letter: string, id: string): Promise<void> {
  const { db, principal } = access
  if (letter === 'f') {
    await access.requireFlow(id, 'read')
  } else if (letter === 't') {
    const track = await findObject(db, checkId(id, 'track'))
    if (track === undefined || track.account_id !== principal.account.id) throw notFound(`track "${id}"`)
    access.requireMaster('To read the statistics of a track')
  } else {
    if (checkId(id, 'identity') !== principal.account.identity_id) throw notFound(`identity "${id}"`)
    if (principal.token !== undefined)
      throw forbidden('The token does not permit to read the statistics of an identity')
  }
}
