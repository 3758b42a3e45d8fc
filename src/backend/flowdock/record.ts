import type { Change } from '../event-log.ts'
import { insertMessage, type MessageRow, type NewMessage, nextMessageId } from '../store/messages.ts'
import type { SourceRow } from '../store/sources.ts'
import type { ThreadRow } from '../store/threads.ts'
import { encodeMessage, storedBase } from './encode.ts'

/** What a change in a flow needs to know of it. */
export interface Channel {
  readonly id: string
  readonly channel_id: number
}

/** A message's thread and, for threads of integrations, the source it came from. */
export interface ThreadContext {
  readonly row: ThreadRow
  readonly source: SourceRow | undefined
}

/** The columns of a message that most kinds leave empty. */
export const emptyMessage = {
  uuid: null,
  thread_id: null,
  app: null,
  tags_json: '[]',
  external_user_name: null,
  author_json: null,
  title: null,
  body: null,
  attachments_json: '[]',
  edited: null,
} as const

/** Numbers and stores a message; `tellMessage` makes it heard. */
export async function storeMessage(
  change: Change,
  message: NewMessage,
  words: readonly string[],
): Promise<MessageRow> {
  const id = await nextMessageId(change.db, message.channel_id)
  return insertMessage(change.db, { ...message, id }, words)
}

export async function tellMessage(
  change: Change,
  flow: Channel,
  message: MessageRow,
  thread?: ThreadContext,
): Promise<void> {
  await change.tell({ flowId: flow.id, payload: encodeMessage(message, flow.id, thread, storedBase) })
}

/**
 * Stores and tells something that happened in a flow: a `tag-change`, a `message-edit`, somebody joining.
 *
 * @param event.app `chat` for what people see among the messages
 */
export async function recordEvent(
  change: Change,
  flow: Channel,
  event: { event: string; userId: number; content: unknown; app?: 'chat' },
): Promise<void> {
  const row = await storeMessage(
    change,
    {
      ...emptyMessage,
      channel_id: flow.channel_id,
      event: event.event,
      app: event.app ?? null,
      user_id: event.userId,
      content_json: JSON.stringify(event.content),
      sent: Date.now(),
    },
    [],
  )
  await tellMessage(change, flow, row)
}
