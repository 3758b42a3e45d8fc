import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Message, MessageKind } from '../upstream/flowdock/model.ts'
import { decodeMessageCursor } from './cursor.ts'
import { expectId, splitInFlow } from './global-id.ts'
import { resolveMessage, resolveThread, resolveUser } from './inputs.ts'
import {
  type Connection,
  encodeCursor,
  maxPageSize,
  numberCursor,
  type PageArgs,
  pageSize,
  toConnection,
} from './pagination.ts'

/** Bounds of a live filter, which is matched with every message of its flows. The embedded backend has the same. */
const maxWords = 20
const maxTags = 50

/** The messages to list. A message must match every field that is given. */
export interface MessageFilter {
  readonly kinds?: readonly MessageKind[] | null | undefined
  readonly text?: string | null | undefined
  readonly tags?: readonly string[] | null | undefined
  readonly tagMode: 'all' | 'any'
  readonly authorIds?: readonly string[] | null | undefined
  readonly mentionIds?: readonly string[] | null | undefined
  readonly hasFile?: boolean | null | undefined
  readonly hasLink?: boolean | null | undefined
  readonly threadId?: string | null | undefined
  readonly since?: number | null | undefined
  readonly until?: number | null | undefined
  readonly sinceMessageId?: string | null | undefined
  readonly untilMessageId?: string | null | undefined
}

/** The new messages to deliver. */
export type LiveMessageFilter = Omit<MessageFilter, 'since' | 'until' | 'sinceMessageId' | 'untilMessageId'>

/** The messages to filter: those of a channel, as requests name it, or of one of its threads. */
export interface MessagePlace {
  /** The channel as in `Message.channel`. */
  readonly key: string
  readonly channel: string
  readonly threadId: string | undefined
}

export type FilteredMessages = Connection<Message> & { readonly isExhaustive: boolean }

/** The upstream’s name of each kind. */
const events: Readonly<Partial<Record<MessageKind, string>>> = {
  ChatMessage: 'message',
  Comment: 'comment',
  StatusMessage: 'status',
  LineMessage: 'line',
  FileMessage: 'file',
  ActionMessage: 'action',
  TagChange: 'tag-change',
  MessageEdit: 'message-edit',
  MessageDelete: 'message-delete',
  Activity: 'activity',
  Discussion: 'discussion',
  MailMessage: 'mail',
  RssMessage: 'rss',
  TwitterMessage: 'twitter',
  ZendeskMessage: 'zendesk',
  JiraMessage: 'jira',
  ConfluenceMessage: 'confluence',
  VcsMessage: 'vcs',
  SvnMessage: 'svn',
  PivotalTrackerMessage: 'pivotaltracker',
  UserVoiceMessage: 'uservoice',
}

/** The pages of 100 messages that are read at most for one page of matches. */
const maxPages = 10

/**
 * A page of the messages that match. The upstream filters by kinds, or by words and tags. The gateway applies the rest of the
 * filter, to at most 1,000 messages. `isExhaustive` says whether that was enough; the cursor of the page continues after the last
 * message that was read.
 */
export async function filteredMessages(
  place: MessagePlace,
  args: PageArgs,
  filter: MessageFilter,
  context: Context,
): Promise<FilteredMessages> {
  const within = await narrow(place, filter, context)
  const range = await idRange(place, filter, context)
  const matches = matcher(filter, range)
  const text = filter.text?.trim() ?? ''
  const searched = text !== '' || (filter.tags?.length ?? 0) > 0
  return searched
    ? search(within, args, filter, text, matches, context)
    : browse(within, args, filter, range, matches, context)
}

/** Narrows to the thread of the filter. @throws ValidationError for a thread of another flow */
async function narrow(
  place: MessagePlace,
  { threadId }: MessageFilter,
  context: Context,
): Promise<MessagePlace> {
  if (threadId == null) return place
  const path = ['filter', 'threadId']
  const named = await resolveThread(threadId, context, path)
  const isHere =
    named.flowPath === place.channel && (place.threadId === undefined || place.threadId === named.threadId)
  if (isHere) return { ...place, threadId: named.threadId }
  throw new ValidationError('Expected filter.threadId to be a thread of the flow that is listed', [], {
    inputPath: path,
  })
}

/** Ids of messages, both exclusive. */
interface IdRange {
  readonly after: number | undefined
  readonly before: number | undefined
}

