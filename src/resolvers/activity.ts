import type { Context, LiveEvents } from '../context.ts'
import { NotFoundError, UpstreamError, ValidationError } from '../errors.ts'
import type {
  ActivityCount,
  ActivityGroup,
  ActivityGroupBy,
  ExternalAuthor,
  Flow,
  FlowEvent,
  Message,
  Source,
  User,
} from '../upstream/flowdock/model.ts'
import { checkRange, requireFlow } from './events.ts'
import { type FlowBy, findFlow } from './flows.ts'
import { maxPageSize } from './pagination.ts'

interface ActivityArgs {
  readonly since?: number | null | undefined
  readonly until?: number | null | undefined
  readonly bucket: 'hour' | 'day' | 'week'
  readonly groupBy?: ActivityGroupBy | null | undefined
}

export interface FlowActivity {
  readonly since: number
  readonly until: number
  /** The time from which on every message was counted. */
  readonly coveredSince: number
  readonly buckets: readonly ActivityBucket[]
}

export interface ActivityBucket {
  readonly start: number
  readonly end: number
  readonly count: number
  readonly groups: readonly GroupInFlow[]
}

/** A group, and the flow it was counted in. */
export type GroupInFlow = ActivityGroup & { readonly flowPath: string }

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Weeks begin on Mondays, and the epoch was a Thursday. */
const buckets = {
  hour: { lengthMs: hourMs, offsetMs: 0 },
  day: { lengthMs: dayMs, offsetMs: 0 },
  week: { lengthMs: 7 * dayMs, offsetMs: 4 * dayMs },
}
const maxBuckets = 1000
/** How many pages of 100 messages are counted where the upstream does not count. */
const maxPages = 10

/** Service messages are not counted. */
const notWritten: readonly Message['kind'][] = ['ActionMessage', 'TagChange', 'MessageEdit', 'MessageDelete']

/** The number of messages in a flow: from the upstream if it can count, else from the newest 1,000 messages. */
export async function activity(flow: Flow, args: ActivityArgs, { flowdock }: Context): Promise<FlowActivity> {
  const { lengthMs, offsetMs } = buckets[args.bucket]
  const until = args.until ?? Date.now()
  const since = args.since ?? until - 7 * dayMs
  if (since >= until) throw new ValidationError('Expected since to be before until')
  if ((until - since) / lengthMs > maxBuckets)
    throw new ValidationError(
      `Expected since to be at most ${maxBuckets} ${args.bucket}s before until; take longer buckets`,
    )
  const groupBy = args.groupBy ?? undefined
  const startOf = (time: number) => Math.floor((time - offsetMs) / lengthMs) * lengthMs + offsetMs
  const counted = (await flowdock.can('activity'))
    ? {
        coveredSince: since,
        counts: await flowdock.flows.activity(flow.path, { since, until, bucket: args.bucket, groupBy }),
      }
    : await count(flow, { since, until, startOf, groupBy }, flowdock)
  const byStart = new Map(counted.counts.map((each) => [each.start, each]))
  const filled: ActivityBucket[] = []
  for (let start = startOf(since); start < until; start += lengthMs) {
    const found = byStart.get(start)
    const groups = (found?.groups ?? []).toSorted(
      (a, b) => b.count - a.count || (keyOf(a) < keyOf(b) ? -1 : 1),
    )
    filled.push({
      start,
      end: start + lengthMs,
      count: found?.count ?? 0,
      groups: groups.map((group) => ({ ...group, flowPath: flow.path })),
    })
  }
  return { since, until, coveredSince: counted.coveredSince, buckets: filled }
}

/** Counts the newest messages page by page, until a page is older than `since`. */
async function count(
  flow: Flow,
  query: {
    since: number
    until: number
    startOf: (time: number) => number
    groupBy: ActivityGroupBy | undefined
  },
  flowdock: Context['flowdock'],
): Promise<{ coveredSince: number; counts: ActivityCount[] }> {
  const counts = new Map<number, { count: number; groups: Map<string, ActivityGroup> }>()
  let before: number | undefined
  let oldest = query.until
  for (let page = 0; page < maxPages && oldest >= query.since; page += 1) {
    const { items: messages, sent } = await flowdock.messages.list(flow.path, undefined, {
      before,
      from: 'newest',
      limit: maxPageSize,
    })
    for (const message of messages) {
      if (message.sentAt < query.since || message.sentAt >= query.until) continue
      if (notWritten.includes(message.kind) || isDeleted(message)) continue
      const start = query.startOf(message.sentAt)
      const bucket = counts.get(start) ?? { count: 0, groups: new Map<string, ActivityGroup>() }
      bucket.count += 1
      for (const group of groupsOf(message, query.groupBy)) {
        const key = keyOf(group)
        bucket.groups.set(key, { ...group, count: (bucket.groups.get(key)?.count ?? 0) + 1 })
      }
      counts.set(start, bucket)
    }
    const first = messages[0]
    before = first?.id
    oldest = first?.sentAt ?? Number.NEGATIVE_INFINITY
    if (sent < maxPageSize) oldest = Number.NEGATIVE_INFINITY
  }
  return {
    coveredSince: Math.max(oldest, query.since),
    counts: [...counts].map(([start, bucket]) => ({
      start,
      count: bucket.count,
      groups: [...bucket.groups.values()],
    })),
  }
}

function sourceIdOf({ thread }: Message): number | null {
  const source = thread?.source ?? null
  return source === null || source instanceof UpstreamError ? null : source.id
}

