import { fitMessage } from '../../bounds.ts'
import type { Change } from '../../event-log.ts'
import { insertMessage, type MessageRow, type NewMessage, nextMessageId } from '../../store/messages.ts'
import type { SourceRow } from '../../store/sources.ts'
import type { ThreadRow } from '../../store/threads.ts'
import { encodeMessage, type Place, storedBase } from '../encode.ts'

/** What a change in a flow needs to know of it. */
export interface FlowChannel {
  readonly id: string
  readonly channel_id: number
}

/** A private conversation and the two it is between. */
export interface PrivateChannel {
  readonly channel_id: number
  readonly low_user_id: number
  readonly high_user_id: number
}

export type Channel = FlowChannel | PrivateChannel

/** Where a message of a channel stands. */
export function offsetOf(channel: Channel, message: { readonly user_id: number }): Place {
  return 'id' in channel ? { flow: channel.id } : { to: String(otherUser(channel, message.user_id)) }
}

export function otherUser({ low_user_id, high_user_id }: PrivateChannel, userId: number): number {
  return userId === low_user_id ? high_user_id : low_user_id
}

/** A message's thread and, for threads of integrations, the source it came from. */
export interface ThreadContext {
  readonly row: ThreadRow
  readonly source: SourceRow | undefined
}

/** The columns of a message that most kinds leave empty. */
export const emptyMessage = {
  source_id: 0,
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
  deleted_at: null,
} as const

/** Numbers and stores a message; `tellMessage` makes it heard. */
async function storeMessage(
  change: Change,
  message: NewMessage,
  words: readonly string[],
): Promise<MessageRow> {
  const id = await nextMessageId(change.db, message.channel_id)
  // It may name what was stored before there were bounds, such as the tags that were taken off a message.
  return insertMessage(change.db, { ...fitMessage(message), id }, words)
}

/** A flow is told once, a private conversation to each of the two. Resolves with the message as it is sent. */
export async function tellMessage(
  change: Change,
  channel: Channel,
  message: MessageRow,
  thread?: ThreadContext,
): Promise<string> {
  const payload = encodeMessage(message, offsetOf(channel, message), thread, storedBase)
  if ('id' in channel) return change.tell({ flowId: channel.id, payload })
  await change.tell({ userId: channel.low_user_id, payload })
  return change.tell({ userId: channel.high_user_id, payload })
}

/**
 * Stores and tells something that happened in a channel: a `tag-change`, a `message-edit`, somebody joining.
 *
 * @param event.app `chat` for what people see among the messages
 */
export async function recordEvent(
  change: Change,
  channel: Channel,
  event: { event: string; userId: number; content: unknown; app?: 'chat' },
): Promise<void> {
  const row = await storeMessage(
    change,
    {
      ...emptyMessage,
      channel_id: channel.channel_id,
      event: event.event,
      app: event.app ?? null,
      user_id: event.userId,
      content_json: JSON.stringify(event.content),
      sent: change.now(),
    },
    [],
  )
  await tellMessage(change, channel, row)
}
