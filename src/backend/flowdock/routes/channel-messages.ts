import type { WireAttachment, WireAuthor, WireMessage } from '../../../wire/flowdock.ts'
import { HttpError, invalid, notFound } from '../../http-error.ts'
import type { Params, UploadedFile } from '../../params.ts'
import type { Answer, Backend, UserRequest } from '../../router.ts'
import type { Database } from '../../store/db.ts'
import { lastEventSeq } from '../../store/events.ts'
import { insertFile } from '../../store/files.ts'
import {
  browseMessages,
  findMessage,
  type MessageRow,
  searchMessages,
  searchWords,
} from '../../store/messages.ts'
import { findSources } from '../../store/sources.ts'
import { findThreads } from '../../store/threads.ts'
import { encodeMessage, withBase } from '../encode.ts'
import { imageDimensions, makeThumbnail } from '../image.ts'
import {
  deleteMessage,
  editMessage,
  listMembers,
  type MessageDraft,
  markRead,
  maxContentLength,
  moveMessage,
  reactToMessage,
  sendMessage,
  type ThreadState,
} from '../messages.ts'
import { type Channel, placeOf } from '../record.ts'
import { resolveTag } from '../tags.ts'
import { actionProblem } from '../thread-actions.ts'
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

const threadColors = ['red', 'green', 'yellow', 'cyan', 'orange', 'grey', 'black', 'lime', 'purple', 'blue']
/** Of a status that has only a value, as some integrations send it. */
const defaultThreadColor = 'grey'
const maxFileBytes = 10 * 1024 * 1024

