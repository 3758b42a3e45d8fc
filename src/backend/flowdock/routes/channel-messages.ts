import { Readable } from 'node:stream'
import type { WireAttachment, WireAuthor, WireMessage } from '../../../wire/flowdock.ts'
import { boundedTags, boundedText, lengthProblem, maxEntries } from '../../bounds.ts'
import { HttpError, invalid, notFound } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import type { Database } from '../../store/db.ts'
import { lastEventSeq } from '../../store/events.ts'
import type { FileRow } from '../../store/files.ts'
import {
  browseMessages,
  findMessage,
  type MessageRow,
  searchMessages,
  searchWords,
} from '../../store/messages.ts'
import { findSources } from '../../store/sources.ts'
import { findThreads } from '../../store/threads.ts'
import { type DescribedFile, describeFile, sendWithFiles } from '../attachments.ts'
import { encodeMessage, withBase } from '../encode.ts'
import {
  deleteMessage,
  editMessage,
  listMembers,
  type MessageDraft,
  markRead,
  moveMessage,
  reactToMessage,
  sendMessage,
  type ThreadState,
} from '../operations/messages.ts'
import { type Channel, offsetOf } from '../operations/record.ts'
import type { Answer, Backend, UserRequest } from '../route.ts'
import { resolveTag } from '../tags.ts'
import { actionProblem, threadColors } from '../thread-actions.ts'
import { webUrl } from '../web-url.ts'
import { decodeMail } from './push.ts'

/*
 * What can be done with messages is the same in flows, threads and private conversations; the routes of each find
 * the channel and hand it over.
 */

/** A channel the caller may read. */
export interface ChannelAccess {
  readonly channel: Channel
  /** Looks again, inside the transaction that is about to write, and throws when the caller may not any more. */
  readonly check: (db: Database) => Promise<unknown>
}

/** Of a status that has only a value, as some integrations send it. */
const defaultThreadColor = 'grey'
const maxFileBytes = 10 * 1024 * 1024
/** A search reads as many matches as are skipped, of each of its words. */
const maxSkip = 10_000
const maxSearchWords = 20
const maxSearchTags = 50

/** Lists or searches. [flowdock] messages.md, "List Messages" */
export async function listAnswer(
  { params, base }: UserRequest,
  { store, onError }: Backend,
  channel: Channel,
  threadId?: string,
): Promise<Answer> {
  const { reader } = store
  const limit = Math.min(Math.max(params.integer('limit') ?? 30, 1), 100)
  const events = params.list('event')
  const shared = {
    limit,
    ...(events === undefined || events.length === 0 ? {} : { events }),
    ...(threadId === undefined ? {} : { threadId }),
  }
  const search = params.string('search')
  const tags = params.list('tags')
  let rows: MessageRow[]
  let at: number | undefined
  if ((search !== undefined && search !== '') || (tags !== undefined && tags.length > 0)) {
    const skip = Math.max(params.integer('skip') ?? 0, 0)
    if (skip > maxSkip) throw invalid({ skip: [`must be at most ${maxSkip}`] })
    const words = wordsToSearch(search ?? '')
    checkSearchTags(tags ?? [])
    const members = await listMembers(reader, channel)
    rows = await searchMessages(reader, channel.channel_id, {
      ...shared,
      words,
      // A mention of nobody matches nothing, which no stored tag does either.
      tags: [...new Set((tags ?? []).map((tag) => (resolveTag(tag, members) ?? tag).toLowerCase()))],
      tagMode: params.string('tag_mode') === 'or' ? 'or' : 'and',
      skip,
    })
  } else {
    const sinceId = params.integer('since_id')
    const untilId = params.integer('until_id')
    const browse = (db: Database) =>
      browseMessages(db, channel.channel_id, {
        ...shared,
        sort: params.string('sort') === 'asc' ? 'asc' : 'desc',
        ...(sinceId === undefined ? {} : { sinceId }),
        ...(untilId === undefined ? {} : { untilId }),
      })
    if (untilId !== undefined) rows = await browse(reader)
    else
      [rows, at] = await store.readTogether(async (db) => [await browse(db), await lastEventSeq(db)] as const)
  }
  return {
    status: 200,
    body: await encodeMessages(reader, channel, rows, base, onError),
    // An extension: what is told behind this event is not in the list, and all before it is.
    ...(at === undefined ? {} : { headers: { 'Flowdock-Event-Id': String(at) } }),
  }
}

/** The words of a search, each once. @throws 400 for more than 20 */
export function wordsToSearch(search: string): string[] {
  const words = [...new Set(searchWords(search))]
  if (words.length > maxSearchWords)
    throw invalid({ search: [`has too many words (maximum is ${maxSearchWords})`] })
  return words
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
  const [body] = await encodeMessages(store.reader, channel, [message], request.base, onError)
  if (body === undefined) throw notFound()
  return { status: 200, body }
}