async function idRange(place: MessagePlace, filter: MessageFilter, context: Context): Promise<IdRange> {
  const numberOf = async (name: 'sinceMessageId' | 'untilMessageId') => {
    const globalId = filter[name]
    if (globalId == null) return undefined
    const path = ['filter', name]
    const { channel, messageId } = await resolveMessage(globalId, context, path)
    if (channel === place.channel) return messageId
    throw new ValidationError(
      `Expected filter.${name} to be a message of the listed flow or conversation`,
      [],
      {
        inputPath: path,
      },
    )
  }
  return { after: await numberOf('sinceMessageId'), before: await numberOf('untilMessageId') }
}

type Matcher = (message: Message) => boolean

/** The part of the filter that the upstream does not apply. */
function matcher(filter: MessageFilter, range: IdRange): Matcher {
  const authors = filter.authorIds?.map((id) => resolveUser(id, ['filter', 'authorIds']))
  const mentions = filter.mentionIds?.map((id) => `:user:${resolveUser(id, ['filter', 'mentionIds'])}`)
  const { since, until, hasFile, hasLink, kinds } = filter
  return (message) =>
    (kinds == null || kinds.includes(message.kind)) &&
    (authors === undefined || (message.userId !== null && authors.includes(message.userId))) &&
    (mentions === undefined || mentions.some((tag) => message.tags.includes(tag))) &&
    (hasFile == null || hasFile === message.attachments.length > 0) &&
    (hasLink == null || hasLink === message.tags.includes(':url')) &&
    (since == null || message.sentAt >= since) &&
    (until == null || message.sentAt < until) &&
    (range.after === undefined || message.id > range.after) &&
    (range.before === undefined || message.id < range.before)
}

/** Whether a new message matches; the rules are those of lists. */
export function messageMatcher(filter: LiveMessageFilter): (message: Message) => boolean {
  const matches = matcher(filter, { after: undefined, before: undefined })
  const words = (filter.text?.normalize().toLowerCase() ?? '')
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
  expectAtMost(maxWords, words.length, 'words', 'text')
  expectAtMost(maxTags, filter.tags?.length ?? 0, 'tags', 'tags')
  const thread =
    filter.threadId == null
      ? undefined
      : splitInFlow(expectId('Thread', filter.threadId, ['input', 'filter', 'threadId']))
  return (message) =>
    matches(message) &&
    hasTags(message, filter) &&
    (thread === undefined || (message.threadId === thread.id && message.channel === thread.flowId)) &&
    (words.length === 0 || hasWords(message, words))
}

/** @throws ValidationError */
function expectAtMost(limit: number, count: number, what: string, field: 'text' | 'tags'): void {
  if (count <= limit) return
  throw new ValidationError(`Expected filter.${field} to have at most ${limit} ${what}, got ${count}`, [], {
    inputPath: ['input', 'filter', field],
  })
}

/** Matches whole words, ignoring case. */
function hasWords(message: Message, words: readonly string[]): boolean {
  const text = ['content', 'title', 'body', 'subject']
    .map((name) => (message as unknown as Record<string, unknown>)[name])
    .filter((each) => typeof each === 'string')
    .join(' ')
  const present = new Set(
    text
      .normalize()
      .toLowerCase()
      .split(/[^\p{L}\p{N}]+/u),
  )
  return words.every((word) => present.has(word))
}

