import { Readable } from 'node:stream'
import type { WireAttachment, WireAuthor, WireThreadField, WireThreadStatus } from '../../wire/flowdock.ts'
import { boundedTags, boundedText, lengthProblem, maxEntries } from '../bounds.ts'
import type { FileStore } from '../files.ts'
import { decodeAll, HttpError, invalid } from '../http/errors.ts'
import type { Params } from '../http/params.ts'
import type { FileRow } from '../store/files.ts'
import { type DescribedFile, describeFile } from './attachments.ts'
import type { Channel } from './channel.ts'
import { actionProblem, threadColors } from './thread-actions.ts'
import { webUrl } from './web-url.ts'

/** The state of a thread that its messages carry. A property that is left out stays as it is. */
export interface ThreadState {
  readonly title?: string
  readonly body?: string | null
  readonly externalUrl?: string | null
  readonly status?: WireThreadStatus | null
  readonly fields?: readonly WireThreadField[]
  readonly actions?: readonly Record<string, unknown>[]
}

/** A message to send. Its form was checked, but not whether the objects that it names exist. */
export interface MessageDraft {
  readonly event: string
  readonly content: unknown
  readonly tags: readonly string[]
  readonly uuid?: string | undefined
  readonly threadId?: string | undefined
  readonly externalThreadId?: string | undefined
  readonly thread?: ThreadState | undefined
  /** The message that a comment is on. Any other event goes into the thread of that message. */
  readonly parentId?: number | undefined
  readonly externalUserName?: string | undefined
  readonly author?: WireAuthor
  readonly title?: string
  readonly body?: string | undefined
  readonly attachments?: readonly WireAttachment[]
  /** The rows of its files, which are on the disk already. */
  readonly files?: readonly FileRow[]
}

/** The color of a status that has only a value, as some integrations send it. */
const defaultThreadColor = 'grey'
const maxFileBytes = 10 * 1024 * 1024
/** [flowdock] push.md, team-inbox.md: the characters of a name of a source or project. */
const namePattern = /^[\w -]{1,100}$/

/**
 * Decodes a message that a user or a source sends.
 *
 * @param allowed the events that the sender may use
 * @throws 400 with all that is wrong with its texts, or 413 for a file that is too long
 */
export async function decodeDraft(
  params: Params,
  files: FileStore,
  channel: Channel,
  allowed: readonly string[],
  defaultEvent?: string,
): Promise<MessageDraft> {
  const event = params.string('event') ?? defaultEvent
  if (event === undefined) throw invalid({ event: ["can't be blank"] })
  if (!allowed.includes(event)) throw invalid({ event: [`must be one of ${allowed.join(', ')}`] })
  const { texts, ...named } = decodeAll({
    texts: () => decodeTexts(event, params),
    // A mail has its own, of which those that are given are a part.
    tags: () => (event === 'mail' ? [] : (boundedTags(params) ?? [])),
    uuid: () => decodeUuid(params),
    threadId: () => boundedText(params, 'thread_id', 'thread_id'),
    externalThreadId: () => boundedText(params, 'external_thread_id', 'external_thread_id'),
    parentId: () => params.integer('message'),
    externalUserName: () => decodeExternalName(params),
    thread: () => decodeThreadState(params.object('thread')),
  })
  return { event, ...named, ...texts, ...(await decodeFiles(event, params, files, channel)) }
}

type Texts = Pick<MessageDraft, 'content'> & Partial<MessageDraft>

function decodeTexts(event: string, params: Params): Texts {
  if (event === 'mail') return decodeMail(params)
  // Its content is the file.
  if (event === 'file') return { content: null }
  if (event !== 'activity' && event !== 'discussion') return { content: chatContent(params) }
  const presented = decodeAll({
    title: () => requiredText(params, 'title'),
    body: () => (event === 'discussion' ? requiredText(params, 'body') : boundedText(params, 'body', 'body')),
    author: () => decodeAuthor(params),
  })
  return { content: null, ...presented }
}

async function decodeFiles(
  event: string,
  params: Params,
  files: FileStore,
  channel: Channel,
): Promise<Partial<MessageDraft>> {
  if (event === 'activity' || event === 'discussion') return decodeAttachments(params, files, channel)
  if (event !== 'file') return {}
  const { attachment, rows } = await decodeFile(params, files, channel)
  return { content: attachment, attachments: [attachment], files: rows }
}

function decodeUuid(params: Params): string | undefined {
  const uuid = params.string('uuid')
  if (uuid !== undefined && !/^[\x21-\x7e]{1,100}$/.test(uuid))
    throw invalid({ uuid: ['must be 1 to 100 printable characters'] })
  return uuid
}

function decodeExternalName(params: Params): string | undefined {
  const name = boundedText(params, 'external_user_name', 'external_user_name')
  if (name !== undefined && /\s/.test(name))
    throw invalid({ external_user_name: ['should not contain whitespace'] })
  return name
}

/** @throws 400 when it is blank or too long */
function requiredText(params: Params, name: 'body' | 'content' | 'title'): string {
  const text = boundedText(params, name, name)
  if (text === undefined || text.trim() === '') throw invalid({ [name]: ["can't be blank"] })
  return text
}

