import { checkMessageSize, cut, maxCharacters, maxEntries, tagsProblem } from '../../bounds.ts'
import { accessDenied, invalid, notFound } from '../../http/errors.ts'
import type { Change } from '../../store/change.ts'
import { setConversationOpen } from '../../store/conversations.ts'
import type { Database } from '../../store/db.ts'
import { deleteFiles, insertFile } from '../../store/files.ts'
import { listMentionable, setMemberStatus } from '../../store/flows.ts'
import { touchFlow } from '../../store/last-times.ts'
import { nextMessageId } from '../../store/message-batch.ts'
import { searchMessages } from '../../store/message-search.ts'
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
  searchWords,
  setContent,
  setReactions,
  updateMessage,
} from '../../store/messages.ts'
import type { SourceRow } from '../../store/sources.ts'
import { findThread, recountThread, updateThread } from '../../store/threads.ts'
import { together } from '../../store/together.ts'
import { findUser } from '../../store/users.ts'
import { type Channel, type FlowChannel, otherUser } from '../channel.ts'
import type { ThreadContext } from '../encode.ts'
import { newUuid } from '../ids.ts'
import type { MessageDraft } from '../message-draft.ts'
import { isInbox, messageText, storedText, withoutText, withText } from '../message-text.ts'
import { distinctTags, followUnread, messageTags, resolveTag, textTags, withTextTags } from '../tags.ts'
import { emptyMessage, encodeForStore, publishMessage, recordEvent } from './record.ts'
import { triggerTagRules } from './tag-rules.ts'
import { createThread, openThread, requireThread, threadContext } from './threads.ts'

/** The sender of a message: a user; or 0 for a source, or for a program with the push token of the flow. */
export interface Sender {
  readonly userId: number
  readonly source?: SourceRow
  /** Whether a rule sends it: then it starts no rule. */
  readonly isRule?: boolean
}

export interface SentMessage {
  readonly message: MessageRow
  readonly thread: ThreadContext | undefined
  /** The message as it is sent, in JSON, with `storedBase` for the URL of the API. */
  readonly json: string
  /** Whether the message was stored before, with the same `uuid`, so that nothing was stored now. */
  readonly isRepeat: boolean
}

const nothing = Promise.resolve(undefined)

