import type { WireAttachment, WireAuthor, WireThreadField, WireThreadStatus } from '../../../wire/flowdock.ts'
import {
  checkMessageSize,
  checkThreadSize,
  cut,
  maxCharacters,
  maxEntries,
  tagsProblem,
} from '../../bounds.ts'
import type { Change } from '../../event-log.ts'
import { accessDenied, HttpError, invalid, notFound } from '../../http/errors.ts'
import type { Database } from '../../store/db.ts'
import { deleteFiles, type FileRow, insertFile } from '../../store/files.ts'
import { listMentionable, touchFlow, upsertFlowMember } from '../../store/flows.ts'
import {
  deleteMessage as deleteRow,
  emptyMessageRow,
  findMessage,
  findMessageByUuid,
  insertMessage,
  isContent,
  listComments,
  listEdits,
  type MessageRow,
  moveToThread,
  nextMessageId,
  searchMessages,
  searchWords,
  setContent,
  setReactions,
  updateMessage,
} from '../../store/messages.ts'
import { findSources, type SourceRow } from '../../store/sources.ts'
import {
  countInThread,
  findExternalThread,
  findThread,
  insertThread,
  recountThread,
  type ThreadRow,
  updateThread,
} from '../../store/threads.ts'
import { findUser } from '../../store/users.ts'
import { encodeMessage, storedBase } from '../encode.ts'
import { newThreadId, newUuid } from '../ids.ts'
import { integrationText, isIntegrationEvent } from '../integration-events.ts'
import { followUnread, messageTags, resolveTag, textTags, withTextTags } from '../tags.ts'
import { isUpdateAction } from '../thread-actions.ts'
import {
  type Channel,
  emptyMessage,
  type FlowChannel,
  offsetOf,
  otherUser,
  recordEvent,
  type ThreadContext,
  tellMessage,
} from './record.ts'

/** Who sends: a user, or nobody (0) on behalf of a source. */
export interface Sender {
  readonly userId: number
  readonly source?: SourceRow
}

/** What may be said of a thread beside its messages; what is left out stays as it was. */
export interface ThreadState {
  readonly title?: string
  readonly body?: string | null
  readonly externalUrl?: string | null
  readonly status?: WireThreadStatus | null
  readonly fields?: readonly WireThreadField[]
  readonly actions?: readonly Record<string, unknown>[]
}

/** A message as its sender wants it, checked for form but not against what is stored. */
export interface MessageDraft {
  readonly event: string
  readonly content: unknown
  readonly tags: readonly string[]
  readonly uuid?: string
  readonly threadId?: string
  readonly externalThreadId?: string
  readonly thread?: ThreadState
  /** The message a comment is on; any other event goes into its thread. */
  readonly parentId?: number
  readonly externalUserName?: string
  readonly author?: WireAuthor
  readonly title?: string
  readonly body?: string
  readonly attachments?: readonly WireAttachment[]
  /** The files that come with it. */
  readonly files?: readonly FileRow[]
}

export interface SentMessage {
  readonly message: MessageRow
  readonly thread: ThreadContext | undefined
  /** The message as it is sent, in JSON, with `storedBase` for the address of the API. */
  readonly json: string
  /** Whether it was stored before, under the same `uuid`, and nothing was stored now. */
  readonly isRepeat: boolean
}

/**
 * Stores a message and tells the channel; in a flow in its thread, its own new one if it names none. The same `uuid` from the
 * same sender is one message: the stored one is answered, nothing changes.
 *
 * @throws 400 when the thread or the parent it names is not there, or the message or its thread is too long; 403 when the
 *   thread's state is not for this sender
 */
