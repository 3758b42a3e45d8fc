import { checkThreadSize } from '../../bounds.ts'
import { HttpError, invalid } from '../../http/errors.ts'
import type { Change } from '../../store/change.ts'
import type { Database } from '../../store/db.ts'
import type { MessageRow } from '../../store/messages.ts'
import { findSources, type SourceRow } from '../../store/sources.ts'
import {
  countInThread,
  findExternalThread,
  findThread,
  insertThread,
  type ThreadRow,
} from '../../store/threads.ts'
import type { FlowChannel } from '../channel.ts'
import type { ThreadContext } from '../encode.ts'
import { newThreadId } from '../ids.ts'
import type { MessageDraft, ThreadState } from '../message-draft.ts'
import { isInbox, mailPart, messageText } from '../message-text.ts'
import { isUpdateAction } from '../thread-actions.ts'

/** The thread of a stored message. */
export async function threadContext(db: Database, message: MessageRow): Promise<ThreadContext | undefined> {
  if (message.thread_id === null) return undefined
  const row = await findThread(db, message.thread_id)
  if (row === undefined) return undefined
  const [source] = row.source_id === null ? [] : await findSources(db, [row.source_id])
  return { row, source }
}

/** A thread with a message in it, which `store` writes. */
export interface OpenedThread {
  readonly thread: ThreadContext
  store(): void
}

/**
 * Counts a new message in its thread: the thread that the draft names, or a new one.
 *
 * @param source the sender; undefined for a user
 * @param parent the message that the draft names
 * @returns the thread after the change
 */
export async function openThread(
  change: Change,
  flow: FlowChannel,
  source: SourceRow | undefined,
  draft: MessageDraft,
  parent: MessageRow | undefined,
  message: { id: number; sent: number },
): Promise<OpenedThread> {
  const { db } = change
  const known = await resolveThread(db, flow, source, draft, parent)
  checkThreadState(draft.thread, source?.id ?? null, known)
  const counter = threadCounter(draft.event)
  if (known !== undefined) {
    const row = {
      ...known,
      ...threadColumns(draft.thread ?? {}),
      [counter]: known[counter] + 1,
      initial_message: known.initial_message ?? message.id,
      updated_at: message.sent,
    }
    if (draft.thread !== undefined) checkThreadSize(row)
    const [origin] =
      row.source_id === null || row.source_id === source?.id
        ? [source]
        : await findSources(db, [row.source_id])
    return {
      thread: { row, source: row.source_id === null ? undefined : origin },
      store: () => countInThread(db, row),
    }
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
  return { thread: { row, source }, store: () => insertThread(db, row) }
}

/**
 * Creates a thread without messages, for users. It is listed and published with its first message.
 *
 * @throws 403 for actions that only a source may set, 400 when it is too long
 */
export async function createThread(
  { db, now }: Change,
  flow: FlowChannel,
  state: ThreadState,
): Promise<ThreadRow> {
  checkThreadState(state, null, undefined)
  const created = { ...newThread(flow, now()), ...threadColumns(state) }
  checkThreadSize(created)
  insertThread(db, created)
  return created
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

/** @throws 400 when there is no such thread in the flow */
export async function requireThread(db: Database, flow: FlowChannel, id: string): Promise<ThreadRow> {
  const thread = await findThread(db, id)
  if (thread === undefined || thread.channel_id !== flow.channel_id)
    throw invalid({ thread_id: ['is not a thread of this flow'] })
  return thread
}

/**
 * The state of a thread may be changed by the source that opened it or, if a user opened it, by the users of the flow. Only a
 * source may set an UpdateAction, since signed requests are sent to the URL in it.
 *
 * @param sourceId the source that sends; null for a user
 * @param thread undefined for a new thread
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

function threadCounter(event: string): 'activities' | 'external_comments' | 'internal_comments' {
  if (event === 'activity') return 'activities'
  return event === 'discussion' ? 'external_comments' : 'internal_comments'
}
