import { parseIsoTime } from '../../iso-time.ts'
import { isRecord } from '../../json-values.ts'
import {
  cut,
  fitMessage,
  fitReactions,
  fitTags,
  fitThread,
  isSensibleTime,
  maxCharacters,
  maxEntries,
  maxImportedId,
} from '../bounds.ts'
import { plainContentType, plainFileName } from '../flowdock/file-description.ts'
import { actionProblem, isUpdateAction, threadColors } from '../flowdock/thread-actions.ts'
import { isWebUrl } from '../flowdock/web-url.ts'
import type { MessageRow } from '../store/messages.ts'
import type { ThreadRow } from '../store/threads.ts'

/** A user of an export, or of a list of users. */
export interface ExportedPerson {
  /** The user's id in the export. */
  readonly id: string
  readonly nick?: string
  readonly name?: string
  readonly email?: string
}

/** A file of a message of an export. */
export interface ExportedFile {
  readonly path: string
  readonly file_name: string
  readonly content_type: string
}

/** A message of an export, checked. */
export interface ExportedMessage {
  readonly id: number
  readonly event: string
  readonly sent: number
  readonly row: Omit<MessageRow, 'seq' | 'id' | 'channel_id' | 'thread_id'>
  readonly threadId: string | undefined
  /** The parent message of a comment. */
  readonly parentId: number | undefined
  /** Whether texts were shortened because they exceeded the bounds. */
  readonly isShortened: boolean
  /** The thread, if the export contains it in the message. */
  readonly thread: ExportedThread | undefined
  readonly files: readonly ExportedFile[]
  /** The ids of all users that the message names. */
  readonly userIds: readonly string[]
  /** The message with the ids of its users on this server. */
  withUsers(users: ReadonlyMap<string, number>): ExportedMessage
  /** The message with the paths of its files on this server. */
  withPaths(paths: ReadonlyMap<string, string>): ExportedMessage
}

export interface ExportedThread {
  /** The name of the integration that sent it. */
  readonly source: string | undefined
  readonly columns: Partial<ThreadRow>
}

type Json = Record<string, unknown>

/** Events of streams that are not messages. */
const transient = ['activity.user', 'presence', 'flow-add', 'flow-remove', 'backend.join.user']

/** A message of an export, or the reason why it cannot be imported. */
export function readMessage(raw: Json): ExportedMessage | string {
  const { id, event } = raw
  if (typeof event !== 'string' || event === '') return 'it does not say what it is'
  if (event.length > maxCharacters.event) return 'its kind is too long'
  if (transient.includes(event)) return `${event} is no message`
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 1) return 'it has no number'
  if (id > maxImportedId) return `its number is above ${maxImportedId}`
  if (raw['to'] !== undefined && raw['to'] !== null) return 'it is private'
  const sent = toMs(raw['sent']) ?? toMs(raw['created_at'])
  if (sent === undefined) return 'it has no time between the years 1970 and 2100'
  return toMessage(raw, id, event, sent)
}

/** The users of a list, or of an object with a list as `users`. */
export function readPeople(list: unknown): ExportedPerson[] {
  const users: unknown = Array.isArray(list) ? list : isRecord(list) ? list['users'] : undefined
  if (!Array.isArray(users)) return []
  return users.filter(isRecord).flatMap((user) => {
    const id = userNumber(user['id'])
    if (id === undefined) return []
    const [nick, name, email] = [text(user['nick']), text(user['name']), text(user['email'])]
    const isAddress =
      email !== undefined && email.length <= maxCharacters.email && /^[^\s@]+@[^\s@]+$/.test(email)
    return [
      {
        id,
        ...(nick === undefined ? {} : { nick: cut(nick, maxCharacters.nick) }),
        ...(name === undefined ? {} : { name: cut(name, maxCharacters.name) }),
        ...(isAddress ? { email } : {}),
      },
    ]
  })
}

