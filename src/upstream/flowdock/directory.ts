import type { Flow, User } from './model.ts'

/** Known values are returned without a promise: a hundred promises for a hundred messages take noticeable time. */
export type MaybePromise<T> = T | Promise<T>

/** Uses a value at once where it is known. */
export function andThen<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** The flows of a principal and their users. Its stream keeps them up to date, so that events need no calls for them. */
export interface Directory {
  /** Null for a user that the principal cannot see. Undefined for one that is unknown, or may be out of date. */
  user(id: number): MaybePromise<User | null> | undefined
  flow(id: string): MaybePromise<Flow | null> | undefined
  /** A flow as it was last read, in case it cannot be read again. */
  lastKnownFlow(id: string): Flow | undefined
}

/** How long data is used without a new read. */
const maxAgeMs = 60_000
/** The least time between two reads. */
const minPauseMs = 1000

export interface LiveDirectory extends Directory {
  /** Marks the data as out of date after an event. */
  invalidate(): void
  close(): void
}

/** @param read reads the flows of the principal with their users */
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
          // Until a read succeeds, flows and users are read one by one.
          isStale = true
        }
        timer = undefined
        // An event came during the read.
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
