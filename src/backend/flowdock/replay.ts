import { anyNumber, anyText, type Database } from '../store/db.ts'
import type { EventRow } from '../store/events.ts'
import { withoutText } from './message-text.ts'

/* The log stores events as they were sent. A stream that resumes must not deliver text that was deleted since. */

/** The members of events that name messages. */
interface Payload {
  readonly event?: string
  readonly id?: number
  readonly flow?: string
  readonly user?: string
  readonly to?: string
  readonly tags?: readonly string[]
  readonly app?: string | null
  readonly content?: unknown
  readonly thread?: {
    readonly title: string
    readonly initial_message: number | null
    readonly source?: unknown
  }
}

/**
 * Events without the text of messages that were deleted since.
 *
 * @returns the same number of events in the same order. The payload is blank for a message that no longer exists; its deletion is
 *   another event
 */
export async function withoutDeleted(db: Database, events: readonly EventRow[]): Promise<EventRow[]> {
  const payloads = events.map(({ payload }) => JSON.parse(payload) as Payload)
  const standing = await findStanding(db, payloads)
  return events.map((event, index) => {
    const payload = payloads[index] as Payload
    const redacted = redact(payload, (id) => standing(payload, id))
    return redacted === payload
      ? event
      : { ...event, payload: redacted === undefined ? '' : JSON.stringify(redacted) }
  })
}

type Standing = 'there' | 'emptied' | 'gone'

function redact(payload: Payload, standing: (id: number) => Standing): Payload | undefined {
  const { event, id, app, thread, tags = [], content } = payload
  if (id === undefined) return payload
  const changed = changedMessage(content)
  if (changed !== undefined) {
    if (standing(changed) === 'there') return payload
    if (event === 'message-edit')
      return { ...payload, content: withoutText(content as { updated_content: unknown }) }
    return event === 'tag-change'
      ? { ...payload, content: { message: changed, add: [], remove: [] } }
      : payload
  }
  if (app === null || event === 'action') return payload
  const own = standing(id)
  if (own === 'gone') return undefined
  const parent = Number(tags.find((tag) => tag.startsWith('influx:'))?.slice('influx:'.length) ?? Number.NaN)
  const isParentGone = Number.isSafeInteger(parent) && standing(parent) !== 'there'
  const first = thread?.initial_message ?? undefined
  const isTitleGone = thread?.source === undefined && first !== undefined && standing(first) !== 'there'
  if (own === 'there' && !isParentGone && !isTitleGone) return payload
  return {
    ...payload,
    content:
      own === 'emptied' ? blank(content) : isParentGone ? { ...(content as object), title: '' } : content,
    ...(own === 'emptied' ? { tags: tags.filter((tag) => tag.startsWith('influx:')) } : {}),
    ...(thread !== undefined && isTitleGone ? { thread: { ...thread, title: '' } } : {}),
  }
}

function blank(content: unknown): unknown {
  return typeof content === 'object' && content !== null ? { ...content, title: '', text: '' } : ''
}

/** The message that a `message-edit` or a `tag-change` is about. */
function changedMessage(content: unknown): number | undefined {
  const id =
    typeof content === 'object' && content !== null && 'message' in content ? content.message : undefined
  return typeof id === 'number' ? id : undefined
}

/** Reads, in two queries, which of the messages of the events still exist with their text. */
async function findStanding(
  db: Database,
  payloads: readonly Payload[],
): Promise<(payload: Payload, id: number) => Standing> {
  const flowIds = new Set<string>()
  const userIds = new Set<number>()
  const ids = new Set<number>()
  for (const { id, flow, user, to, content, thread, tags = [] } of payloads) {
    if (id === undefined) continue
    if (flow !== undefined) flowIds.add(flow)
    else if (to !== undefined) for (const each of [user, to]) userIds.add(Number(each))
    const parent = tags.find((tag) => tag.startsWith('influx:'))?.slice('influx:'.length)
    for (const each of [id, changedMessage(content), thread?.initial_message, Number(parent)])
      if (Number.isSafeInteger(each)) ids.add(each as number)
  }
  const found = new Map<string, Standing>()
  if (ids.size === 0) return () => 'there'
  const inFlows = await db
    .selectFrom('messages')
    .innerJoin('flows', 'flows.channel_id', 'messages.channel_id')
    .select(['flows.id as flow', 'messages.id', 'messages.deleted_at'])
    .where('flows.id', 'in', anyText([...flowIds]))
    .where('messages.id', 'in', anyNumber([...ids]))
    .execute()
  for (const { flow, id, deleted_at } of inFlows)
    found.set(`${flow} ${id}`, deleted_at === null ? 'there' : 'emptied')
  if (userIds.size > 0) {
    const users = anyNumber([...userIds])
    const between = await db
      .selectFrom('messages')
      .innerJoin('conversations', 'conversations.channel_id', 'messages.channel_id')
      .select(['low_user_id', 'high_user_id', 'messages.id', 'messages.deleted_at'])
      .where('low_user_id', 'in', users)
      .where('high_user_id', 'in', users)
      .where('messages.id', 'in', anyNumber([...ids]))
      .execute()
    for (const { low_user_id, high_user_id, id, deleted_at } of between)
      found.set(`${low_user_id}:${high_user_id} ${id}`, deleted_at === null ? 'there' : 'emptied')
  }
  return ({ flow, user, to }, id) => {
    const pair = [Number(user), Number(to)].sort((a, b) => a - b).join(':')
    return found.get(`${flow ?? pair} ${id}`) ?? 'gone'
  }
}