function toMessage(raw: Json, id: number, event: string, sent: number): ExportedMessage {
  const tags = strings(raw['tags'])
  const reactions = reactionsOf(raw['emojiReactions'])
  const user = userNumber(raw['sent_by']) ?? userNumber(raw['user']) ?? '0'
  const attachments = Array.isArray(raw['attachments']) ? raw['attachments'].filter(isRecord) : []
  const content = raw['content'] ?? null
  const parent = tags.map((tag) => /^influx:(\d{1,15})$/.exec(tag)?.[1]).find((found) => found !== undefined)
  const resolveThread = text(raw['thread_id'])
  const threadId =
    resolveThread !== undefined && resolveThread.length <= maxCharacters.thread_id ? resolveThread : undefined
  const uuid = text(raw['uuid'])
  const thread = isRecord(raw['thread']) ? readThread(raw['thread']) : undefined
  const named = [user, ...tags.map((tag) => userTag.exec(tag)?.[1]), ...Object.values(reactions).flat()]

  // [flowdock] messages.md: a message without text was deleted, and no search finds it.
  const isDeleted =
    event === 'message' ? content === '' : event === 'comment' && isRecord(content) && content['text'] === ''
  const lasting = (tag: string) => !tag.startsWith(':unread:') && (!isDeleted || tag.startsWith('influx:'))

  const written = {
    event,
    sent,
    user_id: Number(user),
    source_id: 0,
    uuid: uuid !== undefined && uuid.length <= maxCharacters.uuid ? uuid : null,
    app: raw['app'] === 'influx' || raw['app'] === 'chat' ? raw['app'] : null,
    content_json: JSON.stringify(content),
    // All messages of an export count as read.
    tags_json: JSON.stringify([...new Set(tags)].filter(lasting)),
    external_user_name: text(raw['external_user_name']) ?? null,
    author_json: authorOf(raw['author']),
    title: text(raw['title']) ?? null,
    body: text(raw['body']) ?? null,
    attachments_json: JSON.stringify(attachments),
    edited: toMs(raw['edited']) ?? null,
    deleted_at: isDeleted ? (toMs(raw['edited']) ?? sent) : null,
    reactions_json: JSON.stringify(reactions),
  }
  const fitting = fitMessage({
    ...written,
    tags_json: JSON.stringify(fitTags(JSON.parse(written.tags_json) as string[])),
    reactions_json: fitReactions(written.reactions_json),
  })
  const parts = ['content_json', 'tags_json', 'author_json', 'title', 'body', 'reactions_json'] as const

  return {
    id,
    event,
    sent,
    threadId,
    thread,
    parentId: event === 'comment' && parent !== undefined ? Number(parent) : undefined,
    isShortened: parts.some((part) => fitting[part] !== written[part]),
    row: fitting,
    files: filesOf([content, ...attachments]),
    userIds: [...new Set(named.filter((number) => number !== undefined && number !== '0'))] as string[],
    withUsers: (users) => toMessage(renumber(raw, tags, reactions, user, users), id, event, sent),
    withPaths: (paths) =>
      toMessage(
        { ...raw, content: move(content, paths), attachments: attachments.map((each) => move(each, paths)) },
        id,
        event,
        sent,
      ),
  }
}

const userTag = /^:user:(\d{1,15})$/

function renumber(
  raw: Json,
  tags: readonly string[],
  reactions: Readonly<Record<string, string[]>>,
  user: string,
  users: ReadonlyMap<string, number>,
): Json {
  const numberOf = (old: string) => String(users.get(old) ?? old)
  return {
    ...raw,
    user: numberOf(user),
    ...(raw['sent_by'] === undefined ? {} : { sent_by: numberOf(user) }),
    tags: tags.map((tag) => tag.replace(userTag, (_, old: string) => `:user:${numberOf(old)}`)),
    emojiReactions: Object.fromEntries(
      Object.entries(reactions).map(([emoji, ids]) => [emoji, ids.map(numberOf)]),
    ),
  }
}

