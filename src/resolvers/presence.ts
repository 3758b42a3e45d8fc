import type { Context, LiveEvents } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { FlowEvent, PresenceState, User } from '../upstream/flowdock/model.ts'
import { requireCapability, resolveUser } from './inputs.ts'

export async function user(
  { userId }: Extract<FlowEvent, { type: 'presence' }>,
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return flowdock.load.user(userId)
}

/** Publishes to the users who share a flow with the viewer. */
export async function setPresence(
  _: unknown,
  { input }: { input: { presence: PresenceState } },
  context: Context,
): Promise<{ presence: PresenceState; lastsMs: number }> {
  await requireCapability('presence', context)
  const { presence } = input
  return { presence, lastsMs: await context.flowdock.users.setPresence(presence) }
}

export async function userPresence(
  { id }: User,
  _: unknown,
  { flowdock }: Context,
): Promise<PresenceState | null> {
  return (await flowdock.can('presence')) ? flowdock.load.presence(id) : null
}

interface PresenceFilter {
  readonly userIds?: readonly string[] | null | undefined
  readonly presences?: readonly PresenceState[] | null | undefined
}

const maxUsers = 1000

/** Each viewer has a stream of their own: other users share flows with other users. */
export async function subscribePresenceChanged(
  _: unknown,
  { input }: { input: { filter?: PresenceFilter | null | undefined } },
  context: Context,
): Promise<LiveEvents> {
  const { userIds, presences } = input.filter ?? {}
  const path = ['input', 'filter', 'userIds']
  if (userIds != null && userIds.length > maxUsers)
    throw new ValidationError(
      `Expected ${path.join('.')} to name at most ${maxUsers} users, got ${userIds.length}`,
      [],
      { inputPath: path },
    )
  const users =
    userIds == null
      ? undefined
      : new Set(userIds.map((userId, index) => resolveUser(userId, [...path, String(index)])))
  const states = presences == null ? undefined : new Set(presences)
  return context.listen({
    flowIds: 'all',
    isPrivate: true,
    after: undefined,
    key: JSON.stringify(['PresenceChanged', userIds ?? null, presences ?? null]),
    wants: (event) =>
      event.type === 'presence' &&
      (users === undefined || users.has(event.userId)) &&
      (states === undefined || states.has(event.state)),
  })
}
