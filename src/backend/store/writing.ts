import { type Kysely, sql } from 'kysely'
import type { WritingConnection } from './connection.ts'
import { fingerprintOf } from './fingerprint.ts'
import { together } from './together.ts'

/** An event that has no number yet: the log gives it one at the end of its transaction. */
export interface NewEvent {
  readonly flow_id: string | null
  readonly user_id: number | null
  readonly payload: string
  readonly created_at: number
  /** 1 for a control event. */
  readonly kind: number
}

export interface NumberedEvent extends NewEvent {
  readonly seq: number
}

/** Adds an event to the log when the change is committed. */
export type PublishEvent = (event: NewEvent) => void

/** A change: it reads and writes in a transaction. */
export type ChangeFunction<T, R> = (tx: Kysely<T>, publish: PublishEvent) => Promise<R>

export interface WriteOptions<R> {
  /**
   * The channel whose messages and threads change, if nothing else does that changes of other channels read and then write.
   * PostgreSQL runs changes of different channels at the same time. A change without a channel runs alone.
   */
  readonly channel?: number | undefined
  /**
   * Runs right after the commit, before the result is returned, with the events that were published, and the fingerprint of the
   * event before them, where it is known.
   */
  readonly onCommit?: (value: R, events: readonly NumberedEvent[], previous: string | undefined) => void
}

/** What a database has to do for writes. */
export interface WritingEngine<T> {
  /** The number of transactions at once. With one, each change runs alone, whatever its channel. */
  readonly connections: number
  withConnection<R>(work: (connection: WritingConnection<T>) => Promise<R>): Promise<R>
  /**
   * Begins a transaction, also of the state of the connection, that alone writes to these channels, ascending; or, without them, to
   * the whole database.
   */
  begin(connection: WritingConnection<T>, channels: readonly number[] | undefined): Promise<void>
  /**
   * Writes the batches of the connection, numbers and stores the events, and commits.
   *
   * @returns the number of the first event: the others follow without holes; and the fingerprint of the event before it, if there
   *   is one
   */
  commit(connection: WritingConnection<T>, events: readonly NewEvent[]): Promise<Committed>
}

export interface Committed {
  readonly first: number
  readonly previous: string | undefined
}

export interface Writing<T> {
  write<R>(change: ChangeFunction<T, R>, options?: WriteOptions<R>): Promise<R>
  /** Resolves when no change waits or runs. */
  settled(): Promise<void>
}

interface Job<T> {
  readonly channel: number | undefined
  /** What the last run of the change published. */
  events: NewEvent[]
  run(tx: Kysely<T>): Promise<void>
  settle(events: readonly NumberedEvent[], previous: string | undefined): void
  reject(error: unknown): void
}

/** The most changes that share a commit. It bounds how long the first one waits. */
const maxGroup = 256
/** How often a group begins again that PostgreSQL chose to end a deadlock. */
const maxDeadlocks = 3
const deadlock = '40P01'

