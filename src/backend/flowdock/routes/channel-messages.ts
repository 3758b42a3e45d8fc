import { boundedText } from '../../bounds.ts'
import { invalid, notFound } from '../../http/errors.ts'
import type { Database } from '../../store/db.ts'
import { findLogChanges, findLogEnd } from '../../store/events.ts'
import { searchMessages } from '../../store/message-search.ts'
import { browseMessages, findMessage, type MessageRow, searchWords } from '../../store/messages.ts'
import { together } from '../../store/together.ts'
import { sendWithFiles } from '../attachments.ts'
import type { Channel } from '../channel.ts'
import { withBase } from '../encode.ts'
import { encodeMessages, jsonList } from '../encoded-messages.ts'
import { chatContent, decodeDraft } from '../message-draft.ts'
import {
  deleteMessage,
  editMessage,
  listMembers,
  markRead,
  moveMessage,
  reactToMessage,
  type SentMessage,
  sendMessage,
} from '../operations/messages.ts'
import { isUnchanged, pageHeader, pageVersion } from '../page-version.ts'
import { readUnchanged } from '../read-unchanged.ts'
import type { Answer, Backend, Request, UserRequest } from '../route.ts'
import { type Mentionable, namesUser, resolveTag } from '../tags.ts'

/*
 * The requests about messages are the same in flows, threads and private conversations. The routes of each find the channel and
 * pass it to these functions.
 */

/** A channel that the user may read. */
export interface ChannelAccess {
  readonly channel: Channel
  /** Checks the right to write again, in the transaction that writes. @throws 404 or 403 */
  readonly check: (db: Database) => Promise<unknown>
  /** The path of a flow. Undefined for a private conversation, which has no comments. */
  readonly path?: string
}

/** The most matches to skip. A search reads all skipped matches of each word. */
const maxSkip = 10_000
const maxSearchWords = 20
const maxSearchTags = 50

/** Lists or searches. [flowdock] messages.md, "List Messages" */
export async function listAnswer(
  { params, base, headers, user }: UserRequest,
  { store, recentPages, onError }: Backend,
  channel: Channel,
  threadId?: string,
): Promise<Answer> {
  const { reader } = store
  const limit = Math.min(Math.max(params.integer('limit') ?? 30, 1), 100)
  const events = params.list('event')
  const shared = { limit, threadId, events: events?.length === 0 ? undefined : events }
  const search = params.string('search')
  const tags = params.list('tags')
  let rows: readonly MessageRow[]
  let end: { readonly log: string; readonly at: number } | undefined
  if ((search !== undefined && search !== '') || (tags !== undefined && tags.length > 0)) {
    const skip = Math.max(params.integer('skip') ?? 0, 0)
    if (skip > maxSkip) throw invalid({ skip: [`must be at most ${maxSkip}`] })
    const words = wordsToSearch(search ?? '')
    checkSearchTags(tags ?? [])
    rows = await searchMessages(reader, channel.channel_id, {
      ...shared,
      words,
      tags: await tagsToSearch(tags ?? [], user.id, () => listMembers(reader, channel)),
      tagMode: params.string('tag_mode') === 'or' ? 'or' : 'and',
      skip,
    })
  } else {
    const sinceId = params.integer('since_id')
    const untilId = params.integer('until_id')
    const sort = params.string('sort') === 'asc' ? 'asc' : 'desc'
    const browse = (db: Database) =>
      browseMessages(db, channel.channel_id, { ...shared, sort, sinceId, untilId })
    if (untilId !== undefined) rows = await browse(reader)
    else {
      if ('id' in channel) {
        const changes = await findLogChanges(reader, channel.id)
        if (isUnchanged(headers, channel, changes))
          return { status: 304, headers: pageHeaders(channel, { log: changes.id, at: changes.last }) }
        const isNewest = sinceId === undefined && sort === 'desc' && shared.events === undefined
        const page =
          isNewest && threadId === undefined
            ? await recentPages.find(channel, limit, base, changes)
            : undefined
        if (page !== undefined) return { status: 200, json: page.json, headers: pageHeaders(channel, page) }
        const list = await readUnchanged(reader, channel.id, async () =>
          encodeMessages(reader, channel, await browse(reader), base, onError),
        )
        if (list !== undefined)
          return { status: 200, json: jsonList(list.value), headers: pageHeaders(channel, list) }
      }
      ;[rows, end] = await store.readTogether(async (db) => {
        const found = await browse(db)
        const { id: log, last: at } = await findLogEnd(db)
        return [found, { log, at }] as const
      })
    }
  }
  return {
    status: 200,
    json: jsonList(await encodeMessages(reader, channel, rows, base, onError)),
    ...(end === undefined ? {} : { headers: pageHeaders(channel, end) }),
  }
}

/** Extensions: the list has every message up to this event, and none after it; and its version, of a flow. */
function pageHeaders(channel: Channel, { log, at }: { readonly log: string; readonly at: number }) {
  return {
    'Flowdock-Event-Id': String(at),
    ...('id' in channel ? { [pageHeader]: pageVersion(log, channel, at) } : {}),
  }
}

/** The words of a search, each once. @throws 400 for more than 20 */
export function wordsToSearch(search: string): string[] {
  const words = [...new Set(searchWords(search))]
  if (words.length > maxSearchWords)
    throw invalid({ search: [`has too many words (maximum is ${maxSearchWords})`] })
  return words
}

