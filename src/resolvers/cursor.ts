import { ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import type { LiveEvent } from './live-event.ts'
import { encodeCursor, numberCursor } from './pagination.ts'

/*
 * One kind of cursor is taken wherever something goes on behind a message or an event: by lists of messages, and by live
 * queries. Lists write `message:17`, and behind their newest message `message:17@5012`, in base64; events write
 * `5012~time~17~channel`. 5012 is the place in the upstream's log, 17 the number of the message in its channel.
 */

/** A place to go on from. */
export interface Place {
  /** In the upstream's log of events; undefined for a message of a list, which says nothing of it. */
  readonly event: string | undefined
  /** The number of the message it is at. */
  readonly messageId: number | undefined
  /** When that was. */
  readonly at: number | undefined
}

/** The cursor of a message in a list. @param event the upstream's log stood there when this was the newest message */
export function messageCursor({ id }: Pick<Message, 'id'>, event: string | undefined): string {
  return encodeCursor('message', event === undefined ? String(id) : `${id}@${event}`)
}

/** The cursor of an event; blank when nothing that is kept came before it. */
export function eventCursor(event: LiveEvent): string {
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
 * The number of the message a cursor is at, for a list of a channel.
 *
 * @param channel as in `Message.channel`
 * @throws ValidationError for a cursor of another channel, of another kind of list, or of an event that is at no message
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
  // What programs make of a cursor that they do not have. Upstreams read the first as no cursor.
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