/** Runs changes in groups that share a commit. */
export function createWriting<T>(engine: WritingEngine<T>): Writing<T> {
  const queue: Job<T>[] = []
  /** The channels of the groups that run; `all` for a group that runs alone. */
  const busy = new Set<number | 'all'>()
  const idle: (() => void)[] = []
  let running = 0
  let isScheduled = false

  const keyOf = ({ channel }: Job<T>) => (engine.connections === 1 ? 'all' : (channel ?? 'all'))

  /** Changes that arrive in this turn of the event loop and the next one join the group. */
  function schedule(): void {
    if (isScheduled) return
    isScheduled = true
    setImmediate(() =>
      setImmediate(() => {
        isScheduled = false
        start()
      }),
    )
  }

  function start(): void {
    while (running < engine.connections) {
      const group = takeGroup()
      if (group.length === 0) return
      const keys = new Set(group.map(keyOf))
      for (const key of keys) busy.add(key)
      running += 1
      void runGroup(group).finally(() => {
        running -= 1
        for (const key of keys) busy.delete(key)
        if (queue.length > 0) schedule()
        else if (running === 0) for (const resolve of idle.splice(0)) resolve()
      })
    }
  }

  /** The changes that begin now: those of channels, or those that run alone, whichever waits longest. */
  function takeGroup(): Job<T>[] {
    const first = queue.find((job) => !busy.has(keyOf(job)))
    if (first === undefined) return []
    const isAlone = keyOf(first) === 'all'
    const group: Job<T>[] = []
    const rest: Job<T>[] = []
    for (const job of queue) {
      const fits = (keyOf(job) === 'all') === isAlone && !busy.has(keyOf(job))
      if (fits && group.length < maxGroup) group.push(job)
      else rest.push(job)
    }
    queue.splice(0, queue.length, ...rest)
    return group
  }

  async function runGroup(group: readonly Job<T>[]): Promise<void> {
    await engine
      .withConnection((connection) => commitGroup(connection, group))
      .catch((error: unknown) => {
        for (const job of group) job.reject(error)
      })
  }

  /**
   * Commits the changes of a group together. A savepoint for each change would cost more than the changes themselves, because each
   * savepoint flushes the word index of SQLite. So savepoints are only set when a change failed and all changes run again.
   */
  async function commitGroup(connection: WritingConnection<T>, group: readonly Job<T>[]): Promise<void> {
    for (let deadlocks = 0; ; deadlocks += 1) {
      try {
        return await transact(connection, group, runAll)
      } catch (error) {
        if (!(error instanceof ChangeError)) throw error
        const { code } = error.cause as { code?: unknown }
        if (code !== deadlock || deadlocks === maxDeadlocks) break
      }
    }
    await transact(connection, group, runEach).catch((error: unknown) => {
      throw error instanceof ChangeError ? error.cause : error
    })
  }

  async function transact(
    connection: WritingConnection<T>,
    group: readonly Job<T>[],
    run: (connection: WritingConnection<T>, group: readonly Job<T>[]) => Promise<ReadonlySet<Job<T>>>,
  ): Promise<void> {
    const keys = [...new Set(group.map(keyOf))]
    const channels = keys.includes('all') ? undefined : (keys as number[]).toSorted((a, b) => a - b)
    let done: ReadonlySet<Job<T>>
    let committed: Committed
    try {
      await engine.begin(connection, channels)
      done = await run(connection, group)
      committed = await engine.commit(
        connection,
        group.flatMap((job) => (done.has(job) ? job.events : [])),
      )
    } catch (error) {
      // A row that a change left in a batch may be refused at the commit, and concerns that change alone.
      const isOfChange = connection.state.isRefused && !(error instanceof ChangeError)
      connection.state.forget()
      await sql`rollback`.execute(connection).catch(() => undefined)
      throw isOfChange ? new ChangeError('A row of a batch was refused', { cause: error }) : error
    }
    let { first: seq, previous } = committed
    for (const job of group) {
      if (!done.has(job)) continue
      job.settle(
        job.events.map((event) => ({ seq: seq++, ...event })),
        previous,
      )
      const last = job.events.at(-1)
      if (last !== undefined) previous = fingerprintOf(last)
    }
  }

  /** Runs the changes of each channel one after the other, and those of different channels at the same time. */
  async function runAll(
    connection: WritingConnection<T>,
    group: readonly Job<T>[],
  ): Promise<ReadonlySet<Job<T>>> {
    const sequences = [...Map.groupBy(group, keyOf).values()]
    await together(
      sequences.map(async (jobs) => {
        for (const job of jobs) await job.run(connection)
      }),
    ).catch((cause: unknown) => {
      throw new ChangeError('A change of the group failed', { cause })
    })
    return new Set(group)
  }

  /** Runs each change after a savepoint, so that one that fails is undone alone. @returns those that did not fail */
  async function runEach(
    connection: WritingConnection<T>,
    group: readonly Job<T>[],
  ): Promise<ReadonlySet<Job<T>>> {
    const done = new Set<Job<T>>()
    const failed = new Map<Job<T>, unknown>()
    for (const job of group) {
      await sql`savepoint job`.execute(connection)
      try {
        await job.run(connection)
        await connection.state.flush()
        done.add(job)
      } catch (error) {
        connection.state.forget()
        // A full disk undoes the whole transaction at once; then no change was stored.
        await sql`rollback to job`.execute(connection).catch(() => Promise.reject(error))
        failed.set(job, error)
      }
      await sql`release job`.execute(connection)
    }
    for (const [job, error] of failed) job.reject(error)
    return done
  }

  return {
    write(change, { channel, onCommit } = {}) {
      return new Promise((resolve, reject) => {
        let value: Awaited<ReturnType<typeof change>>
        const job: Job<T> = {
          channel,
          events: [],
          async run(tx) {
            job.events = []
            value = await change(tx, (event) => void job.events.push(event))
          },
          settle(events, previous) {
            onCommit?.(value, events, previous)
            resolve(value)
          },
          reject,
        }
        queue.push(job)
        schedule()
      })
    },
    settled: () =>
      new Promise((resolve) => {
        if (queue.length === 0 && running === 0) resolve()
        else idle.push(resolve)
      }),
  }
}

/** Thrown when a change failed, and not the database. */
class ChangeError extends Error {
  override readonly name = 'ChangeError'
}