/** The text of a chat message. @throws 400 when it is blank or too long */
export function chatContent(params: Params): string {
  return requiredText(params, 'content')
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

/**
 * The new state of a thread. A member that is null beside others is removed, because the Python wrapper sends null for each that
 * the item does not have. One that is left out stays.
 *
 * @throws 400 for an unknown status color, or a member of another type
 */
export function decodeThreadState(thread: Params | undefined): ThreadState | undefined {
  if (thread === undefined) return undefined
  const isGiven = threadMembers.some((name) => thread.has(name))
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
    ...(isGiven ? removedMembers(thread) : {}),
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    ...(externalUrl === undefined ? {} : { externalUrl }),
    ...(color === undefined ? {} : { status: { color, value: statusValue ?? '' } }),
    ...(fields === undefined ? {} : { fields }),
    ...(actions === undefined ? {} : { actions: actions as Record<string, unknown>[] }),
  }
}

const threadMembers = ['title', 'body', 'external_url', 'status', 'fields', 'actions']

function removedMembers(thread: Params): ThreadState {
  return {
    ...(thread.isNull('body') ? { body: '' } : {}),
    ...(thread.isNull('external_url') ? { externalUrl: null } : {}),
    ...(thread.isNull('status') ? { status: null } : {}),
    ...(thread.isNull('fields') ? { fields: [] } : {}),
    ...(thread.isNull('actions') ? { actions: [] } : {}),
  }
}

/** The file of a message: a part of a multipart body, or Base64. [flowdock] messages.md, "Uploading files" */
async function decodeFile(params: Params, files: FileStore, channel: Channel): Promise<DescribedFile> {
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
 * The files beside an activity or discussion, parts named `attachments[file1]`: the body may show one as
 * `cid:file1`. [flowdock] files.md, "Attachments"
 */
async function decodeAttachments(
  params: Params,
  files: FileStore,
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
  const rows: FileRow[] = []
  for (const [id, { file, fileName, contentType }] of uploads) {
    const described = await describeFile(files, channel, file, fileName, contentType)
    attachments.push({ ...described.attachment, ...(id === '' ? {} : { content_id: id.toWellFormed() }) })
    rows.push(...described.rows)
  }
  return { attachments, files: rows }
}

/** Decodes a chat message of the push API. @throws 400 */
export function decodeChat(params: Params): MessageDraft {
  const content = boundedText(params, 'content', 'content')
  const name = boundedText(params, 'external_user_name', 'external_user_name')
  const errors = {
    ...problem('content', content === undefined || content.trim() === '', "can't be blank"),
    ...problem('external_user_name', name === undefined || name === '', "can't be blank"),
    ...problem('external_user_name', /\s/.test(name ?? ''), 'should not contain whitespace'),
  }
  if (content === undefined || name === undefined || Object.keys(errors).length > 0) throw invalid(errors)
  const parentId = params.integer('message_id')
  const threadId = boundedText(params, 'thread_id', 'thread_id')
  return {
    event: parentId === undefined ? 'message' : 'comment',
    content,
    externalUserName: name,
    tags: boundedTags(params) ?? [],
    parentId,
    threadId,
  }
}

/** An e-mail as the team inbox shows it. @throws 400 */
export function decodeMail(params: Params): MessageDraft {
  const required = (
    [
      ['source', 'name'],
      ['from_address', 'email'],
      ['subject', 'title'],
      ['content', 'body'],
    ] as const
  ).map(([name, field]) => [name, boundedText(params, name, field)?.trim() ?? ''])
  const { source = '', from_address: address = '', subject = '', content = '' } = Object.fromEntries(required)
  const project = params.string('project')
  const nameProblem = 'can only contain letters, digits, underscores, dashes and spaces'
  const errors = {
    ...Object.fromEntries(
      required.filter(([, value]) => value === '').map(([name]) => [name, ["can't be blank"]]),
    ),
    ...problem('source', source !== '' && !namePattern.test(source), nameProblem),
    ...problem('project', project !== undefined && !namePattern.test(project), nameProblem),
  }
  if (Object.keys(errors).length > 0) throw invalid(errors)
  const replyTo = boundedText(params, 'reply_to', 'email')
  const link = webUrl(params, 'link') ?? undefined
  const name = boundedText(params, 'from_name', 'author')
  return {
    event: 'mail',
    content: {
      subject,
      replyTo: replyTo === undefined ? [] : [replyTo],
      to: [],
      contentType: 'text/html',
      from: [{ name: name ?? '', address }],
      cc: [],
      bcc: [],
      content,
      sender: address,
      source,
      ...(project === undefined ? {} : { project }),
      ...(link === undefined ? {} : { link }),
    },
    tags: [`:source:${source}`, ...(boundedTags(params) ?? [])],
    ...(link === undefined ? {} : { thread: { externalUrl: link } }),
  }
}

function problem(name: string, wrong: boolean, message: string): Record<string, string[]> {
  return wrong ? { [name]: [message] } : {}
}