/** Lists or searches. [flowdock] messages.md, "List Messages" */
export async function listAnswer(
  { params, base }: UserRequest,
  { store }: Backend,
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
    const members = await listMembers(reader, channel)
    rows = await searchMessages(reader, channel.channel_id, {
      ...shared,
      words: searchWords(search ?? ''),
      // A mention of nobody matches nothing, which no stored tag does either.
      tags: [...new Set((tags ?? []).map((tag) => (resolveTag(tag, members) ?? tag).toLowerCase()))],
      tagMode: params.string('tag_mode') === 'or' ? 'or' : 'and',
      skip: Math.max(params.integer('skip') ?? 0, 0),
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
    body: await encodeMessages(reader, channel, rows, base),
    // An extension: what is told behind this event is not in the list, and all before it is.
    ...(at === undefined ? {} : { headers: { 'Flowdock-Event-Id': String(at) } }),
  }
}

export async function showAnswer(
  request: UserRequest,
  { store }: Backend,
  channel: Channel,
  messageId: number,
): Promise<Answer> {
  const message = await findMessage(store.reader, channel.channel_id, messageId)
  if (message === undefined) throw notFound()
  const [body] = await encodeMessages(store.reader, channel, [message], request.base)
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
  const sent = await backend.log.write(async (change) => {
    await check(change.db)
    return sendMessage(change, channel, { userId: request.user.id }, draft)
  })
  return { status: 201, json: withBase(sent.json, request.base) }
}

export async function editAnswer(
  request: UserRequest,
  backend: Backend,
  { channel, check }: ChannelAccess,
  messageId: number,
): Promise<Answer> {
  const content = request.params.has('content') ? chatContent(request.params) : undefined
  const tags = request.params.list('tags')
  const threadId = request.params.string('thread_id')
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
  const outcome = await backend.log.write(async (change) => {
    await check(change.db)
    return deleteMessage(change, channel, request.user.id, messageId)
  })
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

/** Messages with the threads they belong to, in two reads however many there are. */
export async function encodeMessages(
  db: Database,
  channel: Channel,
  messages: readonly MessageRow[],
  base: string,
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
  return messages.map((message) => {
    const thread = message.thread_id === null ? undefined : contexts.get(message.thread_id)
    return encodeMessage(message, placeOf(channel, message), thread, base)
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
  const threadId = params.string('thread_id')
  const externalThreadId = params.string('external_thread_id')
  const parentId = params.integer('message')
  const externalUserName = params.string('external_user_name')
  if (externalUserName !== undefined && /\s/.test(externalUserName))
    throw invalid({ external_user_name: ['should not contain whitespace'] })
  const thread = decodeThreadState(params.object('thread'))
  return {
    event,
    tags: params.list('tags') ?? [],
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
  Pick<MessageDraft, 'content' | 'author' | 'title' | 'body' | 'attachments'> & Partial<MessageDraft>
> {
  if (event === 'file') {
    const file = await storeFile(params, backend, channel)
    return { content: file, attachments: [file] }
  }
  if (event === 'mail') return decodeMail(params)
  if (event !== 'activity' && event !== 'discussion') return { content: chatContent(params) }
  const title = params.string('title')
  if (title === undefined || title.trim() === '') throw invalid({ title: ["can't be blank"] })
  const body = params.string('body')
  if (event === 'discussion' && (body === undefined || body.trim() === ''))
    throw invalid({ body: ["can't be blank"] })
  const author = decodeAuthor(params)
  const attachments = await storeAttachments(params, backend, channel)
  return { content: null, title, author, attachments, ...(body === undefined ? {} : { body }) }
}

function chatContent(params: Params): string {
  const content = params.string('content')
  if (content === undefined || content.trim() === '') throw invalid({ content: ["can't be blank"] })
  if (content.length > maxContentLength)
    throw invalid({ content: [`is too long (maximum is ${maxContentLength} characters)`] })
  return content
}

function decodeAuthor(params: Params): WireAuthor {
  const author = params.object('author')
  const name = author?.string('name')
  if (name === undefined || name.trim() === '') throw invalid({ author: ["name can't be blank"] })
  const avatar = (author && webUrl(author, 'avatar', 'author')) ?? undefined
  const email = author?.string('email')
  return { name, ...(avatar === undefined ? {} : { avatar }), ...(email === undefined ? {} : { email }) }
}

/** @throws 400 for a status color that is none, or parts of another shape */
export function decodeThreadState(thread: Params | undefined): ThreadState | undefined {
  if (thread === undefined) return undefined
  const title = thread.string('title')
  const status = thread.object('status')
  const color = status && (status.string('color') ?? defaultThreadColor)
  if (status !== undefined && (color === undefined || !threadColors.includes(color)))
    throw invalid({ thread: [`status color must be one of ${threadColors.join(', ')}`] })
  const fields = thread.objects('fields')?.map((field) => ({
    label: field.string('label') ?? '',
    value: field.string('value') ?? '',
  }))
  const actions = thread.items('actions')
  const problem = actions === undefined ? undefined : actionProblem(actions)
  if (problem !== undefined) throw invalid({ thread: [problem] })
  const body = thread.string('body')
  const externalUrl = webUrl(thread, 'external_url', 'thread')
  return {
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    ...(externalUrl === undefined ? {} : { externalUrl }),
    ...(color === undefined ? {} : { status: { color, value: status?.string('value') ?? '' } }),
    ...(fields === undefined ? {} : { fields }),
    ...(actions === undefined ? {} : { actions: actions as Record<string, unknown>[] }),
  }
}

/** Keeps the file of a message: a part of a multipart body, or Base64. [flowdock] messages.md, "Uploading files" */
async function storeFile(params: Params, backend: Backend, channel: Channel): Promise<WireAttachment> {
  const uploaded = params.file('content')
  if (uploaded !== undefined) return keepUploaded(uploaded, backend, channel)
  const content = params.object('content')
  const data = content?.string('data')
  const name = content?.string('file_name')
  if (data === undefined || data === '') throw invalid({ content: ["data can't be blank"] })
  if (name === undefined || name.trim() === '') throw invalid({ content: ["file_name can't be blank"] })
  const bytes = Buffer.from(data, 'base64')
  if (bytes.length > maxFileBytes)
    throw new HttpError(413, { message: `File is longer than ${maxFileBytes} bytes` })
  const token = await backend.files.put(bytes)
  return describeFile(backend, channel, token, name, content?.string('content_type'), bytes.length, bytes)
}

async function keepUploaded(
  { file, fileName, contentType }: UploadedFile,
  backend: Backend,
  channel: Channel,
): Promise<WireAttachment> {
  const { token, byteSize, head } = file
  await backend.files.keep(token)
  return describeFile(backend, channel, token, fileName, contentType, byteSize, head)
}

/**
 * The files beside an activity or discussion, parts named `attachments[file1]`: their body may show one as
 * `cid:file1`. [flowdock] files.md, "Attachments"
 */
async function storeAttachments(
  params: Params,
  backend: Backend,
  channel: Channel,
): Promise<WireAttachment[]> {
  const files = params.files('attachments')
  // [flowdock] files.md: all of them have ids, or none
  if (files.some(([id]) => id === '') && files.some(([id]) => id !== ''))
    throw invalid({ attachments: ['must all be named, as in attachments[file1], or none'] })
  const attachments: WireAttachment[] = []
  for (const [id, file] of files)
    attachments.push({
      ...(await keepUploaded(file, backend, channel)),
      ...(id === '' ? {} : { content_id: id }),
    })
  return attachments
}

async function describeFile(
  { files, log }: Backend,
  channel: Channel,
  token: string,
  name: string,
  type: string | undefined,
  byteSize: number,
  head: Uint8Array,
): Promise<WireAttachment> {
  // A name is shown and saved under, so it holds neither folders nor control characters.
  const plain = name
    .replace(/[\p{Cc}/\\]/gu, '_')
    .trim()
    .slice(0, 255)
  const fileName = /^\.*$/.test(plain) ? 'file' : plain
  const contentType = /^[\w.+-]+\/[\w.+-]+$/.test(type ?? '') ? (type as string) : 'application/octet-stream'
  const image = contentType.startsWith('image/') ? imageDimensions(head) : undefined
  const thumbnail = image && (await makeThumbnail(files.path(token), contentType))
  const thumbnailToken = thumbnail && (await files.put(thumbnail.bytes))
  const row = { channel_id: channel.channel_id, file_name: fileName, created_at: Date.now(), thumbnail: null }
  await log.write(async ({ db }) => {
    if (thumbnail !== undefined && thumbnailToken !== undefined)
      await insertFile(db, {
        ...row,
        token: thumbnailToken,
        content_type: thumbnail.contentType,
        file_size: thumbnail.bytes.length,
      })
    await insertFile(db, {
      ...row,
      token,
      content_type: contentType,
      file_size: byteSize,
      thumbnail: thumbnailToken ?? null,
    })
  })
  const folder = `${filesOf(channel)}/${token}`
  const shown = encodeURIComponent(fileName)
  return {
    content_type: contentType,
    file_name: fileName,
    file_size: byteSize,
    path: `${folder}/${shown}`,
    ...(image === undefined ? {} : { image }),
    ...(thumbnail === undefined
      ? {}
      : {
          thumbnail: { path: `${folder}/thumb/${shown}`, width: thumbnail.width, height: thumbnail.height },
        }),
  }
}

/** [flowdock] files.md: files of private conversations have a path of their own. */
function filesOf(channel: Channel): string {
  if ('id' in channel) return `/files/${channel.channel_id}`
  return `/private/${channel.low_user_id}/${channel.high_user_id}/files`
}
