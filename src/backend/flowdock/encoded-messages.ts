import type { Database } from '../store/db.ts'
import type { MessageRow } from '../store/messages.ts'
import { findSources } from '../store/sources.ts'
import { findThreads } from '../store/threads.ts'
import { type Channel, destinationOf } from './channel.ts'
import { encodeMessage, encodeMessageThread } from './encode.ts'

export interface EncodedMessage {
  readonly row: MessageRow
  readonly json: string
}

/**
 * Encodes messages with their threads, in two reads. A message whose row is damaged is left out and reported, so that the rest
 * of the list is readable.
 */
export async function encodeMessages(
  db: Database,
  channel: Channel,
  messages: readonly MessageRow[],
  base: string,
  onError: (error: unknown) => void,
): Promise<EncodedMessage[]> {
  const threads = 'id' in channel ? await readThreads(db, channel.id, messages, base) : undefined
  return messages.flatMap((row) => {
    try {
      const thread = row.thread_id === null ? undefined : threads?.(row.thread_id)
      return [{ row, json: encodeMessage(row, destinationOf(channel, row), thread, base) }]
    } catch (cause) {
      onError(
        new Error(`Message ${row.id} of channel ${channel.channel_id} is damaged and was left out`, {
          cause,
        }),
      )
      return []
    }
  })
}

/** Reads the threads of messages. @returns the JSON of each, made once */
async function readThreads(
  db: Database,
  flowId: string,
  messages: readonly MessageRow[],
  base: string,
): Promise<(id: string) => string | undefined> {
  const ids = new Set(messages.map(({ thread_id }) => thread_id).filter((id) => id !== null))
  const rows = new Map((await findThreads(db, [...ids])).map((row) => [row.id, row]))
  const sourceIds = new Set([...rows.values()].map(({ source_id }) => source_id).filter((id) => id !== null))
  const sources = new Map((await findSources(db, [...sourceIds])).map((source) => [source.id, source]))
  const encoded = new Map<string, string>()
  return (id) => {
    const row = rows.get(id)
    let json = encoded.get(id)
    if (json !== undefined || row === undefined) return json
    const source = row.source_id === null ? undefined : sources.get(row.source_id)
    json = encodeMessageThread({ row, source }, flowId, base)
    encoded.set(id, json)
    return json
  }
}

/** A list of messages in JSON. */
export function jsonList(messages: readonly EncodedMessage[]): string {
  return `[${messages.map(({ json }) => json).join(',')}]`
}
