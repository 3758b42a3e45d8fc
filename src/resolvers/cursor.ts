import { ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import type { DropEvent } from '../upstream/flowthings/drop-events.ts'
import type { LiveEvent } from './live-event.ts'
import { encodeCursor, numberCursor } from './pagination.ts'

/*
 * Lists of messages and subscriptions accept each other's cursors. The cursor of a message in a list is `message:17`, and of the
 * newest message `message:17@5012`, in Base64. The cursor of an event is `5012~time~17~channel`. 5012 is the offset in the
 * upstream's log, and 17 the id of the message in its channel.
 */

/** A position to continue from. */
export interface Place {
  /** The offset in the upstream's event log; undefined for a message of a list that does not have it. */
  readonly event: string | undefined
  /** The id of the message at this position. */
  readonly messageId: number | undefined
  /** The time of the position. */
  readonly at: number | undefined
}

/** The cursor of a message in a list. @param event the offset of the upstream's log when this was the newest message */
export function messageCursor({ id }: Pick<Message, 'id'>, event: string | undefined): string {
  return encodeCursor('message', event === undefined ? String(id) : `${id}@${event}`)
}

/** The cursor of an event; blank when no stored event came before it. */
export function eventCursor(event: LiveEvent | DropEvent): string {
  if (event.type === 'drop' || event.type === 'dropGap') return event.cursor
  if (event.type === 'thread') return eventCursor(event.origin)
  const { cursor } = event
  if (cursor === '') return cursor
  if (event.type === 'change') return `${cursor}~${event.sentAt.toString(36)}`
  if (event.type !== 'message' || event.isListed === true) return cursor
  const { id, channel, sentAt } = event.message
  return `${cursor}~${sentAt.toString(36)}~${id}~${digest(channel)}`
}

/** A short hash of a channel. [spec] FNV-1a */
function digest(channel: string): string {
  let hash = 0x811c9dc5
  for (let index = 0; index < channel.length; index += 1)
    hash = Math.imul(hash ^ channel.charCodeAt(index), 0x01000193)
  return (hash >>> 0).toString(36)
}

/**
 * The id of the message that a cursor names, for a list of a channel.
 *
 * @param channel as in `Message.channel`
 * @throws ValidationError for a cursor of another channel, of another kind of list, or of an event without a message
 */
export function decodeMessageCursor(channel: string, cursor: string, name: 'after' | 'before'): number {
  const [, id, of] = /^[^~]+~[0-9a-z]+~(\d{1,15})~([0-9a-z]+)$/.exec(cursor) ?? []
  if (id !== undefined && of === digest(channel)) return Number(id)
  if (cursor.includes('~'))
    throw new ValidationError(
      `Expected ${name} to be a cursor of a message of this list; "${cursor.slice(0, 80)}" is an event ${id === undefined ? 'without a message' : 'of another flow or conversation'}`,
    )
  const placed = /^message:(\d{1,15})@/.exec(Buffer.from(cursor, 'base64url').toString())
  return placed === null ? numberCursor('message', cursor, name) : Number(placed[1])
}

/** The error of an `after` that is not a cursor. */
export function noCursor(cursor: string): ValidationError {
  return new ValidationError(
    `Expected input.after to be the cursor of an event or a message; got "${cursor.slice(0, 80)}"`,
    [],
    { inputPath: ['input', 'after'] },
  )
}

/** The position that a live query starts from. @throws ValidationError for a text that is not a cursor */
export function decodePlace(cursor: string): Place {
  const [, id, listed] = /^message:(\d{1,15})(?:@([\x21-\x7e]+))?$/.exec(
    Buffer.from(cursor, 'base64url').toString(),
  ) ?? [undefined]
  if (id !== undefined) return { event: listed, messageId: Number(id), at: undefined }
  // Programs without a cursor send these texts. Upstreams treat the first as no cursor.
  if (!/^[\x21-\x7e]{1,200}$/.test(cursor) || cursor === 'null' || cursor === 'undefined')
    throw noCursor(cursor)
  const [event = cursor, time, messageId] = cursor.split('~')
  const at = Number.parseInt(time ?? '', 36)
  return {
    event,
    messageId: messageId === undefined ? undefined : Number(messageId),
    at: Number.isNaN(at) || at === 0 ? undefined : at,
  }
}
