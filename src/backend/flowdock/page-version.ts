import type { IncomingHttpHeaders } from 'node:http'
import type { LogChanges } from '../store/events.ts'
import type { Channel, FlowChannel } from './channel.ts'

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
 * Whether the list that a gateway has is the newest.
 *
 * @param flow a flow that the user may read
 */
export function isUnchanged(
  headers: IncomingHttpHeaders,
  flow: FlowChannel,
  { id, first, last, newest }: LogChanges,
): boolean {
  const [, log, channelId, number] =
    /^(\w+):(\d{1,15}):(\d{1,15})$/.exec(String(headers['flowdock-page'])) ?? []
  const at = Number(number)
  if (number === undefined || Number(channelId) !== flow.channel_id) return false
  return id === log && at <= last && at >= first - 1 && newest <= at
}