function readThread(thread: Json): ExportedThread {
  const source = isRecord(thread['source']) ? text(thread['source']['name']) : undefined
  const title = text(thread['title']) ?? ''
  const status = statusOf(thread['status'])
  const fields = (Array.isArray(thread['fields']) ? thread['fields'] : [])
    .filter(isRecord)
    .slice(0, maxEntries.fields)
    .map(({ label, value }) => ({
      label: cut(text(label) ?? '', maxCharacters.label),
      value: cut(text(value) ?? '', maxCharacters.value),
    }))
  const created = toMs(thread['created_at'])
  const updated = toMs(thread['updated_at'])
  const texts = fitThread({
    title: cut(title, maxCharacters.title),
    body: text(thread['body']) ?? '',
    external_url: isWebUrl(thread['external_url']) ? thread['external_url'] : null,
    status_json: status === undefined ? null : JSON.stringify(status),
    fields_json: JSON.stringify(fields),
    actions_json: JSON.stringify(readActions(thread['actions'])),
  })
  const { title: _, ...untitled } = texts
  return {
    source: source && cut(source, maxCharacters.name),
    columns: {
      ...(text(thread['title']) === undefined ? untitled : texts),
      ...(created === undefined ? {} : { created_at: created }),
      ...(updated === undefined ? {} : { updated_at: updated }),
    },
  }
}

/** Removes UpdateActions: signed requests only go to URLs that a source of this server wrote. */
function readActions(actions: unknown): Json[] {
  if (!Array.isArray(actions)) return []
  return actions
    .filter(isRecord)
    .filter((action) => !isUpdateAction(action) && actionProblem([action]) === undefined)
}

function statusOf(status: unknown): { color: string; value: string } | undefined {
  const color = isRecord(status) ? text(status['color']) : undefined
  if (!isRecord(status) || color === undefined || !threadColors.includes(color)) return undefined
  return { color, value: cut(text(status['value']) ?? '', maxCharacters.status) }
}

function authorOf(author: unknown): string | null {
  const name = isRecord(author) ? text(author['name']) : undefined
  if (!isRecord(author) || name === undefined) return null
  const [avatar, email] = [text(author['avatar']), text(author['email'])]
  return JSON.stringify({
    name: cut(name, maxCharacters.author),
    ...(isWebUrl(avatar) ? { avatar } : {}),
    ...(email === undefined || email.length > maxCharacters.email ? {} : { email }),
  })
}

/** Files by their paths, each once: the file of a file message is in its attachments, too. */
function filesOf(parts: readonly unknown[]): ExportedFile[] {
  const files = new Map<string, ExportedFile>()
  for (const part of parts) {
    if (!isRecord(part)) continue
    const path = text(part['path'])
    const name = text(part['file_name'])
    if (path === undefined || name === undefined) continue
    const type = plainContentType(text(part['content_type']))
    files.set(path, { path, file_name: plainFileName(name), content_type: type })
  }
  return [...files.values()]
}

/** A part with the new path of its file, without the thumbnail, which exports do not contain. */
function move(part: unknown, paths: ReadonlyMap<string, string>): unknown {
  if (!isRecord(part)) return part
  const path = paths.get(text(part['path']) ?? '')
  if (path === undefined) return part
  const { thumbnail: _, ...rest } = part
  const [name, type] = [text(part['file_name']), text(part['content_type'])]
  return { ...rest, path, file_name: plainFileName(name ?? ''), content_type: plainContentType(type) }
}

function reactionsOf(value: unknown): Record<string, string[]> {
  if (!isRecord(value)) return {}
  return Object.fromEntries(
    Object.entries(value).map(([emoji, ids]) => [
      emoji,
      (Array.isArray(ids) ? ids : []).map(userNumber).filter((id) => id !== undefined),
    ]),
  )
}

/** Ids of users are numbers in some places and texts in others. */
function userNumber(value: unknown): string | undefined {
  const digits = typeof value === 'number' ? String(value) : value
  return typeof digits === 'string' && /^\d{1,15}$/.test(digits) ? digits : undefined
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text).filter((item) => item !== undefined) : []
}

/** A text without halves of surrogate pairs. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value.toWellFormed() : undefined
}

/** A time from milliseconds or ISO 8601, in UTC when it has no offset. Undefined for any other value, or a time out of range. */
function toMs(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? parseIsoTime(value) : value
  return typeof ms === 'number' && isSensibleTime(ms) ? Math.trunc(ms) : undefined
}
