import { encodeDrop } from '../drop-model.ts'
import type { Arrival } from '../operations/writing.ts'
import { rightsOf } from '../permissions.ts'
import type { ThingsPrincipal } from '../principal.ts'
import type { Style } from '../style.ts'
import { textFrame } from './frames.ts'

/** A socket that receives the drops of flows. */
export interface Subscriber {
  readonly principal: ThingsPrincipal
  readonly style: Style
  /** Sends a frame, which is shared with other subscribers. */
  send(frame: Buffer): void
}

/** The subscriptions of all sockets. A drop is serialized once for all subscribers with the same style. */
export interface Subscriptions {
  add(subscriber: Subscriber, flowId: string): void
  remove(subscriber: Subscriber, flowId: string): void
  removeAll(subscriber: Subscriber): void
  publish(arrival: Arrival): void
  /** The flows of each subscriber. */
  all(): ReadonlyMap<Subscriber, ReadonlySet<string>>
}

export function createSubscriptions(now: () => number = Date.now): Subscriptions {
  const byFlow = new Map<string, Set<Subscriber>>()
  const bySubscriber = new Map<Subscriber, Set<string>>()

  function remove(subscriber: Subscriber, flowId: string): void {
    const subscribers = byFlow.get(flowId)
    if (subscribers?.delete(subscriber) === true && subscribers.size === 0) byFlow.delete(flowId)
    const flows = bySubscriber.get(subscriber)
    if (flows?.delete(flowId) === true && flows.size === 0) bySubscriber.delete(subscriber)
  }

  return {
    add(subscriber, flowId) {
      byFlow.set(flowId, (byFlow.get(flowId) ?? new Set()).add(subscriber))
      bySubscriber.set(subscriber, (bySubscriber.get(subscriber) ?? new Set()).add(flowId))
    },
    remove,
    removeAll(subscriber) {
      for (const flowId of bySubscriber.get(subscriber) ?? []) remove(subscriber, flowId)
    },
    publish(arrival) {
      const subscribers = byFlow.get(arrival.flow.id)
      if (subscribers === undefined) return
      const frames: Partial<Record<Style, Buffer>> = {}
      const permitted = new Map<string, boolean>()
      for (const subscriber of subscribers) {
        const { principal, style } = subscriber
        if (principal.expiresAt !== undefined && principal.expiresAt <= now()) continue
        if (!isPermitted(principal, arrival, permitted)) continue
        frames[style] ??= textFrame(JSON.stringify(toEvent(arrival, style)))
        subscriber.send(frames[style])
      }
    },
    all: () => bySubscriber,
  }
}

/** Whether a subscriber may still receive a drop. A flow may have moved out of the paths of a token since the subscription. */
function isPermitted(
  { token, tokenHash }: ThingsPrincipal,
  { flow }: Arrival,
  known: Map<string, boolean>,
): boolean {
  if (token === undefined) return true
  const result = known.get(tokenHash) ?? rightsOf(token.permissions, flow.path_key).dropRead
  known.set(tokenHash, result)
  return result
}

/** The frame of a drop. Clients read the flow from `resource`, `value.flowId` or `value.path`. [flowthings] clients */
function toEvent({ flow, row, stored }: Arrival, style: Style): object {
  return { type: 'message', resource: flow.id, value: encodeDrop(flow, row, stored, style) }
}