export async function sendAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
  allowed: readonly string[],
  fixed: { event?: string; parentId?: number; threadId?: string } = {},
): Promise<Answer> {
  const draft = { ...(await decodeDraft(request.params, backend, channel, allowed, fixed.event)), ...fixed }
  if (draft.event === 'comment' && draft.parentId === undefined)
    throw invalid({ message: ["can't be blank"] })
  const sent = await sendWithFiles(backend.files, draft, () =>
    backend.log.write(async (change) => {
      await check(change.db)
      return sendMessage(change, channel, { userId: request.user.id }, draft)
    }),
  )
  return { status: 201, json: withBase(sent.json, request.base) }
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
  })
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
  })
  await Promise.all(files.map((token) => backend.files.remove(token)))
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
  })
  return { status: 200, body: {} }
}

/** An extension: takes the mark off what the caller had not read, up to `message` if it is given. */
export async function readAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
): Promise<Answer> {
  const untilId = request.params.integer('message')
  const read = await backend.log.write(async (change) => {
    await check(change.db)
    return markRead(change, channel, request.user.id, untilId)
  })
  return { status: 200, body: { read } }
}

/**
 * Messages with the threads they belong to, in two reads however many there are. One whose row is damaged is left out
 * and reported, so that it does not take its list down.
 */
export async function encodeMessages(
  db: Database,
  channel: Channel,
  messages: readonly MessageRow[],
  base: string,
  onError: (error: unknown) => void,
): Promise<WireMessage[]> {
  const ids = new Set(messages.map(({ thread_id }) => thread_id).filter((id) => id !== null))
  const threads = await findThreads(db, [...ids])
  const sourceIds = new Set(threads.map(({ source_id }) => source_id).filter((id) => id !== null))
  const sources = new Map((await findSources(db, [...sourceIds])).map((source) => [source.id, source]))
  const contexts = new Map(
    threads.map((row) => [
      row.id,
      { row, source: row.source_id === null ? undefined : sources.get(row.source_id) },
    ]),
  )
  return messages.flatMap((message) => {
    const thread = message.thread_id === null ? undefined : contexts.get(message.thread_id)
    try {
      return [encodeMessage(message, offsetOf(channel, message), thread, base)]
    } catch (cause) {
      onError(
        new Error(`Message ${message.id} of channel ${channel.channel_id} is damaged and was left out`, {
          cause,
        }),
      )
      return []
    }
  })
}

/** A message as it was sent, checked for form. @param allowed the events this caller may send */
export async function decodeDraft(
  params: Params,
  backend: Backend,
  channel: Channel,
  allowed: readonly string[],
  defaultEvent?: string,
): Promise<MessageDraft> {
  const event = params.string('event') ?? defaultEvent
  if (event === undefined) throw invalid({ event: ["can't be blank"] })
  if (!allowed.includes(event)) throw invalid({ event: [`must be one of ${allowed.join(', ')}`] })
  const uuid = params.string('uuid')
  if (uuid !== undefined && !/^[\x21-\x7e]{1,100}$/.test(uuid))
    throw invalid({ uuid: ['must be 1 to 100 printable characters'] })
  const threadId = boundedText(params, 'thread_id', 'thread_id')
  const externalThreadId = boundedText(params, 'external_thread_id', 'external_thread_id')
  const parentId = params.integer('message')
  const externalUserName = boundedText(params, 'external_user_name', 'external_user_name')
  if (externalUserName !== undefined && /\s/.test(externalUserName))
    throw invalid({ external_user_name: ['should not contain whitespace'] })
  const thread = decodeThreadState(params.object('thread'))
  return {
    event,
    tags: boundedTags(params) ?? [],
    ...(uuid === undefined ? {} : { uuid }),
    ...(threadId === undefined ? {} : { threadId }),
    ...(externalThreadId === undefined ? {} : { externalThreadId }),
    ...(parentId === undefined ? {} : { parentId }),
    ...(externalUserName === undefined ? {} : { externalUserName }),
    ...(thread === undefined ? {} : { thread }),
    ...(await decodeContent(event, params, backend, channel)),
  }
}

async function decodeContent(
  event: string,
  params: Params,
  backend: Backend,
  channel: Channel,
): Promise<
  Pick<MessageDraft, 'content' | 'author' | 'title' | 'body' | 'attachments' | 'files'> &
    Partial<MessageDraft>
> {
  if (event === 'file') {
    const { attachment, rows } = await decodeFile(params, backend, channel)
    return { content: attachment, attachments: [attachment], files: rows }
  }
  if (event === 'mail') return decodeMail(params)
  if (event !== 'activity' && event !== 'discussion') return { content: chatContent(params) }
  const title = boundedText(params, 'title', 'title')
  if (title === undefined || title.trim() === '') throw invalid({ title: ["can't be blank"] })
  const body = boundedText(params, 'body', 'body')
  if (event === 'discussion' && (body === undefined || body.trim() === ''))
    throw invalid({ body: ["can't be blank"] })
  const author = decodeAuthor(params)
  const attached = await decodeAttachments(params, backend, channel)
  return { content: null, title, author, ...attached, ...(body === undefined ? {} : { body }) }
}

