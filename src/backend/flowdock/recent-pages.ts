import { LRUCache } from 'lru-cache'
import { isRecord } from '../../json-values.ts'
import type { Database } from '../store/db.ts'
import { isControlEvent, type LogChanges, listFlowEvents } from '../store/events.ts'
import { browseMessages, isServiceEvent, listMessagesById, type MessageRow } from '../store/messages.ts'
import type { FlowChannel } from './channel.ts'
import { encodeMessages } from './encoded-messages.ts'
import { readUnchanged } from './read-unchanged.ts'

/*
 * The newest messages of flows, encoded, for all readers. Every change of the messages and threads of a flow is an event of the flow.
 * So a page of the event with the number `at` is the newest one while its flow has no later event. After a message, a reaction or other
 * tags, only what they changed is read again; after any other event, the whole page is.
 *
 * A page is read without a transaction: the number of the newest event of the flow is read before and after it, and if they differ
 * the page is read again.
 */

/** A list of messages in JSON, as it is when the event log ends at `at`. */
export interface RecentPage {
  /** Shared by all readers: it must not be changed or transferred. */
  readonly json: Uint8Array
  readonly log: string
  readonly at: number
}

export interface RecentPages {
  /**
   * The newest messages of a flow, ascending, without those that report changes.
   *
   * @param limit 1 to 100
   * @param base the URL of the API
   * @param changes what the log has, as it was read after the request began
   * @returns undefined when a row is damaged, or the flow changed again and again: then the caller reads the list itself
   */
  find(flow: FlowChannel, limit: number, base: string, changes: LogChanges): Promise<RecentPage | undefined>
}

export interface RecentPagesOptions {
  readonly reader: Database
  /** How old a page may be that only got new messages, in milliseconds; 10 s by default. So changes without an event are found. */
  readonly maxAgeMs?: number
  /** Of all pages; 16 MiB by default. */
  readonly maxBytes?: number
  readonly now?: () => number
  /** Ends the use of memory. */
  readonly signal?: AbortSignal
}

interface Item {
  readonly id: number
  readonly threadId: string | null
  /** Where its JSON is in that of the page. */
  readonly start: number
  readonly end: number
}

interface Page extends RecentPage {
  readonly json: Buffer
  /** When all of it was read. */
  readonly readAt: number
  /** The most messages that it has. If it has fewer, the flow has no others. */
  readonly size: number
  /** In the order of their ids. */
  readonly items: readonly Item[]
}

/** With more events, or more characters in them, the whole page is read: that takes no longer. */
const maxEvents = 32
const maxEventCharacters = 128 * 1024
/** Less than the id of any message. */
const beforeAll = Number.MIN_SAFE_INTEGER
/** What an item takes in addition to its JSON. */
const itemBytes = 100

