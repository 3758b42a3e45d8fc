import type { FlowEvent, GapReason } from './model.ts'

/* Properties of events that do not depend on their type. */

/** The offset of an event in the upstream's log; undefined for an event that is not stored. */
export function offsetOf(event: FlowEvent): string | undefined {
  // The gap of an unreadable event has an offset; a gap up to now has none.
  if (event.type === 'gap') return event.cursor === (event.after ?? '') ? undefined : event.cursor
  if (event.type === 'status' || event.type === 'presence') return undefined
  if (event.type === 'message' && event.isListed === true) return undefined
  const isKept =
    event.type !== 'change' || (event.change.kind !== 'UserTyping' && event.change.kind !== 'UserActive')
  return isKept && event.cursor !== '' ? event.cursor : undefined
}

/** Whether one offset is before another. Numbers grow with time; other offsets have no known order. */
export function isBehind(a: string, b: string): boolean | undefined {
  return /^\d{1,15}$/.test(a) && /^\d{1,15}$/.test(b) ? Number(a) > Number(b) : undefined
}

export function isGap({ type }: FlowEvent): boolean {
  return type === 'gap'
}

/** Whether all events up to now are lost, and not only one unreadable event. */
export function isLoss(event: FlowEvent): boolean {
  return event.type === 'gap' && offsetOf(event) === undefined
}

/**
 * A gap: the events after an offset are lost.
 *
 * @param until the offset of the last lost event; by default all events up to now are lost
 */
export function makeGap(
  after: string | undefined,
  reason: GapReason = 'fellBehind',
  until = after,
): Extract<FlowEvent, { type: 'gap' }> {
  return {
    type: 'gap',
    cursor: until ?? '',
    flowId: null,
    after: after ?? null,
    reason,
    from: null,
    to: Date.now(),
    flowIds: 'all',
  }
}

/** The time of an event; undefined when it has none. */
export function timeOf(event: FlowEvent): number | undefined {
  if (event.type === 'message') return event.message.sentAt
  return event.type === 'change' ? event.sentAt : undefined
}

/** Whether an event is about the stream itself and for all its readers. */
export function isForEverybody({ type }: FlowEvent): boolean {
  return type === 'gap' || type === 'status'
}

/** The flow that an event is for; undefined for an event for the user, or for all readers. */
export function channelOf(event: FlowEvent): string | undefined {
  return isForEverybody(event) || event.type === 'membership' ? undefined : (event.flowId ?? undefined)
}

/** The flow and the user who loses it, for an event that removes a member; undefined for other events. */
export function removalOf(
  event: FlowEvent,
): { readonly channel: string; readonly member: number } | undefined {
  if (event.type !== 'change' || event.change.kind !== 'MemberBlocked' || event.flowId === null)
    return undefined
  return { channel: event.flowId, member: event.change.blockedUserId }
}

/** Whether an event changes the results of earlier events: an edit, a deletion, or a change of rights. */
export function changesEarlier(event: FlowEvent): boolean {
  if (event.type === 'membership') return true
  if (event.type === 'change') return event.change.kind !== 'UserTyping' && event.change.kind !== 'UserActive'
  return event.type === 'message' && 'messageId' in event.message
}

/** Audiences of events: the user whose stream it is, one flow, and all flows of a stream. */
const theUser = 'user'
const allFlows = 'flows'

/** The audiences of an event of one principal's stream. Members of any of them may receive it. */
export function audiencesOf(event: FlowEvent): readonly string[] | 'all' {
  if (isForEverybody(event)) return 'all'
  const flowId = channelOf(event)
  return flowId === undefined ? [theUser] : [`flow ${flowId}`, allFlows]
}

/** The audiences of a subscription to such a stream. @param flowIds the flows of the subscription, or all of the stream */
export function memberAudiences(flowIds: readonly string[] | 'all', isPrivate: boolean): ReadonlySet<string> {
  const flows = flowIds === 'all' ? [allFlows] : flowIds.map((id) => `flow ${id}`)
  return new Set([...(isPrivate ? [theUser] : []), ...flows])
}

/** Whether an event is in the log and for all members of a flow. */
export function isOfFlow(event: FlowEvent): boolean {
  return channelOf(event) !== undefined && offsetOf(event) !== undefined
}