function chatContent(params: Params): string {
  const content = boundedText(params, 'content', 'content')
  if (content === undefined || content.trim() === '') throw invalid({ content: ["can't be blank"] })
  return content
}

function decodeAuthor(params: Params): WireAuthor {
  const author = params.object('author')
  const name = author && boundedText(author, 'name', 'author', 'author')
  if (author === undefined || name === undefined || name.trim() === '')
    throw invalid({ author: ["name can't be blank"] })
  const avatar = webUrl(author, 'avatar', 'author') ?? undefined
  const email = boundedText(author, 'email', 'email', 'author')
  return { name, ...(avatar === undefined ? {} : { avatar }), ...(email === undefined ? {} : { email }) }
}

/** @throws 400 for a status color that is none, or parts of another shape */
export function decodeThreadState(thread: Params | undefined): ThreadState | undefined {
  if (thread === undefined) return undefined
  const title = boundedText(thread, 'title', 'title')
  const status = thread.object('status')
  const color = status && (status.string('color') ?? defaultThreadColor)
  if (status !== undefined && (color === undefined || !threadColors.includes(color)))
    throw invalid({ thread: [`status color must be one of ${threadColors.join(', ')}`] })
  const fields = thread.objects('fields')?.map((field) => ({
    label: boundedText(field, 'label', 'label', 'fields') ?? '',
    value: boundedText(field, 'value', 'value', 'fields') ?? '',
  }))
  if (fields !== undefined && fields.length > maxEntries.fields)
    throw invalid({ fields: [`has ${fields.length} entries, at most ${maxEntries.fields} are stored`] })
  const actions = thread.items('actions')
  const problem = actions === undefined ? undefined : actionProblem(actions)
  if (problem !== undefined) throw invalid({ thread: [problem] })
  const statusValue = status && boundedText(status, 'value', 'status', 'status')
  const body = boundedText(thread, 'body', 'body')
  const externalUrl = webUrl(thread, 'external_url', 'thread')
  return {
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    ...(externalUrl === undefined ? {} : { externalUrl }),
    ...(color === undefined ? {} : { status: { color, value: statusValue ?? '' } }),
    ...(fields === undefined ? {} : { fields }),
    ...(actions === undefined ? {} : { actions: actions as Record<string, unknown>[] }),
  }
}

/** The file of a message: a part of a multipart body, or Base64. [flowdock] messages.md, "Uploading files" */
async function decodeFile(params: Params, backend: Backend, channel: Channel): Promise<DescribedFile> {
  const { files } = backend
  const uploaded = params.file('content')
  if (uploaded !== undefined)
    return describeFile(files, channel, uploaded.file, uploaded.fileName, uploaded.contentType)
  const content = params.object('content')
  const data = content?.string('data')
  const name = content?.string('file_name')
  const type = content?.string('content_type')
  if (data === undefined || data === '') throw invalid({ content: ["data can't be blank"] })
  if (name === undefined || name.trim() === '') throw invalid({ content: ["file_name can't be blank"] })
  const bytes = Buffer.from(data, 'base64')
  if (bytes.length > maxFileBytes)
    throw new HttpError(413, { message: `File is longer than ${maxFileBytes} bytes` })
  return describeFile(files, channel, await files.receive(Readable.from([bytes]), maxFileBytes), name, type)
}

/**
 * The files beside an activity or discussion, parts named `attachments[file1]`: their body may show one as
 * `cid:file1`. [flowdock] files.md, "Attachments"
 */
async function decodeAttachments(
  params: Params,
  backend: Backend,
  channel: Channel,
): Promise<Pick<MessageDraft, 'attachments' | 'files'>> {
  const uploads = params.files('attachments')
  // [flowdock] files.md: all of them have ids, or none
  if (uploads.some(([id]) => id === '') && uploads.some(([id]) => id !== ''))
    throw invalid({ attachments: ['must all be named, as in attachments[file1], or none'] })
  for (const [id] of uploads) {
    const problem = lengthProblem('content_id', id)
    if (problem !== undefined) throw invalid({ attachments: [`has a name that ${problem}`] })
  }
  const attachments: WireAttachment[] = []
  const files: FileRow[] = []
  for (const [id, { file, fileName, contentType }] of uploads) {
    const { attachment, rows } = await describeFile(backend.files, channel, file, fileName, contentType)
    attachments.push({ ...attachment, ...(id === '' ? {} : { content_id: id.toWellFormed() }) })
    files.push(...rows)
  }
  return { attachments, files }
}
