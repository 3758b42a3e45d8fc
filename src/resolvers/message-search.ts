import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import type { FilteredMessages } from './message-filter.ts'
import {
  encodeCursor,
  maxPageSize,
  numberCursor,
  type PageArgs,
  pageSize,
  toConnection,
} from './pagination.ts'

interface SearchArgs extends PageArgs {
  readonly text?: string | null | undefined
  readonly tags?: readonly string[] | null | undefined
  readonly tagMode: 'all' | 'any'
}

/** The flows to search, those with the newest messages, where the upstream searches one flow at a time. */
const maxFlows = 20

/** Further matches that are requested because the upstream leaves out those that it cannot read. */
const spareMatches = 10

/**
 * The newest matches of all flows, merged by time, oldest first. At most the newest 100 matches of each flow are read;
 * `isExhaustive` says whether these are all matches.
 *
 * @param needsCount whether `isExhaustive` is needed, for which the upstream has to find 100 matches of each flow
 */
export async function search(
  _: unknown,
  args: SearchArgs,
  { flowdock }: Context,
  needsCount: () => boolean,
): Promise<FilteredMessages> {
  const text = args.text?.trim() ?? ''
  const tags = args.tags ?? []
  if (text === '' && tags.length === 0) throw new ValidationError('Expected text or tags to search for')
  const { from, size } = pageSize(args, { from: 'back', size: 30 })
  const skip = args.before == null ? 0 : numberCursor('search result', args.before, 'before') + 1
  const after = args.after == null ? undefined : numberCursor('search result', args.after, 'after')
  const query = { text: text === '' ? undefined : text, tags, anyTag: args.tagMode === 'any' }
  // The matches of the page and those after it, and one before it, which says that there is a previous page.
  const wanted = from === 'back' ? skip + size : after === undefined ? maxPageSize : Math.max(after, skip)
  const { found, isExhaustive } = await newest(query, Math.min(wanted + 1, maxPageSize), needsCount, flowdock)
  const positionOf = (index: number) => found.length - 1 - index
  const end = Math.max(found.length - skip, 0)
  const start = after === undefined ? 0 : Math.min(Math.max(found.length - after, 0), end)
  const [first, last] =
    from === 'front' ? [start, Math.min(start + size, end)] : [Math.max(end - size, start), end]
  const items = found.slice(first, last)
  const places = new Map(items.map((message, index) => [message, positionOf(first + index)]))
  const connection = toConnection(
    items,
    (message) => encodeCursor('search result', String(places.get(message))),
    { next: last < found.length, previous: first > 0 },
  )
  return { ...connection, isExhaustive }
}

type SearchQuery = { text: string | undefined; tags: readonly string[]; anyTag: boolean }

async function newest(
  query: SearchQuery,
  wanted: number,
  needsCount: () => boolean,
  flowdock: Context['flowdock'],
): Promise<{ found: readonly Message[]; isExhaustive: boolean }> {
  if (await flowdock.can('search')) {
    const limit = needsCount() ? maxPageSize : Math.min(wanted + spareMatches, maxPageSize)
    const find = (limit: number) => flowdock.messages.search({ ...query, limit }, wanted)
    const first = await find(limit)
    const isShort = limit < maxPageSize && first.items.length < wanted && first.sent >= limit
    const { items, sent } = isShort ? await find(maxPageSize) : first
    return { found: items, isExhaustive: sent < maxPageSize }
  }
  const flows = (await flowdock.load.detailedFlows('joined')).toSorted(
    (a, b) => (b.details.lastMessageAt ?? 0) - (a.details.lastMessageAt ?? 0),
  )
  const lists = await Promise.all(
    flows
      .slice(0, maxFlows)
      .map(({ path }) => flowdock.messages.searchIn(path, undefined, { ...query, limit: maxPageSize })),
  )
  // Messages of several flows may share a time and an id, and pages need one order.
  const found = lists
    .flatMap(({ items }) => items)
    .toSorted((a, b) => a.sentAt - b.sentAt || a.id - b.id || (a.channel < b.channel ? -1 : 1))
  return {
    found,
    isExhaustive: flows.length <= maxFlows && lists.every(({ sent }) => sent < maxPageSize),
  }
}