/**
 * The tags of a search as they are stored. An unknown nick matches nothing, like a tag that no message has. `:unread` by itself
 * is the mark of the user who searches. [flowdock] message-tags
 *
 * @param listMembers lists the users who can be mentioned. It is called for tags with a nick only, because flows have thousands
 */
export async function tagsToSearch(
  tags: readonly string[],
  userId: number,
  listMembers: () => Promise<readonly Mentionable[]>,
): Promise<string[]> {
  const members = tags.some(namesUser) ? await listMembers() : []
  const stored = tags.map((tag) => (resolveTag(tag, members) ?? tag).toLowerCase())
  return [...new Set(stored.map((tag) => (tag === ':unread' ? `:unread:${userId}` : tag)))]
}

/** @throws 400 for more than 50 */
export function checkSearchTags(tags: readonly string[]): void {
  if (tags.length > maxSearchTags) throw invalid({ tags: [`are too many (maximum is ${maxSearchTags})`] })
}

export async function showAnswer(
  request: UserRequest,
  { store, onError }: Backend,
  channel: Channel,
  messageId: number,
): Promise<Answer> {
  const message = await findMessage(store.reader, channel.channel_id, messageId)
  if (message === undefined) throw notFound()
  const [encoded] = await encodeMessages(store.reader, channel, [message], request.base, onError)
  if (encoded === undefined) throw notFound()
  return { status: 200, json: encoded.json }
}

export async function sendAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check, path }: ChannelAccess,
  allowed: readonly string[],
  fixed: { event?: string; parentId?: number; threadId?: string } = {},
): Promise<Answer> {
  const draft = {
    ...(await decodeDraft(request.params, backend.files, channel, allowed, fixed.event)),
    ...fixed,
  }
  if (draft.event === 'comment' && draft.parentId === undefined)
    throw invalid({ message: ["can't be blank"] })
  const sent = await sendWithFiles(backend.files, draft.files, () =>
    backend.log.write(async (change) => {
      // What was written is undone when the check fails.
      const [, message] = await together([
        check(change.db),
        sendMessage(change, channel, { userId: request.user.id }, draft),
      ])
      return message
    }, channel),
  )
  return {
    status: 201,
    json: withBase(sent.json, request.base),
    ...(path !== undefined && waitsForMessage(request) ? { headers: commentsLink(request, path, sent) } : {}),
  }
}

/** Whether a request says that it waits for the message. Any value of the header counts. [flowdock] messages.md, "Headers" */
export function waitsForMessage({ headers }: Request): boolean {
  return headers['x-flowdock-wait-for-message'] !== undefined
}

/** Where to comment on a message. [flowdock] messages.md, "Response". @param path of the flow */
export function commentsLink(
  { base }: Request,
  path: string,
  { message }: Pick<SentMessage, 'message'>,
): Record<string, string> {
  if (message.event === 'comment') return {}
  return { Link: `<${base}/flows/${path}/messages/${message.id}/comments>; rel="comments"` }
}

export async function editAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
  messageId: number,
): Promise<Answer> {
  const content = request.params.has('content') ? chatContent(request.params) : undefined
  const tags = request.params.list('tags')?.map((tag) => tag.toWellFormed())
  const threadId = boundedText(request.params, 'thread_id', 'thread_id')
  if (content === undefined && tags === undefined && threadId === undefined)
    throw invalid({ content: ["can't be blank"] })
  if (threadId !== undefined && !('id' in channel))
    throw invalid({ thread_id: ['is for messages of flows; private ones have no threads'] })
  const edit = { ...(content === undefined ? {} : { content }), ...(tags === undefined ? {} : { tags }) }
  await backend.log.write(async (change) => {
    await check(change.db)
    if (content !== undefined || tags !== undefined)
      await editMessage(change, channel, request.user.id, messageId, edit)
    // An extension: the service's own apps could do this, its API could not.
    if (threadId !== undefined && 'id' in channel)
      await moveMessage(change, channel, request.user.id, messageId, threadId === 'new' ? null : threadId)
  }, channel)
  return { status: 200, body: {} }
}

export async function deleteAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
  messageId: number,
): Promise<Answer> {
  const { outcome, files } = await backend.log.write(async (change) => {
    await check(change.db)
    return deleteMessage(change, channel, request.user.id, messageId)
  }, channel)
  // The message is gone, whatever becomes of its files; `check` finds those that stay.
  await Promise.all(files.map((token) => backend.files.remove(token).catch(backend.onError)))
  return outcome === 'emptied' ? { status: 200, body: {} } : { status: 204 }
}

/** Undocumented at the service; clients post `{"type": "add", "emoji": "thumbsup"}`. */
export async function reactAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
  messageId: number,
): Promise<Answer> {
  const type = request.params.string('type') ?? 'add'
  if (type !== 'add' && type !== 'remove') throw invalid({ type: ['must be add or remove'] })
  const emoji = request.params.string('emoji')?.replace(/^:|:$/g, '')
  if (emoji === undefined || !/^[^\s:]{1,64}$/u.test(emoji))
    throw invalid({ emoji: ['must be the name of an emoji, such as thumbsup'] })
  await backend.log.write(async (change) => {
    await check(change.db)
    await reactToMessage(change, channel, request.user.id, messageId, { type, emoji })
  }, channel)
  return { status: 200, body: {} }
}

/** An extension: marks messages as read, up to `message` if it is given. */
export async function readAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
): Promise<Answer> {
  const untilId = request.params.integer('message')
  const read = await backend.log.write(async (change) => {
    await check(change.db)
    return markRead(change, channel, request.user.id, untilId)
  }, channel)
  return { status: 200, body: { read } }
}