export async function sendMessage(
  change: Change,
  channel: Channel,
  sender: Sender,
  draft: MessageDraft,
): Promise<SentMessage> {
  const { db } = change
  const sourceId = sender.source?.id ?? 0
  if (draft.uuid !== undefined) {
    const stored = await findMessageByUuid(
      db,
      channel.channel_id,
      { userId: sender.userId, sourceId },
      draft.uuid,
    )
    if (stored !== undefined) {
      const thread = await threadContext(db, stored)
      const wire = encodeMessage(stored, offsetOf(channel, stored), thread, storedBase)
      return { message: stored, thread, json: JSON.stringify(wire), isRepeat: true }
    }
  }
  const sent = change.now()
  const parent = draft.parentId === undefined ? undefined : await findParent(db, channel, draft.parentId)
  const id = await nextMessageId(db, channel.channel_id)
  const thread =
    'id' in channel ? await openThread(change, channel, sender, draft, parent, { id, sent }) : undefined
  const commented = draft.event === 'comment' ? parent : undefined
  const content =
    commented === undefined ? draft.content : { title: parentTitle(commented), text: draft.content }
  const members = await listMembers(db, channel)
  const given = draft.tags
    .map((tag) => resolveTag(tag, members))
    // Whom it is unread to follows from whom it mentions.
    .filter((tag) => tag !== undefined && !tag.startsWith(':unread:')) as string[]
  if (draft.event === 'file' || (draft.attachments?.length ?? 0) > 0) given.unshift(':file')
  if (commented !== undefined) given.unshift(`influx:${commented.id}`)
  // [flowdock] a private message is unread for whom it is for without a mention, and says so first
  if (!('id' in channel)) given.unshift(`:unread:${otherUser(channel, sender.userId)}`)

  const row = {
    ...emptyMessage,
    id,
    channel_id: channel.channel_id,
    event: draft.event,
    user_id: sender.userId,
    source_id: sourceId,
    uuid: draft.uuid ?? newUuid(),
    thread_id: thread?.row.id ?? null,
    app: isInbox(draft.event) ? 'influx' : 'chat',
    content_json: JSON.stringify(content ?? null),
    tags_json: JSON.stringify(messageTags(given, messageText(draft.event, draft), members, sender.userId)),
    external_user_name: draft.externalUserName ?? null,
    author_json: draft.author === undefined ? null : JSON.stringify(draft.author),
    title: draft.title ?? null,
    body: draft.body ?? null,
    attachments_json: JSON.stringify(draft.attachments ?? []),
    sent,
  }
  checkMessageSize(row)
  const message = await insertMessage(db, row, searchWords(messageText(draft.event, draft)))
  if ('id' in channel) {
    await touchFlow(db, channel.id, { id, sent, userId: sender.userId })
    if (draft.event === 'status')
      await upsertFlowMember(db, channel.id, sender.userId, {
        status: cut(String(draft.content), maxCharacters.status),
      })
  }
  for (const file of draft.files ?? []) await insertFile(db, file)
  return { message, thread, json: await tellMessage(change, channel, message, thread), isRepeat: false }
}

/**
 * Changes the content of one's own message or comment, the tags of any message, or both.
 * [flowdock] messages.md, "Edit a Message"
 *
 * @throws 404 for no such message, 403 for the content of somebody else's, 400 when tags name nobody or are too many
 */
export async function editMessage(
  change: Change,
  channel: Channel,
  userId: number,
  messageId: number,
  edit: { content?: string; tags?: readonly string[] },
): Promise<void> {
  const { db } = change
  const message = await requireMessage(db, channel, messageId)
  const members = await listMembers(db, channel)
  const before = JSON.parse(message.tags_json) as string[]
  let after = before
  let edited = message
  if (edit.content !== undefined) {
    if (message.user_id !== userId || !isEditable(message)) throw accessDenied()
    const old = new Set(textTags(storedText(message), members))
    after = withTextTags(
      before.filter((tag) => !old.has(tag)),
      edit.content,
      members,
    )
    edited = {
      ...message,
      content_json: JSON.stringify(withText(message, edit.content)),
      edited: change.now(),
    }
  }
  if (edit.tags !== undefined) after = resolveTags(edit.tags, members)
  after =
    'id' in channel ? followUnread(before, after, members, [message.user_id, userId]) : [...new Set(after)]
  const problem = tagsProblem(after, before)
  if (problem !== undefined) throw invalid({ tags: [problem] })
  edited = { ...edited, tags_json: JSON.stringify(after) }
  if (edit.content !== undefined || after.length > before.length) checkMessageSize(edited)
  await updateMessage(db, edited, searchWords(storedText(edited)))
  if (edit.content !== undefined) await tellEdit(change, channel, userId, edited)

  const add = after.filter((tag) => !before.includes(tag))
  const remove = before.filter((tag) => !after.includes(tag))
  if (add.length > 0 || remove.length > 0)
    await recordEvent(change, channel, {
      event: 'tag-change',
      userId,
      content: { message: messageId, add, remove },
    })
}

