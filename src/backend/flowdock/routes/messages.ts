import type { WireAttachment, WireAuthor, WireMessage } from '../../../wire/flowdock.ts'
import { HttpError, invalid, notFound, unauthorized } from '../../http-error.ts'
import type { Params } from '../../params.ts'
import type { Answer, Backend, Request, Route, UserRequest } from '../../router.ts'
import type { Database } from '../../store/db.ts'
import { insertFile } from '../../store/files.ts'
import { type FlowRow, findFlow, listMentionable } from '../../store/flows.ts'
import {
  browseMessages,
  findMessage,
  type MessageRow,
  searchMessages,
  searchWords,
} from '../../store/messages.ts'
import { findSourceByTokenHash, findSources, type SourceRow } from '../../store/sources.ts'
import { findThreads } from '../../store/threads.ts'
import { hashToken } from '../auth.ts'
import { encodeMessage } from '../encode.ts'
import {
  deleteMessage,
  editMessage,
  type MessageDraft,
  maxContentLength,
  sendMessage,
  type ThreadState,
} from '../messages.ts'
import { resolveTag } from '../tags.ts'
import { checkVisible, idSegment, joinedFlow, segment, writableFlow } from './access.ts'

/** What a user may send, and what the holder of a flow token may. [flowdock] messages.md, "Send a Message" */
const userEvents = ['message', 'comment', 'status', 'line', 'file']
const sourceEvents = ['activity', 'discussion', 'message', 'file']
const threadColors = ['red', 'green', 'yellow', 'cyan', 'orange', 'grey', 'black', 'lime', 'purple', 'blue']
const maxFileBytes = 10 * 1024 * 1024

/** [flowdock] messages.md */
export const messageRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/messages',
    auth: 'any',
    async handle(request, backend) {
      const flowToken = request.params.string('flow_token')
      if (flowToken !== undefined) return sendFromSource(request, backend, flowToken)
      if (request.user === undefined) throw unauthorized()
      const userRequest = { ...request, user: request.user }
      return sendFromUser(userRequest, backend, await namedFlow(userRequest, backend), {})
    },
  },
  {
    method: 'POST',
    pattern: '/comments',
    auth: 'user',
    handle: async (request, backend) =>
      sendFromUser(request, backend, await namedFlow(request, backend), { event: 'comment' }),
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/messages',
    auth: 'user',
    handle: async (request, backend) => listAnswer(request, backend, await joinedFlow(request, backend)),
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/messages',
    auth: 'user',
    handle: async (request, backend) =>
      sendFromUser(request, backend, await joinedFlow(request, backend), {}),
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/messages/:message/comments',
    auth: 'user',
    handle: async (request, backend) =>
      sendFromUser(request, backend, await joinedFlow(request, backend), {
        event: 'comment',
        parentId: idSegment(request, 'message'),
      }),
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/messages/:message',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const { reader } = backend.store
      const message = await findMessage(reader, flow.channel_id, idSegment(request, 'message'))
      if (message === undefined) throw notFound()
      const [body] = await encodeMessages(reader, flow.id, [message], request.base)
      return { status: 200, body }
    },
  },
  {
    method: 'PUT',
    pattern: '/flows/:organization/:flow/messages/:message',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const content = request.params.has('content') ? chatContent(request.params) : undefined
      const tags = request.params.list('tags')
      if (content === undefined && tags === undefined) throw invalid({ content: ["can't be blank"] })
      const edit = { ...(content === undefined ? {} : { content }), ...(tags === undefined ? {} : { tags }) }
      await backend.log.write(async (change) => {
        await writableFlow(change.db, request.user.id, flow.id)
        await editMessage(change, flow, request.user.id, idSegment(request, 'message'), edit)
      })
      return { status: 200, body: {} }
    },
  },
  {
    method: 'DELETE',
    pattern: '/flows/:organization/:flow/messages/:message',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const outcome = await backend.log.write(async (change) => {
        await writableFlow(change.db, request.user.id, flow.id)
        return deleteMessage(change, flow, request.user.id, idSegment(request, 'message'))
      })
      return outcome === 'emptied' ? { status: 200, body: {} } : { status: 204 }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/threads/:thread/messages',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const threadId = segment(request, 'thread')
      const [thread] = await findThreads(backend.store.reader, [threadId])
      if (thread === undefined || thread.channel_id !== flow.channel_id) throw notFound()
      return listAnswer(request, backend, flow, threadId)
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/threads/:thread/messages',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const threadId = segment(request, 'thread')
      const [thread] = await findThreads(backend.store.reader, [threadId])
      if (thread === undefined || thread.channel_id !== flow.channel_id) throw notFound()
      return sendFromUser(request, backend, flow, { threadId })
    },
  },
]

