import type { BusActivity, PresentUser } from '../bus/messages.ts'

/** A user who is present at no backend is offline. */
export type PresenceState = BusActivity | 'offline'

/** Which users are present at which backend. A user is active if they are at one of them. */
export interface PresentUsers {
  stateOf(userId: number): PresenceState
  /** When the user came to be in that state, in milliseconds since 1970; undefined for one who is offline. */
  sinceOf(userId: number): number | undefined
  /** The user as they are present at one backend; undefined if they are not. */
  at(instance: string, userId: number): PresentUser | undefined
  /** The users who are present at one backend. */
  listAt(instance: string): PresentUser[]
  /** The ids of all present users. */
  list(): number[]
  /** Whether the backend has the smallest id of all where the user is present: only that one publishes changes. */
  isFirst(instance: string, userId: number): boolean
  put(instance: string, user: PresentUser): void
  remove(instance: string, userId: number): void
}

export function createPresentUsers(): PresentUsers {
  const users = new Map<number, Map<string, PresentUser>>()
  const instances = new Map<string, Set<number>>()

  /** What makes the state of a user: the earliest of the most active. */
  function find(userId: number): PresentUser | undefined {
    let found: PresentUser | undefined
    for (const each of users.get(userId)?.values() ?? []) {
      const isMore = found?.activity === 'idle' && each.activity === 'active'
      const isEarlier = found?.activity === each.activity && each.since < found.since
      if (found === undefined || isMore || isEarlier) found = each
    }
    return found
  }

  return {
    stateOf: (userId) => find(userId)?.activity ?? 'offline',
    sinceOf: (userId) => find(userId)?.since,
    at: (instance, userId) => users.get(userId)?.get(instance),
    listAt: (instance) =>
      [...(instances.get(instance) ?? [])].flatMap((userId) => users.get(userId)?.get(instance) ?? []),
    list: () => [...users.keys()],
    isFirst: (instance, userId) => [...(users.get(userId)?.keys() ?? [])].every((each) => instance <= each),
    put(instance, user) {
      const known = users.get(user.userId) ?? new Map<string, PresentUser>()
      users.set(user.userId, known.set(instance, user))
      const there = instances.get(instance) ?? new Set()
      instances.set(instance, there.add(user.userId))
    },
    remove(instance, userId) {
      const known = users.get(userId)
      known?.delete(instance)
      if (known?.size === 0) users.delete(userId)
      const there = instances.get(instance)
      there?.delete(userId)
      if (there?.size === 0) instances.delete(instance)
    },
  }
}
