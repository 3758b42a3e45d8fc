import { fitMessage } from '../../bounds.ts'
import type { Change } from '../../store/change.ts'
import { nextMessageId } from '../../store/message-batch.ts'
import { insertMessage, type MessageRow } from '../../store/messages.ts'
import { type Channel, destinationOf } from '../channel.ts'
import { encodeMessage, encodeMessageThread, storedBase, type ThreadContext } from '../encode.ts'

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

/** Publishes a message: once to a flow, or to each user of a private conversation. Resolves with the message as it is sent. */
export async function publishMessage(
  change: Change,
  channel: Channel,
  message: MessageRow,
  thread?: ThreadContext,
): Promise<string> {
  const payload = encodeForStore(channel, message, thread)
  if ('id' in channel) return change.publish({ flow: channel.id }, payload)
  await change.publish({ user: channel.low_user_id }, payload)
  return change.publish({ user: channel.high_user_id }, payload)
}

/** A message as events have it, in JSON: with `storedBase` for the URL of the API. */
export function encodeForStore(
  channel: Channel,
  message: MessageRow,
  thread: ThreadContext | undefined,
): string {
  const threadJson =
    thread === undefined || !('id' in channel)
      ? undefined
      : encodeMessageThread(thread, channel.id, storedBase)
  return encodeMessage(message, destinationOf(channel, message), threadJson, storedBase)
}

/**
 * Stores and publishes a service message: a `tag-change`, a `message-edit`, a join.
 *
 * @param event.app `chat` for one that clients show among the messages
 */
export async function recordEvent(
  change: Change,
  channel: Channel,
  event: { event: string; userId: number; content: unknown; app?: 'chat' },
): Promise<void> {
  const row = {
    ...emptyMessage,
    channel_id: channel.channel_id,
    event: event.event,
    app: event.app ?? null,
    user_id: event.userId,
    content_json: JSON.stringify(event.content),
    sent: change.now(),
  }
  const id = await nextMessageId(change.db, channel.channel_id)
  // It may repeat data of earlier versions that exceeds the bounds, such as the removed tags of a message.
  const message = await insertMessage(change.db, { ...fitMessage(row), id }, [])
  await publishMessage(change, channel, message)
}