/** Whether a message was deleted. [flowdock] messages.md: a chat message stays, without its text. */
function isDeleted(message: Message): boolean {
  return (message.kind === 'ChatMessage' || message.kind === 'Comment') && message.content === ''
}

const noGroup: ActivityGroup = {
  count: 0,
  userId: null,
  authorName: null,
  event: null,
  tag: null,
  sourceId: null,
}

function groupsOf(message: Message, groupBy: ActivityGroupBy | undefined): ActivityGroup[] {
  switch (groupBy) {
    case undefined:
      return []
    case 'author': {
      const { userId, externalAuthor } = message
      return [{ ...noGroup, userId, authorName: userId === null ? (externalAuthor?.name ?? null) : null }]
    }
    case 'kind':
      return [{ ...noGroup, event: message.event }]
    case 'tag':
      return [...new Set(message.tags.map((tag) => tag.normalize().toLowerCase()))]
        .filter((tag) => !/^(:|influx:)/.test(tag))
        .map((tag) => ({ ...noGroup, tag }))
    case 'source':
      return [{ ...noGroup, sourceId: sourceIdOf(message) }]
  }
}

function keyOf({ userId, authorName, event, tag, sourceId }: ActivityGroup): string {
  return JSON.stringify([userId, authorName, event, tag, sourceId])
}

/** The groups of all buckets together, the largest first. */
export function groups({ buckets: each }: FlowActivity): GroupInFlow[] {
  const merged = new Map<string, GroupInFlow>()
  for (const group of each.flatMap(({ groups: found }) => found)) {
    const key = keyOf(group)
    merged.set(key, { ...group, count: group.count + (merged.get(key)?.count ?? 0) })
  }
  return [...merged.values()].sort((a, b) => b.count - a.count || (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** The most flows to count for one gap: each takes a call. */
const maxCountedFlows = 20

/** The number of messages that were sent in a gap. Null when it cannot be counted. */
export async function missed(
  { from, to, flowIds }: Extract<FlowEvent, { type: 'gap' }>,
  _: unknown,
  context: Context,
): Promise<number | null> {
  // A message with the time of the last event is that event.
  const since = (from ?? to) + 1
  if (since >= to || (to - since) / buckets.week.lengthMs > maxBuckets) return null
  const { load } = context.flowdock
  const flows =
    flowIds === 'all' ? await load.flows('joined') : await Promise.all(flowIds.map((id) => load.flow(id)))
  // A subscription without flows has missed other events than messages.
  if (flows.length === 0 || flows.length > maxCountedFlows || !flows.every((flow) => flow !== null))
    return null
  const counted = await Promise.all(
    flows.map((flow) => activity(flow, { since, until: to, bucket: 'week' }, context)),
  )
  if (counted.some(({ coveredSince }) => coveredSince > since)) return null
  return counted.flatMap((each) => each.buckets).reduce((sum, bucket) => sum + bucket.count, 0)
}

interface LiveActivityInput {
  readonly flow: FlowBy
  readonly windowMinutes: number
  readonly bucket: ActivityArgs['bucket']
  readonly groupBy?: ActivityGroupBy | null | undefined
  readonly throttleMs: number
}

/** Delivers after each new message, and as the window moves on. */
export async function subscribeFlowActivity(
  _: unknown,
  { input }: { input: LiveActivityInput },
  context: Context,
): Promise<LiveEvents> {
  const flow = await requireFlow(input.flow, context, ['input', 'flow'])
  const windowMinutes = checkRange(input.windowMinutes, 1, 7 * 24 * 60, 'windowMinutes')
  const everyMs = checkRange(input.throttleMs, 250, 60_000, 'throttleMs')
  return context.listen({
    ...{
      flowIds: [flow.id],
      isPrivate: false,
      after: undefined,
      key: JSON.stringify([windowMinutes, input.bucket, input.groupBy ?? null]),
    },
    // The window moves with time: a new count after a 60th of it.
    pace: { everyMs, tells: 'latest', repeatMs: Math.max(everyMs, (windowMinutes * 60_000) / 60) },
    // `live` comes first, and again after each interruption of the stream.
    wants: (event) =>
      event.type === 'status'
        ? event.state === 'live'
        : event.type === 'message' && !notWritten.includes(event.message.kind),
  })
}

export async function liveActivity(
  _: unknown,
  { input }: { input: LiveActivityInput },
  context: Context,
): Promise<FlowActivity> {
  const flow = await findFlow(input.flow, context, ['input', 'flow'])
  if (flow === null) throw new NotFoundError('The flow no longer exists, or you cannot see it')
  const until = Date.now()
  const { bucket, groupBy } = input
  return activity(flow, { since: until - input.windowMinutes * 60_000, until, bucket, groupBy }, context)
}

/** The author of the counted messages. */
export async function author(
  { userId, authorName }: GroupInFlow,
  _: unknown,
  { flowdock }: Context,
): Promise<User | ExternalAuthor | null> {
  if (userId !== null) return flowdock.load.user(userId)
  return authorName === null ? null : { name: authorName, avatarUrl: null, email: null }
}

export async function source(
  { flowPath, sourceId }: GroupInFlow,
  _: unknown,
  { flowdock }: Context,
): Promise<Source | null> {
  if (sourceId === null) return null
  return (await flowdock.load.flowSources(flowPath)).find(({ id }) => id === sourceId) ?? null
}