/**
 * Deletes a message. One's own chat message stays with empty content; one's own file and anybody's inbox message
 * go. [flowdock] messages.md, "Delete a Message"
 *
 * Either way nothing finds it by what it said, and nothing counts it.
 *
 * @returns whether the message is still there, emptied, and the tokens of the files to delete after the commit
 * @throws 404 for no such message, 403 for any other kind or somebody else's
 */
export async function deleteMessage(
  change: Change,
  channel: Channel,
  userId: number,
  messageId: number,
): Promise<{ readonly outcome: 'emptied' | 'removed'; readonly files: readonly string[] }> {
  const { db } = change
  const message = await findMessage(db, channel.channel_id, messageId)
  if (message === undefined || !isContent(message)) throw notFound()
  if (message.user_id === userId && isEditable(message)) {
    if (message.deleted_at !== null) return { outcome: 'emptied', files: [] }
    const tags = JSON.parse(message.tags_json) as string[]
    const emptied = await emptyMessageRow(db, message, {
      content_json: JSON.stringify(withText(message, '')),
      // What a comment is on is no part of what it said.
      tags_json: JSON.stringify(tags.filter((tag) => tag.startsWith('influx:'))),
      deletedAt: change.now(),
    })
    await forgetText(db, message)
    if (message.thread_id !== null) await recountThread(db, message.thread_id)
    await tellEdit(change, channel, userId, emptied)
    return { outcome: 'emptied', files: [] }
  }
  const mayRemove = message.app === 'influx' || (message.event === 'file' && message.user_id === userId)
  if (!mayRemove) throw accessDenied()
  await deleteRow(db, message)
  await forgetText(db, message)
  const files = await deleteFiles(db, channel.channel_id, fileTokens(message))
  if (message.thread_id !== null) await recountThread(db, message.thread_id)
  await recordEvent(change, channel, { event: 'message-delete', userId, content: { message: messageId } })
  return { outcome: 'removed', files }
}

/** Takes the text of a deleted message out of what repeats it: edits, the titles of comments, that of its thread. */
async function forgetText(db: Database, message: MessageRow): Promise<void> {
  for (const { seq, event, content_json } of await listEdits(db, message.channel_id, message.id)) {
    const content = JSON.parse(content_json)
    const blank = event === 'message-edit' ? withoutText(content) : { ...content, add: [], remove: [] }
    await setContent(db, seq, JSON.stringify(blank))
  }
  for (const { seq, content_json } of await listComments(db, message.channel_id, message.id))
    await setContent(db, seq, JSON.stringify({ ...JSON.parse(content_json), title: '' }))
  const thread = message.thread_id === null ? undefined : await findThread(db, message.thread_id)
  if (thread?.source_id === null && thread.title === storedText(message))
    await updateThread(db, thread.id, { title: '' })
}

/** An edit without its text, which for a comment is `{ title, text }`. */
export function withoutText(content: { updated_content: unknown }) {
  const { updated_content: updated } = content
  return { ...content, updated_content: typeof updated === 'object' ? { title: '', text: '' } : '' }
}

/** The tokens of the files of a message, which stand before their names in the paths. */
function fileTokens({ content_json, attachments_json }: MessageRow): string[] {
  const parts = [JSON.parse(content_json), ...JSON.parse(attachments_json)] as unknown[]
  return parts.flatMap((part) =>
    typeof part === 'object' && part !== null && 'path' in part
      ? (String(part.path).split('/').at(-2) ?? [])
      : [],
  )
}

/** A message that can be changed. @throws 404 for one that is not there, was deleted, or was not said by anybody */
async function requireMessage(db: Database, channel: Channel, id: number): Promise<MessageRow> {
  const message = await findMessage(db, channel.channel_id, id)
  if (message === undefined || !isContent(message) || message.deleted_at !== null) throw notFound()
  return message
}