/** Reads page after page in the order of ids until enough messages match. */
async function browse(
  { key, channel, threadId }: MessagePlace,
  args: PageArgs,
  filter: MessageFilter,
  range: IdRange,
  matches: Matcher,
  { flowdock }: Context,
): Promise<FilteredMessages> {
  const { from, size } = pageSize(args, { from: 'back', size: 30 })
  const front = from === 'front'
  let after = latest(
    range.after,
    args.after == null ? undefined : decodeMessageCursor(key, args.after, 'after'),
  )
  let before = earliest(
    range.before,
    args.before == null ? undefined : decodeMessageCursor(key, args.before, 'before'),
  )
  const known = filter.kinds?.map((kind) => events[kind]).filter((event) => event !== undefined)
  const found: Message[] = []
  let ended = false
  for (let page = 0; page < maxPages && found.length <= size && !ended; page += 1) {
    const { items: messages, sent } = await flowdock.messages.list(channel, threadId, {
      after,
      before,
      from: front ? 'oldest' : 'newest',
      limit: maxPageSize,
      ...(known === undefined || known.length !== filter.kinds?.length ? {} : { events: known }),
    })
    const matching = messages.filter(matches)
    if (front) found.push(...matching)
    else found.unshift(...matching)
    const edge = front ? messages.at(-1) : messages[0]
    if (front) after = edge?.id ?? after
    else before = edge?.id ?? before
    // Ids grow with time: after the end of the range no message can match.
    ended = sent < maxPageSize || edge === undefined || isPast(edge, filter, front)
  }
  const items = front ? found.slice(0, size) : found.slice(-size)
  const isExhaustive = ended || found.length > size
  const goesOn = found.length > size || !ended
  const connection = toConnection(items, (message) => encodeCursor('message', String(message.id)), {
    next: front ? goesOn : args.before != null,
    previous: front ? args.after != null : goesOn,
  })
  if (isExhaustive) return { ...connection, isExhaustive, pageInfo: connection.pageInfo }
  // The next page begins after the last message that was read, not after the last match.
  const edge = encodeCursor('message', String(front ? after : before))
  const { hasNextPage, hasPreviousPage, startCursor, endCursor } = connection.pageInfo
  return {
    edges: connection.edges,
    isExhaustive,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: front ? startCursor : edge,
      endCursor: front ? edge : endCursor,
    },
  }
}

function latest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.max(a, b)
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}

function isPast({ sentAt }: Message, { since, until }: MessageFilter, front: boolean): boolean {
  return front ? until != null && sentAt >= until : since != null && sentAt < since
}

/** Searches by words or tags. The upstream counts its matches from the newest, and so do the cursors. */
async function search(
  { channel, threadId }: MessagePlace,
  args: PageArgs,
  filter: MessageFilter,
  text: string,
  matches: Matcher,
  { flowdock }: Context,
): Promise<FilteredMessages> {
  if (args.first != null || args.after != null)
    throw new ValidationError(
      'Expected last and before with text or tags: a search begins at the newest match',
    )
  if (text !== '' && filter.tags?.some((tag) => tag.startsWith('@')))
    throw new ValidationError(
      'Expected people to be named in filter.mentionIds when there is a text, not in tags',
    )
  const { size } = pageSize(args, { from: 'back', size: 30 })
  let skip = args.before == null ? 0 : numberCursor('search result', args.before, 'before') + 1
  const found: { message: Message; place: number }[] = []
  let ended = false
  for (let page = 0; page < maxPages && found.length <= size && !ended; page += 1) {
    const { items: messages, sent } = await flowdock.messages.searchIn(channel, threadId, {
      text: text === '' ? undefined : text,
      // The upstream finds messages with either words or tags: with words, tags are matched here.
      tags: text === '' ? (filter.tags ?? []) : [],
      anyTag: filter.tagMode === 'any',
      skip,
      limit: maxPageSize,
    })
    const newest = skip + messages.length - 1
    const matching = messages
      .map((message, index) => ({ message, place: newest - index }))
      .filter(({ message }) => matches(message) && (text === '' || hasTags(message, filter)))
    found.unshift(...matching)
    skip += sent
    ended = sent < maxPageSize
  }
  const items = found.slice(-size)
  const places = new Map(items.map(({ message, place }) => [message, place]))
  const connection = toConnection(
    items.map(({ message }) => message),
    (message) => encodeCursor('search result', String(places.get(message))),
    { next: args.before != null, previous: found.length > size || !ended },
  )
  const isExhaustive = ended || found.length > size
  if (isExhaustive) return { ...connection, isExhaustive }
  const { hasNextPage, hasPreviousPage, endCursor } = connection.pageInfo
  const startCursor = encodeCursor('search result', String(skip - 1))
  return {
    edges: connection.edges,
    isExhaustive,
    pageInfo: { hasNextPage, hasPreviousPage, startCursor, endCursor },
  }
}

function hasTags({ tags }: Message, { tags: wanted, tagMode }: MessageFilter): boolean {
  if (wanted == null || wanted.length === 0) return true
  const present = new Set(tags.map((tag) => tag.normalize().toLowerCase()))
  const has = (tag: string) => present.has(tag.replace(/^#/, '').normalize().toLowerCase())
  return tagMode === 'any' ? wanted.some(has) : wanted.every(has)
}