/**
 * Stores and publishes a message. In a flow it goes into the thread that it names, or a new one; in a private conversation it
 * opens the conversation for the other user. A second message with the same `uuid` from the same sender changes nothing: the
 * stored one is returned.
 *
 * @throws 400 when the thread or the parent that it names does not exist, or the message or its thread is too long; 403 when
 *   the sender must not set the state of the thread
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
      const json = encodeForStore(channel, stored, thread)
      return { message: stored, thread, json, isRepeat: true }
    }
  }
  const sent = change.now()
  const [parent, id, members] = await together([
    draft.parentId === undefined ? nothing : findParent(db, channel, draft.parentId),
    nextMessageId(db, channel.channel_id),
    listMembers(db, channel),
  ])
  const opened =
    'id' in channel
      ? await openThread(change, channel, sender.source, draft, parent, { id, sent })
      : undefined
  const commented = draft.event === 'comment' ? parent : undefined
  const content =
    commented === undefined ? draft.content : { title: parentTitle(commented), text: draft.content }
  const given = draft.tags
    .map((tag) => resolveTag(tag, members))
    // Only the server sets unread marks. They follow from the mentions.
    .filter((tag) => tag !== undefined && !tag.startsWith(':unread:')) as string[]
  if (draft.event === 'file' || (draft.attachments?.length ?? 0) > 0) given.unshift(':file')
  if (commented !== undefined) given.unshift(`influx:${commented.id}`)
  // [flowdock] a private message is unread for the other user without a mention; this tag comes first
  if (!('id' in channel)) given.unshift(`:unread:${otherUser(channel, sender.userId)}`)

  const row = {
    ...emptyMessage,
    id,
    channel_id: channel.channel_id,
    event: draft.event,
    user_id: sender.userId,
    source_id: sourceId,
    uuid: draft.uuid ?? newUuid(),
    thread_id: opened?.thread.row.id ?? null,
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
  opened?.store()
  if ('id' in channel) touchFlow(db, channel.id, { id, sent, userId: sender.userId })
  // None of them needs the result of another one.
  const [message] = await together([
    insertMessage(db, row, searchWords(messageText(draft.event, draft))),
    'id' in channel ? nothing : setConversationOpen(db, channel, otherUser(channel, sender.userId), true),
    'id' in channel && draft.event === 'status'
      ? setMemberStatus(db, channel.id, sender.userId, cut(String(draft.content), maxCharacters.status))
      : nothing,
    ...(draft.files ?? []).map((file) => insertFile(db, file)),
  ])
  if ('id' in channel && sender.isRule !== true)
    await triggerTagRules(change, channel, message, JSON.parse(message.tags_json) as string[])
  const thread = opened?.thread
  return { message, thread, json: await publishMessage(change, channel, message, thread), isRepeat: false }
}

/**
 * Changes the content of a user's own message or comment, the tags of any message, or both. [flowdock] messages.md, "Edit a
 * Message"
 *
 * @throws 404 for no such message, 403 for the content of another user's message, 400 when a tag names no member or there are too
 *   many tags
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
  if (edit.tags !== undefined) after = distinctTags(resolveTags(edit.tags, members))
  after =
    'id' in channel ? followUnread(before, after, members, [message.user_id, userId]) : [...new Set(after)]
  const problem = tagsProblem(after, before)
  if (problem !== undefined) throw invalid({ tags: [problem] })
  edited = { ...edited, tags_json: JSON.stringify(after) }
  if (edit.content !== undefined || after.length > before.length) checkMessageSize(edited)
  await updateMessage(db, edited, searchWords(storedText(edited)))
  if (edit.content !== undefined) await publishEdit(change, channel, userId, edited)

  const add = after.filter((tag) => !before.includes(tag))
  const remove = before.filter((tag) => !after.includes(tag))
  if ('id' in channel) await triggerTagRules(change, channel, edited, add)
  if (add.length > 0 || remove.length > 0)
    await recordEvent(change, channel, {
      event: 'tag-change',
      userId,
      content: { message: messageId, add, remove },
    })
  // No event of Flowdock's API says that tags have another order. Gateways cache no pages of private conversations.
  else if ('id' in channel && edit.content === undefined && edited.tags_json !== message.tags_json)
    await change.publishControl({ kind: 'flow', flowId: channel.id })
}

/**
 * Deletes a message. A user's own chat message stays, with empty content. Their own file and any inbox message are removed.
 * Either way no search finds the text, and no count includes the message. [flowdock] messages.md, "Delete a Message"
 *
 * @returns `emptied` when the message stays, and the tokens of the files to delete after the commit
 * @throws 404 for no such message, 403 for any other kind or another user's
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
      // A comment stays a comment on its parent.
      tags_json: JSON.stringify(tags.filter((tag) => tag.startsWith('influx:'))),
      deletedAt: change.now(),
    })
    await forgetText(db, message)
    if (message.thread_id !== null) await recountThread(db, message.thread_id)
    await publishEdit(change, channel, userId, emptied)
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

/** Deletes the copies of a deleted message's text: in edits, in the titles of comments, in the title of its thread. */
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

/** The tokens of the files of a message, from their paths. */
function fileTokens({ content_json, attachments_json }: MessageRow): string[] {
  const parts = [JSON.parse(content_json), ...JSON.parse(attachments_json)] as unknown[]
  return parts.flatMap((part) =>
    typeof part === 'object' && part !== null && 'path' in part
      ? (String(part.path).split('/').at(-2) ?? [])
      : [],
  )
}

/** A message that can be changed. @throws 404 when there is none, it was deleted, or it is a service message */
async function requireMessage(db: Database, channel: Channel, id: number): Promise<MessageRow> {
  const message = await findMessage(db, channel.channel_id, id)
  if (message === undefined || !isContent(message) || message.deleted_at !== null) throw notFound()
  return message
}

/**
 * Adds a user's reaction to a message, or removes it. Adding an existing reaction, or removing a missing one, changes nothing.
 *
 * @throws 404 for no such message, 400 when it has the most reactions that a message may have
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
      ? await createThread(change, flow, { title: cut(storedText(message), maxCharacters.title) })
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
 * Removes a user's unread mark from messages, at most the newest 500.
 *
 * @param untilId only messages up to this one; undefined for all
 * @returns the number of messages that had the mark
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

async function findParent(db: Database, channel: Channel, id: number): Promise<MessageRow> {
  const parent = await findMessage(db, channel.channel_id, id)
  if (parent === undefined || !isContent(parent))
    throw invalid({ message: ['is not a message of this flow'] })
  if (parent.event === 'comment') throw invalid({ message: ['must not be a comment itself'] })
  return parent
}

async function publishEdit(
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

/** The users who can be mentioned in a channel. */
export async function listMembers(
  db: Database,
  channel: Channel,
): Promise<readonly { id: number; nick: string }[]> {
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

function isEditable(message: MessageRow): boolean {
  return message.event === 'message' || message.event === 'comment'
}

function parentTitle(parent: MessageRow): string {
  return cut(parent.title ?? storedText(parent), maxCharacters.title)
}
