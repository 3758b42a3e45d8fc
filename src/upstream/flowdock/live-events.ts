import type { FlowEvent, GapReason } from './model.ts'

/*
 * What is known of events as such, whatever happened.
 */

/** Where an event stands in the upstream's log; undefined for what is kept nowhere. */
export function placeOf(event: FlowEvent): string | undefined {
  if (event.type === 'gap' || event.type === 'status' || event.type === 'presence') return undefined
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

/** Says that what happened behind a place is lost. */
export function makeGap(
  after: string | undefined,
  reason: GapReason = 'fellBehind',
): Extract<FlowEvent, { type: 'gap' }> {
  return {
    ...{ type: 'gap', cursor: after ?? '', flowId: null, after: after ?? null, reason },
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

/** Whether an event may have shut somebody out of its flow. @param userId undefined when it is not known who they are */
export function mayShutOut(event: FlowEvent, userId: number | undefined): boolean {
  if (event.type !== 'change' || event.change.kind !== 'MemberBlocked') return false
  return userId === undefined || event.change.blockedUserId === userId
}