async function listAnswer(
  { params, base }: UserRequest,
  { store }: Backend,
  flow: FlowRow,
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
  if ((search !== undefined && search !== '') || (tags !== undefined && tags.length > 0)) {
    const members = await listMentionable(reader, flow.id)
    rows = await searchMessages(reader, flow.channel_id, {
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
    rows = await browseMessages(reader, flow.channel_id, {
      ...shared,
      sort: params.string('sort') === 'asc' ? 'asc' : 'desc',
      ...(sinceId === undefined ? {} : { sinceId }),
      ...(untilId === undefined ? {} : { untilId }),
    })
  }
  return { status: 200, body: await encodeMessages(reader, flow.id, rows, base) }
}

/** Messages with the threads they belong to, in two reads however many there are. */
async function encodeMessages(
  db: Database,
  flowId: string,
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
  return messages.map((message) =>
    encodeMessage(
      message,
      flowId,
      message.thread_id === null ? undefined : contexts.get(message.thread_id),
      base,
    ),
  )
}

async function sendFromUser(
  request: UserRequest,
  backend: Backend,
  flow: FlowRow,
  fixed: { event?: string; parentId?: number; threadId?: string },
): Promise<Answer> {
  const draft = { ...(await decodeDraft(request.params, backend, flow, userEvents, fixed.event)), ...fixed }
  if (draft.event === 'comment' && draft.parentId === undefined)
    throw invalid({ message: ["can't be blank"] })
  const sent = await backend.log.write(async (change) => {
    await writableFlow(change.db, request.user.id, flow.id)
    return sendMessage(change, flow, { userId: request.user.id }, draft)
  })
  return { status: 201, body: encodeMessage(sent.message, flow.id, sent.thread, request.base) }
}

/** [flowdock] production-integrations.md: 202 without a body of use, unless the caller asks to wait. */
async function sendFromSource(request: Request, backend: Backend, flowToken: string): Promise<Answer> {
  const source = await activeSource(backend.store.reader, flowToken)
  const flow = await findFlow(backend.store.reader, 0, { id: source.flow_id })
  if (flow === undefined || flow.disabled === 1) throw notFound()
  const draft = await decodeDraft(request.params, backend, flow, sourceEvents)
  if (draft.threadId === undefined && draft.externalThreadId === undefined)
    throw invalid({ external_thread_id: ["can't be blank"] })
  const sent = await backend.log.write((change) => sendMessage(change, flow, { userId: 0, source }, draft))
  if (request.headers['x-flowdock-wait-for-message'] === undefined) return { status: 202, body: {} }
  return { status: 201, body: encodeMessage(sent.message, flow.id, sent.thread, request.base) }
}

/** @throws 404 for a token that never was, 410 for that of a removed source */
async function activeSource(db: Database, flowToken: string): Promise<SourceRow> {
  const source = await findSourceByTokenHash(db, hashToken(flowToken))
  if (source === undefined) throw notFound()
  if (source.deleted_at !== null) throw new HttpError(410, { message: 'The source was removed' })
  return source
}

/** The flow that the `flow` parameter names by id or as "org/flow". */
async function namedFlow(request: UserRequest, { store }: Backend): Promise<FlowRow> {
  const name = request.params.string('flow')
  if (name === undefined || name === '') throw invalid({ flow: ["can't be blank"] })
  const [organization, slug] = name.split('/')
  const by = organization !== undefined && slug !== undefined ? { organization, slug } : { id: name }
  return checkVisible(await findFlow(store.reader, request.user.id, by))
}

async function decodeDraft(
  params: Params,
  backend: Backend,
  flow: FlowRow,
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
    ...(await decodeContent(event, params, backend, flow)),
  }
}

async function decodeContent(
  event: string,
  params: Params,
  backend: Backend,
  flow: FlowRow,
): Promise<Pick<MessageDraft, 'content' | 'author' | 'title' | 'body' | 'attachments'>> {
  if (event === 'file') {
    const file = await storeFile(params, backend, flow)
    return { content: file, attachments: [file] }
  }
  if (event !== 'activity' && event !== 'discussion') return { content: chatContent(params) }
  const title = params.string('title')
  if (title === undefined || title.trim() === '') throw invalid({ title: ["can't be blank"] })
  const body = params.string('body')
  if (event === 'discussion' && (body === undefined || body.trim() === ''))
    throw invalid({ body: ["can't be blank"] })
  return { content: null, title, author: decodeAuthor(params), ...(body === undefined ? {} : { body }) }
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
  const avatar = author?.string('avatar')
  const email = author?.string('email')
  return { name, ...(avatar === undefined ? {} : { avatar }), ...(email === undefined ? {} : { email }) }
}

function decodeThreadState(thread: Params | undefined): ThreadState | undefined {
  if (thread === undefined) return undefined
  const title = thread.string('title')
  const status = thread.object('status')
  const color = status?.string('color')
  if (status !== undefined && (color === undefined || !threadColors.includes(color)))
    throw invalid({ thread: [`status color must be one of ${threadColors.join(', ')}`] })
  const fields = thread.objects('fields')?.map((field) => ({
    label: field.string('label') ?? '',
    value: field.string('value') ?? '',
  }))
  const actions = thread.raw('actions')
  if (actions !== undefined && !Array.isArray(actions)) throw invalid({ thread: ['actions must be a list'] })
  const body = thread.string('body')
  const externalUrl = thread.string('external_url')
  return {
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    ...(externalUrl === undefined ? {} : { externalUrl }),
    ...(color === undefined ? {} : { status: { color, value: status?.string('value') ?? '' } }),
    ...(fields === undefined ? {} : { fields }),
    ...(actions === undefined ? {} : { actions }),
  }
}

/** Keeps the Base64 file of a message. [flowdock] messages.md, "Uploading files" */
async function storeFile(params: Params, backend: Backend, flow: FlowRow): Promise<WireAttachment> {
  const content = params.object('content')
  const data = content?.string('data')
  const name = content
    ?.string('file_name')
    ?.replace(/[\p{Cc}/\\]/gu, '_')
    .trim()
  if (data === undefined || data === '') throw invalid({ content: ["data can't be blank"] })
  if (name === undefined || name === '') throw invalid({ content: ["file_name can't be blank"] })
  const bytes = Buffer.from(data, 'base64')
  if (bytes.length > maxFileBytes)
    throw new HttpError(413, { message: `File is longer than ${maxFileBytes} bytes` })
  const type = content?.string('content_type') ?? 'application/octet-stream'
  if (!/^[\w.+-]+\/[\w.+-]+$/.test(type)) throw invalid({ content: ['content_type is not a media type'] })
  const token = await backend.files.put(bytes)
  await backend.log.write(({ db }) =>
    insertFile(db, {
      token,
      channel_id: flow.channel_id,
      file_name: name,
      content_type: type,
      file_size: bytes.length,
      created_at: Date.now(),
    }),
  )
  return {
    content_type: type,
    file_name: name,
    file_size: bytes.length,
    path: `/files/${flow.channel_id}/${token}/${encodeURIComponent(name)}`,
  }
}
