import type { IncomingHttpHeaders } from 'node:http'
import type { Database } from '../store/db.ts'
import { findLogChanges } from '../store/events.ts'
import type { Channel } from './channel.ts'

/*
 * An extension: a gateway says which version of a list of messages it has, and gets 304 while it is the newest. A version is the
 * log, the channel and the number of the newest event when the list was read. Every change of the messages and threads of a
 * flow is an event of the flow.
 */

export const pageHeader = 'Flowdock-Page'

/** @param at the number of the newest event of the log when the list was read */
export function pageVersion(log: string, channel: Channel, at: number): string {
  return `${log}:${channel.channel_id}:${at}`
}

/**
 * The number of the newest event of the log, if the list that a gateway has is the newest; undefined when it has to be read.
 *
 * @param channel a channel that the user may read
 */
export async function findUnchanged(
  db: Database,
  headers: IncomingHttpHeaders,
  channel: Channel,
): Promise<{ readonly log: string; readonly at: number } | undefined> {
  if (!('id' in channel)) return undefined
  const [, log, channelId, number] =
    /^(\w+):(\d{1,15}):(\d{1,15})$/.exec(String(headers['flowdock-page'])) ?? []
  const at = Number(number)
  if (number === undefined || Number(channelId) !== channel.channel_id) return undefined
  const now = await findLogChanges(db, channel.id)
  const isKnown = now.id === log && at <= now.last && at >= now.first - 1
  return isKnown && now.newest <= at ? { log, at: now.last } : undefined
}
