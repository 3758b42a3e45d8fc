import type { Flow, User } from './model.ts'

/** What is known already is there at once: for a hundred messages, a hundred promises are felt. */
export type MaybePromise<T> = T | Promise<T>

/** Flows and their people, as one caller's stream keeps them true: what events need without asking for it each time. */
export interface Directory {
  /** Null for a user who is not shown; undefined for one who is not known, or not known for certain at this moment. */
  user(id: number): MaybePromise<User | null> | undefined
  flow(id: string): MaybePromise<Flow | null> | undefined
  /** A flow as it was when it was last read, for when it cannot be read again. */
  lastKnownFlow(id: string): Flow | undefined
}

/** How long something is believed that no event contradicts. */
const maxAgeMs = 60_000
/** How often it is read anew at most. */
const minPauseMs = 1000

export interface LiveDirectory extends Directory {
  /** Something told that what is known may not be true any more. */
  invalidate(): void
  close(): void
}

/** @param read the caller's flows with their people */
export function createDirectory(read: () => Promise<readonly Flow[]>, known: readonly Flow[]): LiveDirectory {
  let users = new Map<number, User>()
  let flows = new Map<string, Flow>()
  let readAt = Date.now()
  let isStale = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  function learn(list: readonly Flow[]): void {
    flows = new Map(list.map((flow) => [flow.id, flow]))
    users = new Map(list.flatMap((flow) => (flow.users ?? []).map(({ user }) => [user.id, user] as const)))
    readAt = Date.now()
  }

  function refresh(): void {
    if (timer !== undefined || isClosed) return
    timer = setTimeout(
      async () => {
        isStale = false
        try {
          const list = await read()
          if (!isClosed) learn(list)
        } catch {
          // Asked for singly until it can be read.
          isStale = true
        }
        timer = undefined
        // Something happened meanwhile: once more.
        if (isStale) refresh()
      },
      Math.max(minPauseMs - (Date.now() - readAt), 0),
    )
    timer.unref()
  }

  function believed<T>(value: T | undefined): T | undefined {
    if (Date.now() - readAt > maxAgeMs) {
      isStale = true
      refresh()
    }
    return isStale || timer !== undefined ? undefined : value
  }

  learn(known)
  return {
    user: (id) => believed(users.get(id)),
    flow: (id) => believed(flows.get(id)),
    lastKnownFlow: (id) => flows.get(id),
    invalidate() {
      isStale = true
      refresh()
    },
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