/**
 * Adds somebody's reaction to a message, or takes it back; nothing happens when it is so already.
 *
 * @throws 404 for no such message, 400 when it has as many reactions as it may have
 */
export async function reactToMessage(
  change: Change,
  channel: Channel,
  userId: number,
  messageId: number,
  reaction: { type: 'add' | 'remove'; emoji: string },
): Promise<void> {
  const message = await requireMessage(change.db, channel, messageId)
  const reactions = new Map(Object.entries(JSON.parse(message.reactions_json) as Record<string, string[]>))
  const before = reactions.get(reaction.emoji) ?? []
  const others = before.filter((id) => id !== String(userId))
  const after = reaction.type === 'add' ? [...others, String(userId)] : others
  if (after.length === before.length) return
  if (after.length === 0) reactions.delete(reaction.emoji)
  else reactions.set(reaction.emoji, after)
  if (reaction.type === 'add') {
    const count = [...reactions.values()].reduce((sum, ids) => sum + ids.length, 0)
    if (count > maxEntries.reactions)
      throw invalid({ emoji: [`cannot be added: a message has at most ${maxEntries.reactions} reactions`] })
    if (before.length === 0 && reactions.size > maxEntries.emoji)
      throw invalid({ emoji: [`cannot be added: a message has at most ${maxEntries.emoji} different emoji`] })
  }
  await setReactions(change.db, message.seq, JSON.stringify(Object.fromEntries(reactions)))
  await recordEvent(change, channel, {
    event: 'emoji-reaction',
    userId,
    content: { message: messageId, ...reaction },
  })
}

/**
 * Moves a message of a flow into another thread, or with `null` into a new one of its own.
 *
 * @throws 404 for no such message, 400 when the thread is not one of this flow
 */
export async function moveMessage(
  change: Change,
  flow: FlowChannel,
  userId: number,
  messageId: number,
  threadId: string | null,
): Promise<void> {
  const { db } = change
  const message = await requireMessage(db, flow, messageId)
  if (message.thread_id === null) throw notFound()
  const from = message.thread_id
  if (from === threadId) return
  const to =
    threadId === null
      ? await createThread(db, flow, { title: cut(storedText(message), maxCharacters.title) })
      : await requireThread(db, flow, threadId)
  await moveToThread(db, message.seq, to.id)
  for (const id of [from, to.id]) await recountThread(db, id)
  await recordEvent(change, flow, {
    event: 'thread-change',
    userId,
    content: { message: messageId, thread_id: to.id, from_thread_id: from },
  })
}

/**
 * Takes the mark off what somebody had not read, up to a message; the newest 500 of it at a time.
 *
 * @returns how many messages that were
 */
export async function markRead(
  change: Change,
  channel: Channel,
  userId: number,
  untilId: number | undefined,
): Promise<number> {
  const unread = await searchMessages(change.db, channel.channel_id, {
    words: [],
    tags: [`:unread:${userId}`],
    tagMode: 'and',
    skip: 0,
    limit: 500,
  })
  const read = unread.filter(({ id }) => untilId === undefined || id <= untilId)
  for (const message of read) {
    const tags = (JSON.parse(message.tags_json) as string[]).filter((tag) => tag !== `:unread:${userId}`)
    await editMessage(change, channel, userId, message.id, { tags })
  }
  return read.length
}

/** The thread a stored message belongs to, as it is now. */
export async function threadContext(db: Database, message: MessageRow): Promise<ThreadContext | undefined> {
  if (message.thread_id === null) return undefined
  const row = await findThread(db, message.thread_id)
  if (row === undefined) return undefined
  const [source] = row.source_id === null ? [] : await findSources(db, [row.source_id])
  return { row, source }
}