export function createRecentPages({
  reader,
  maxAgeMs = 10_000,
  maxBytes = 16 * 1024 * 1024,
  now = () => performance.now(),
  signal,
}: RecentPagesOptions): RecentPages {
  const pages = new LRUCache<string, Page>({
    maxSize: maxBytes,
    maxEntrySize: maxBytes / 8,
    sizeCalculation: ({ json, items }) => json.length + items.length * itemBytes,
  })
  const reading = new Map<string, Promise<Page | undefined>>()

  let timer: NodeJS.Timeout | undefined

  /** Deletes pages that are too old, so that their memory is freed also without further requests. */
  function sweep(): void {
    timer = undefined
    for (const [key, page] of pages.entries()) if (isOld(page)) pages.delete(key)
    if (pages.size > 0) timer = setTimeout(sweep, maxAgeMs).unref()
  }

  signal?.addEventListener('abort', () => {
    clearTimeout(timer)
    pages.clear()
  })

  const isOld = ({ readAt }: Page) => now() - readAt > maxAgeMs

  /** The page, if the flow has not changed since it was read. */
  function current(key: string, limit: number, { id, first, last, newest }: LogChanges): Page | undefined {
    const page = pages.get(key)
    if (page === undefined || page.log !== id || page.size < limit || isOld(page)) return undefined
    // It was brought up to date after `changes` was read.
    if (page.at >= last) return page
    return newest <= page.at && page.at >= first - 1 ? { ...page, at: last } : undefined
  }

  async function read(
    key: string,
    flow: FlowChannel,
    limit: number,
    base: string,
  ): Promise<Page | undefined> {
    const outcome = await readUnchanged(
      reader,
      flow.id,
      async (changes) =>
        current(key, limit, changes) ??
        (await update(key, flow, limit, base, changes)) ??
        (await build(key, flow, limit, base, changes)),
    )
    if (outcome?.value === undefined) return undefined
    pages.set(key, outcome.value)
    if (timer === undefined) timer = setTimeout(sweep, maxAgeMs).unref()
    return outcome.value
  }

  async function build(
    key: string,
    flow: FlowChannel,
    limit: number,
    base: string,
    { id: log, last: at }: LogChanges,
  ): Promise<Page | undefined> {
    const size = Math.max(limit, pages.peek(key)?.size ?? 0)
    const readAt = now()
    const rows = await browseMessages(reader, flow.channel_id, { sort: 'desc', limit: size })
    const parts = await encode(flow, rows, base)
    return parts && { ...join(parts), log, at, readAt, size }
  }

  /** Reads what changed since the page was read. Undefined when the whole page has to be read. */
  async function update(
    key: string,
    flow: FlowChannel,
    limit: number,
    base: string,
    { id: log, first, last: at }: LogChanges,
  ): Promise<Page | undefined> {
    const page = pages.peek(key)
    if (page === undefined || page.log !== log || page.size < limit || isOld(page)) return undefined
    if (page.at < first - 1) return undefined
    const events = await listFlowEvents(reader, flow.id, page.at, maxEvents + 1)
    const lastId = page.items.at(-1)?.id ?? beforeAll
    const changed = changesOf(events, lastId)
    if (changed === undefined) return undefined
    const again = page.items.filter(
      ({ id, threadId }) => changed.ids.has(id) || (threadId !== null && changed.threadIds.has(threadId)),
    )
    const ids = new Set(again.map(({ id }) => id))
    const newest = { sort: 'desc', limit: page.size, sinceId: lastId } as const
    const added = await browseMessages(reader, flow.channel_id, newest)
    const kept = page.items.slice(Math.max(page.items.length + added.length - page.size, 0))
    const rows = ids.size === 0 ? [] : await listMessagesById(reader, flow.channel_id, [...ids])
    if (rows.length < ids.size) return undefined
    const parts = await encode(flow, [...rows, ...added], base)
    if (parts === undefined) return undefined
    const news = new Map(parts.map((part) => [part.id, part]))
    const same = kept.map(
      (item) => news.get(item.id) ?? { ...item, json: page.json.subarray(item.start, item.end) },
    )
    const joined = join([...same, ...parts.slice(rows.length)])
    return { ...joined, log, at, readAt: page.readAt, size: page.size }
  }

  /** Undefined if a row is damaged. */
  async function encode(
    flow: FlowChannel,
    rows: readonly MessageRow[],
    base: string,
  ): Promise<Part[] | undefined> {
    // The caller reads the list again, and reports it.
    const encoded = await encodeMessages(reader, flow, rows, base, () => undefined)
    if (encoded.length < rows.length) return undefined
    return encoded.map(({ row: { id, thread_id: threadId }, json }) => ({
      id,
      threadId,
      json: Buffer.from(json),
    }))
  }

  return {
    async find(flow, limit, base, changes) {
      const key = `${flow.channel_id} ${base}`
      // A read that began before this request may be too old. The next one is not.
      for (let waits = 0; waits < 2; waits += 1) {
        const found = current(key, limit, changes)
        if (found !== undefined) return newestOf(found, limit)
        const others = reading.get(key)
        if (others === undefined) break
        await others.catch(() => undefined)
      }
      const mine = read(key, flow, limit, base)
      reading.set(key, mine)
      try {
        const page = await mine
        return page && newestOf(page, limit)
      } finally {
        if (reading.get(key) === mine) reading.delete(key)
      }
    },
  }
}

interface Part {
  readonly id: number
  readonly threadId: string | null
  readonly json: Uint8Array
}

const [open, comma, close] = [0x5b, 0x2c, 0x5d]

/** Copies the parts into one list in JSON. */
function join(parts: readonly Part[]): Pick<Page, 'json' | 'items'> {
  const json = Buffer.allocUnsafeSlow(
    parts.reduce((sum, part) => sum + part.json.length + 1, parts.length === 0 ? 2 : 1),
  )
  json[0] = open
  let end = 0
  const items = parts.map(({ id, threadId, json: part }) => {
    const start = end + 1
    json.set(part, start)
    end = start + part.length
    json[end] = comma
    return { id, threadId, start, end }
  })
  json[json.length - 1] = close
  return { json, items }
}

/** The last `limit` messages of a page. */
function newestOf({ json, items, log, at }: Page, limit: number): RecentPage {
  const first = items[items.length - limit]
  if (first === undefined || first.start === 1) return { json, log, at }
  const part = Buffer.from(json.subarray(first.start - 1))
  part[0] = open
  return { json: part, log, at }
}

/**
 * The ids of messages that these events changed, and of threads that they changed. New messages are not among the ids. Undefined when
 * they may have changed anything else.
 *
 * @param lastId that of the newest message before them
 */
function changesOf(
  events: Awaited<ReturnType<typeof listFlowEvents>>,
  lastId: number,
): { readonly ids: ReadonlySet<number>; readonly threadIds: ReadonlySet<string> } | undefined {
  const characters = events.reduce((sum, { payload }) => sum + payload.length, 0)
  if (events.length > maxEvents || characters > maxEventCharacters) return undefined
  const ids = new Set<number>()
  const threadIds = new Set<string>()
  for (const each of events) {
    if (isControlEvent(each)) return undefined
    const event = parse(each.payload)
    if (!isRecord(event) || typeof event['id'] !== 'number') return undefined
    const { event: kind, content, id, thread_id: threadId } = event
    if (kind === 'tag-change' || kind === 'emoji-reaction') {
      if (!isRecord(content) || typeof content['message'] !== 'number') return undefined
      ids.add(content['message'])
    } else if (!isServiceEvent(String(kind))) {
      if (id <= lastId) return undefined
      if (typeof threadId === 'string') threadIds.add(threadId)
    } else if (!withoutChange.has(String(kind))) return undefined
  }
  return { ids, threadIds }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** Events of a flow that change neither messages nor threads. */
const withoutChange: ReadonlySet<string> = new Set(['user-edit', 'backend.user.join', 'backend.user.block'])
