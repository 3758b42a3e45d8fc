import type { WireActivity, WireActivityGroup } from '../../../wire/flowdock.ts'
import { invalid } from '../../http/errors.ts'
import {
  type ActivityGroup,
  countGroups,
  countMessages,
  type GroupCount,
  maxGroups,
  TooManyGroupsError,
} from '../../store/activity.ts'
import type { Route } from '../route.ts'
import { isoTime, joinedFlow } from './access.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Weeks begin on Monday in UTC. The epoch was a Thursday. */
const buckets = {
  hour: { bucketMs: hourMs, offsetMs: 0 },
  day: { bucketMs: dayMs, offsetMs: 0 },
  week: { bucketMs: 7 * dayMs, offsetMs: 4 * dayMs },
} as const

const groups: readonly ActivityGroup[] = ['author', 'kind', 'tag', 'source']
const maxBuckets = 1000

/** An extension: the number of messages of a flow in periods of time, by author if requested. */
export const activityRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/activity',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const { params } = request
      const bucket = params.string('bucket') ?? 'day'
      if (bucket !== 'hour' && bucket !== 'day' && bucket !== 'week')
        throw invalid({ bucket: ['must be hour, day or week'] })
      const group = params.string('group_by')
      if (group !== undefined && !groups.includes(group as ActivityGroup))
        throw invalid({ group_by: [`must be one of ${groups.join(', ')}`] })
      const until = isoTime(params, 'until') ?? Date.now()
      const since = isoTime(params, 'since') ?? until - 7 * dayMs
      const { bucketMs, offsetMs } = buckets[bucket]
      if (since >= until) throw invalid({ since: ['must be before until'] })
      if ((until - since) / bucketMs > maxBuckets)
        throw invalid({ since: [`must be at most ${maxBuckets} buckets before until`] })
      const by = group as ActivityGroup | undefined
      const query = { since, until, bucketMs, offsetMs }
      const { reader } = backend.store
      const [counts, grouped] = await Promise.all([
        countMessages(reader, flow.channel_id, query),
        by === undefined ? [] : countGroups(reader, flow.channel_id, by, query),
      ]).catch((error: unknown) => {
        if (error instanceof TooManyGroupsError)
          throw invalid({ since: [`must be nearer to until: there are more than ${maxGroups} groups`] })
        throw error
      })
      const groupsOf = Map.groupBy(grouped, (row) => row.bucket)
      const body: WireActivity = {
        since: new Date(since).toISOString(),
        until: new Date(until).toISOString(),
        buckets: counts
          .toSorted((a, b) => a.bucket - b.bucket)
          .map((row) => ({
            start: new Date(row.bucket * bucketMs + offsetMs).toISOString(),
            count: row.count,
            groups: encodeGroups(groupsOf.get(row.bucket) ?? [], by),
          })),
      }
      return { status: 200, body }
    },
  },
]

/** Groups as the API sends them. A message counts for its user, also with an external name. */
function encodeGroups(rows: readonly GroupCount[], group: ActivityGroup | undefined): WireActivityGroup[] {
  const merged = new Map<string, WireActivityGroup>()
  for (const row of rows) {
    const name = nameOf(row, group)
    const key = JSON.stringify(name)
    merged.set(key, { ...name, count: row.count + (merged.get(key)?.count ?? 0) })
  }
  return [...merged.values()]
}

function nameOf(row: GroupCount, group: ActivityGroup | undefined): Omit<WireActivityGroup, 'count'> {
  switch (group) {
    case 'author': {
      if (row.user_id !== null && row.user_id !== 0) return { user: String(row.user_id) }
      const author = row.author_json === null ? null : (JSON.parse(row.author_json) as { name?: string })
      const name = row.external_user_name ?? author?.name
      return name === undefined ? { user: '0' } : { user: '0', name }
    }
    case 'kind':
      return { event: row.event ?? '' }
    case 'tag':
      return { tag: row.tag ?? '' }
    case 'source':
      return { source: row.source_id }
    case undefined:
      return {}
  }
}