/** The thread a message goes to, as it is with it: the one it names, or a new one. */
async function openThread(
  change: Change,
  flow: FlowChannel,
  sender: Sender,
  draft: MessageDraft,
  parent: MessageRow | undefined,
  message: { id: number; sent: number },
): Promise<ThreadContext> {
  const { db } = change
  const { source } = sender
  const known = await resolveThread(db, flow, source, draft, parent)
  checkThreadState(draft.thread, source?.id ?? null, known)
  const counter = threadCounter(draft.event)
  if (known !== undefined) {
    const changes = threadColumns(draft.thread ?? {})
    const row = {
      ...known,
      ...changes,
      [counter]: known[counter] + 1,
      initial_message: known.initial_message ?? message.id,
      updated_at: message.sent,
    }
    if (draft.thread !== undefined) checkThreadSize(row)
    await updateThread(db, known.id, changes)
    await countInThread(db, row)
    const [origin] =
      row.source_id === null || row.source_id === source?.id
        ? [source]
        : await findSources(db, [row.source_id])
    return { row, source: row.source_id === null ? undefined : origin }
  }
  if (isInbox(draft.event) && draft.event !== 'mail' && draft.thread?.title === undefined)
    throw invalid({ thread: ["title can't be blank for a new thread"] })
  const row = {
    ...newThread(flow, message.sent),
    title: draft.event === 'mail' ? mailPart(draft.content, 'subject') : messageText(draft.event, draft),
    ...threadColumns(draft.thread ?? {}),
    source_id: source?.id ?? null,
    external_thread_id: (source && draft.externalThreadId) ?? null,
    [counter]: 1,
    initial_message: message.id,
  }
  checkThreadSize(row)
  await insertThread(db, row)
  return { row, source }
}

async function resolveThread(
  db: Database,
  flow: FlowChannel,
  source: SourceRow | undefined,
  draft: MessageDraft,
  parent: MessageRow | undefined,
): Promise<ThreadRow | undefined> {
  const id = draft.threadId ?? parent?.thread_id ?? undefined
  if (id !== undefined) return requireThread(db, flow, id)
  if (draft.externalThreadId === undefined || source === undefined) return undefined
  return findExternalThread(db, source.id, draft.externalThreadId)
}

/**
 * The state of a thread belongs to the source that opened it, or to the users of the flow: nobody else changes it. Signed
 * clicks go to where an UpdateAction says, so only a source may have one.
 *
 * @param sourceId of the sender; null for a user
 * @param thread undefined when the state is for a new one
 * @throws 403
 */
function checkThreadState(
  state: ThreadState | undefined,
  sourceId: number | null,
  thread: ThreadRow | undefined,
): void {
  if (state === undefined || Object.keys(state).length === 0) return
  if (thread !== undefined && thread.source_id !== sourceId)
    throw new HttpError(403, {
      message:
        thread.source_id === null
          ? 'Access denied: the state of this thread belongs to the users of the flow; send the message without "thread"'
          : 'Access denied: the state of this thread belongs to the source that opened it; send the message without "thread"',
    })
  if (sourceId === null && state.actions?.some(isUpdateAction))
    throw new HttpError(403, {
      message: 'Access denied: an UpdateAction is for threads of a source; send it with its flow_token',
    })
}

/** A thread of users without messages; it is listed once it has one. @throws 403 for actions of an integration */
export async function createThread(db: Database, flow: FlowChannel, state: ThreadState): Promise<ThreadRow> {
  checkThreadState(state, null, undefined)
  const created = { ...newThread(flow, Date.now()), ...threadColumns(state) }
  checkThreadSize(created)
  await insertThread(db, created)
  return created
}

function newThread(flow: FlowChannel, now: number): ThreadRow {
  return {
    id: newThreadId(),
    channel_id: flow.channel_id,
    source_id: null,
    external_thread_id: null,
    title: '',
    body: '',
    external_url: null,
    status_json: null,
    fields_json: '[]',
    actions_json: '[]',
    activities: 0,
    internal_comments: 0,
    external_comments: 0,
    initial_message: null,
    created_at: now,
    updated_at: now,
  }
}

/** @throws 400 when there is no such thread in the flow */
async function requireThread(db: Database, flow: FlowChannel, id: string): Promise<ThreadRow> {
  const thread = await findThread(db, id)
  if (thread === undefined || thread.channel_id !== flow.channel_id)
    throw invalid({ thread_id: ['is not a thread of this flow'] })
  return thread
}

