import type { Context, LiveEvents } from '../context.ts'
import type { FlowEvent, PresenceState, User } from '../upstream/flowdock/model.ts'
import { eventType } from './events.ts'
import { requireCapability } from './named.ts'

/** Who it is about. */
export async function user(
  { userId }: Extract<FlowEvent, { type: 'presence' }>,
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return flowdock.load.user(userId)
}

/** Tells those who share a flow with the caller. */
export async function setPresence(
  _: unknown,
  { input }: { input: { state: PresenceState } },
  context: Context,
): Promise<{ state: PresenceState; lastsMs: number }> {
  await requireCapability('presence', context)
  return { state: input.state, lastsMs: await context.flowdock.users.setPresence(input.state) }
}

/** Who is there, now and later. It is told to the caller alone: others share other flows with other people. */
export async function subscribePresenceChanged(
  _: unknown,
  __: unknown,
  context: Context,
): Promise<LiveEvents> {
  const kinds = ['PresenceChanged', 'UserActive']
  return context.listen({
    ...{ flowIds: 'all', isPrivate: true, after: undefined, key: kinds.join(' ') },
    wants: (event) => kinds.includes(eventType(event)),
  })
}
