import type { FlowEvent, GapReason } from './model.ts'

/*
 * What is known of events as such, whatever happened.
 */

/** Where an event stands in the upstream's log; undefined for what is kept nowhere. */
export function offsetOf(event: FlowEvent): string | undefined {
  // What nobody could read has a place; what is lost up to now has none.
  if (event.type === 'gap') return event.cursor === (event.after ?? '') ? undefined : event.cursor
  if (event.type === 'status' || event.type === 'presence') return undefined
  if (event.type === 'message' && event.isListed === true) return undefined
  const isKept =
    event.type !== 'change' || (event.change.kind !== 'UserTyping' && event.change.kind !== 'UserActive')
  return isKept && event.cursor !== '' ? event.cursor : undefined
}

/** Places that are numbers grow with time; of others nothing is known. */
export function isBehind(a: string, b: string): boolean | undefined {
  return /^\d{1,15}$/.test(a) && /^\d{1,15}$/.test(b) ? Number(a) > Number(b) : undefined
}

export function isGap({ type }: FlowEvent): boolean {
  return type === 'gap'
}

/** Whether everything up to now is lost, and not one event that nobody could read. */
export function isLoss(event: FlowEvent): boolean {
  return event.type === 'gap' && offsetOf(event) === undefined
}

/**
 * Says that what happened after a place is lost.
 *
 * @param until the place of the last event that is lost; up to now unless given
 */
export function makeGap(
  after: string | undefined,
  reason: GapReason = 'fellBehind',
  until = after,
): Extract<FlowEvent, { type: 'gap' }> {
  return {
    ...{ type: 'gap', cursor: until ?? '', flowId: null, after: after ?? null, reason },
    ...{ from: null, to: Date.now(), flowIds: 'all' },
  }
}

/** When an event was; undefined when it does not say. */
export function timeOf(event: FlowEvent): number | undefined {
  if (event.type === 'message') return event.message.sentAt
  return event.type === 'change' ? event.sentAt : undefined
}

/** What the gateway says of the stream itself, to everybody. */
export function isForEverybody({ type }: FlowEvent): boolean {
  return type === 'gap' || type === 'status'
}

/** The flow that an event is told to; undefined for what is told to its user, or to everybody. */
export function channelOf(event: FlowEvent): string | undefined {
  return isForEverybody(event) || event.type === 'membership' ? undefined : (event.flowId ?? undefined)
}

/** Whom an event takes a flow from; undefined for other events. */
export function removalOf(
  event: FlowEvent,
): { readonly channel: string; readonly member: number } | undefined {
  if (event.type !== 'change' || event.change.kind !== 'MemberBlocked' || event.flowId === null)
    return undefined
  return { channel: event.flowId, member: event.change.blockedUserId }
}

/** Whether what earlier events were resolved from is different now: something was edited or deleted, or rights changed. */
export function changesEarlier(event: FlowEvent): boolean {
  if (event.type === 'membership') return true
  if (event.type === 'change') return event.change.kind !== 'UserTyping' && event.change.kind !== 'UserActive'
  return event.type === 'message' && 'messageId' in event.message
}

/** Audiences of events: the user whose stream it is, one flow, and all flows of a stream. */
const theUser = 'user'
const allFlows = 'flows'

/** The audiences of an event at the stream of one principal: who is in any of them may get it. */
export function audiencesOf(event: FlowEvent): readonly string[] | 'all' {
  if (isForEverybody(event)) return 'all'
  const flowId = channelOf(event)
  return flowId === undefined ? [theUser] : [`flow ${flowId}`, allFlows]
}

/** The audiences that a subscription at such a stream belongs to. @param flowIds those it names, or all of the stream */
export function memberAudiences(flowIds: readonly string[] | 'all', isPrivate: boolean): ReadonlySet<string> {
  const flows = flowIds === 'all' ? [allFlows] : flowIds.map((id) => `flow ${id}`)
  return new Set([...(isPrivate ? [theUser] : []), ...flows])
}

/** Whether an event is one of the log that all members of a flow get. */
export function isOfFlow(event: FlowEvent): boolean {
  return channelOf(event) !== undefined && offsetOf(event) !== undefined
}