function threadColumns(state: ThreadState): Partial<ThreadRow> {
  return {
    ...(state.title === undefined ? {} : { title: state.title }),
    ...(state.body === undefined ? {} : { body: state.body }),
    ...(state.externalUrl === undefined ? {} : { external_url: state.externalUrl }),
    ...(state.status === undefined ? {} : { status_json: state.status && JSON.stringify(state.status) }),
    ...(state.fields === undefined ? {} : { fields_json: JSON.stringify(state.fields) }),
    ...(state.actions === undefined ? {} : { actions_json: JSON.stringify(state.actions) }),
  }
}

async function findParent(db: Database, channel: Channel, id: number): Promise<MessageRow> {
  const parent = await findMessage(db, channel.channel_id, id)
  if (parent === undefined || !isContent(parent))
    throw invalid({ message: ['is not a message of this flow'] })
  if (parent.event === 'comment') throw invalid({ message: ['must not be a comment itself'] })
  return parent
}

async function tellEdit(
  change: Change,
  channel: Channel,
  userId: number,
  message: MessageRow,
): Promise<void> {
  const thread = message.thread_id === null ? undefined : await findThread(change.db, message.thread_id)
  if (thread?.initial_message === message.id && thread.source_id === null)
    await updateThread(change.db, thread.id, { title: cut(storedText(message), maxCharacters.title) })
  await recordEvent(change, channel, {
    event: 'message-edit',
    userId,
    content: { message: message.id, updated_content: JSON.parse(message.content_json) },
  })
}

/** Who can be mentioned in a channel. */
export async function listMembers(db: Database, channel: Channel): Promise<{ id: number; nick: string }[]> {
  if ('id' in channel) return listMentionable(db, channel.id)
  const users = await Promise.all([findUser(db, channel.low_user_id), findUser(db, channel.high_user_id)])
  return users.filter((user) => user !== undefined)
}

function resolveTags(tags: readonly string[], members: readonly { id: number; nick: string }[]): string[] {
  return tags.map((tag) => {
    const resolved = resolveTag(tag, members)
    if (resolved === undefined) throw invalid({ tags: [`"${tag}" is not a member of this flow`] })
    return resolved
  })
}

function isInbox(event: string): boolean {
  return event === 'activity' || event === 'discussion' || event === 'mail' || isIntegrationEvent(event)
}

function isEditable(message: MessageRow): boolean {
  return message.event === 'message' || message.event === 'comment'
}

function threadCounter(event: string): 'activities' | 'external_comments' | 'internal_comments' {
  if (event === 'activity') return 'activities'
  return event === 'discussion' ? 'external_comments' : 'internal_comments'
}

/** What people read of a message: what tags are taken from and searches look in. */
function messageText(
  event: string,
  { content, title, body }: { content: unknown; title?: string; body?: string },
) {
  if (event === 'mail') return `${mailPart(content, 'subject')}\n${mailPart(content, 'content')}`
  if (isIntegrationEvent(event)) return integrationText(event, content)
  if (isInbox(event)) return [title, body].filter((part) => part !== undefined).join('\n')
  if (typeof content === 'string') return content
  return isFileContent(content) ? content.file_name : ''
}

/** What people read of a stored message. */
export function storedText(message: MessageRow): string {
  const content: unknown = JSON.parse(message.content_json)
  const { title, body } = message
  if (message.event === 'comment' && typeof content === 'object' && content !== null && 'text' in content)
    return String(content.text)
  return messageText(message.event, {
    content,
    ...(title === null ? {} : { title }),
    ...(body === null ? {} : { body }),
  })
}

function mailPart(content: unknown, part: 'subject' | 'content'): string {
  return typeof content === 'object' && content !== null && part in content
    ? String((content as Record<string, unknown>)[part])
    : ''
}

function withText(message: MessageRow, text: string): unknown {
  return message.event === 'comment' ? { ...JSON.parse(message.content_json), text } : text
}

function parentTitle(parent: MessageRow): string {
  return cut(parent.title ?? storedText(parent), maxCharacters.title)
}

function isFileContent(content: unknown): content is { file_name: string } {
  return typeof content === 'object' && content !== null && 'file_name' in content
}
