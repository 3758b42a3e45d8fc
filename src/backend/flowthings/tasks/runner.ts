import { setTimeout as sleep } from 'node:timers/promises'
import type { Background } from '../../background.ts'
import { HttpError } from '../../http/errors.ts'
import type { Traffic } from '../../http/traffic.ts'
import type { Database } from '../../store/db.ts'
import type { ObjectRow } from '../../store/things/objects.ts'
import { findTaskLease, listTasks, type TaskLeaseRow } from '../../store/things/task-runs.ts'
import type { Arrivals } from '../arrivals.ts'
import type { FilterCache } from '../filter-cache.ts'
import {
  noteTaskStatus,
  releaseTaskLease,
  renewTaskLease,
  type TaskRun,
  takeTaskLease,
} from '../operations/task-runs.ts'
import type { Json } from '../present.ts'
import type { Things } from '../things.ts'
import { readMqttTask } from './mqtt-task.ts'
import { type RunningTask, startTask, type TaskEvents } from './task.ts'

/** The tasks that this backend runs, and what they did since its start. */
export interface TaskFigures {
  readonly running: number
  /** Those of them that do not reach their broker. */
  readonly failing: number
  readonly received: number
  readonly sent: number
  /** Messages that made no drop, and drops that were not sent. */
  readonly refused: number
}

/** Runs the tasks of all accounts in one of the backends that share a database. */
export interface TaskRunner {
  /** Looks for changed tasks. */
  wake(): void
  figures(): TaskFigures
  close(): Promise<void>
}

export interface TaskRunnerOptions {
  readonly things: Things
  readonly filters: FilterCache
  readonly arrivals: Pick<Arrivals, 'listen'>
  readonly traffic: Traffic
  readonly background: Background
  /** This backend, as others know it. */
  readonly instance: string
  /** Whether brokers may be at this machine and its network. */
  readonly anywhere: boolean
  /** The interval in which the holder of the lease says that it runs, and how long it may be silent; 1 s and 5 s by default. */
  readonly beatMs?: number | undefined
  readonly silentMs?: number | undefined
  readonly onNotice: (message: string) => void
}

const maxTasks = 1000
const maxTasksPerAccount = 20
const pageSize = 500
/** The holder stops its tasks after this part of the time in which others wait for it. */
const heldPart = 0.7
/** How often a task writes to the log that messages were refused. */
const refusalsEveryMs = 60_000

interface Wanted {
  readonly row: ObjectRow
  /** Whether the account has too many that are older. */
  readonly isTooMany: boolean
}

interface Running extends Wanted {
  readonly task: RunningTask
}

export function createTaskRunner(options: TaskRunnerOptions): TaskRunner {
  const { things, traffic, background, instance, onNotice, beatMs = 1000, silentMs = 5000 } = options
  const { store } = things
  const running = new Map<string, Running>()
  const failing = new Set<string>()
  const totals = { received: 0, sent: 0, refused: 0 }
  let known: readonly Wanted[] = []
  let changes: number | undefined
  /** Until when this backend may run tasks. */
  let heldUntil = 0
  let renewedAt = 0
  /** The lease of another backend, and when its beat was seen first. */
  let other: { readonly lease: TaskLeaseRow; readonly at: number } | undefined
  let step: Promise<void> | undefined
  let isDue = false
  let isClosed = false

  async function run(): Promise<void> {
    const lease = await findTaskLease(store.reader)
    if (lease.changes !== changes) {
      known = await readWanted(store.reader)
      changes = lease.changes
    }
    if (lease.instance === instance) await renew()
    else if (known.length > 0) await take(lease)
    await reconcile(!isClosed && performance.now() < heldUntil ? known : [])
  }

  async function renew(): Promise<void> {
    if (known.length === 0) {
      heldUntil = 0
      return store.write((db) => releaseTaskLease(db, instance))
    }
    const now = performance.now()
    if (now - renewedAt < beatMs) return
    if (await store.write((db) => renewTaskLease(db, instance))) hold(now)
    else heldUntil = 0
  }

  async function take(lease: TaskLeaseRow): Promise<void> {
    const now = performance.now()
    if (other?.lease.instance !== lease.instance || other.lease.beat !== lease.beat)
      other = { lease, at: now }
    heldUntil = 0
    await reconcile([])
    if (lease.instance !== '' && now - other.at < silentMs) return
    if (await store.write((db) => takeTaskLease(db, instance, lease))) hold(now)
  }

  function hold(now: number): void {
    renewedAt = now
    heldUntil = now + silentMs * heldPart
  }

  /** Runs these tasks, as they are now, and no others. */
  async function reconcile(wanted: readonly Wanted[]): Promise<void> {
    const byId = new Map(wanted.map((each) => [each.row.id, each]))
    const enabled = new Set(known.map(({ row }) => row.id))
    await Promise.all(
      [...running].map(async ([id, { row, isTooMany, task }]) => {
        const current = byId.get(id)
        if (current?.row.object_json === row.object_json && current.isTooMany === isTooMany) return
        running.delete(id)
        failing.delete(id)
        // A task that goes on elsewhere, or later, needs what the broker keeps for it.
        await task.stop(!enabled.has(id))
      }),
    )
    for (const each of byId.values()) if (!running.has(each.row.id)) await start(each)
  }

  async function start({ row, isTooMany }: Wanted): Promise<void> {
    const taskRun: TaskRun = { instance, task: row }
    const task = readMqttTask(row)
    if (task === undefined || isTooMany) {
      const problem = isTooMany
        ? `More than ${maxTasksPerAccount} tasks of the account are turned on`
        : 'The task has members that are not valid'
      failing.add(row.id)
      running.set(row.id, { row, isTooMany, task: { stop: async () => undefined } })
      return store.write((db) => noteTaskStatus(db, taskRun, problem))
    }
    running.set(row.id, {
      ...{ row, isTooMany },
      task: startTask({
        ...{ things, filters: options.filters, arrivals: options.arrivals, anywhere: options.anywhere },
        ...{ task, run: taskRun, turn: () => waitForTurn(row.account_id), events: eventsOf(row.id) },
      }),
    })
  }

  function eventsOf(id: string): TaskEvents {
    let loggedAt = Number.NEGATIVE_INFINITY
    let unlogged = 0
    return {
      onReceived() {
        totals.received += 1
      },
      onSent() {
        totals.sent += 1
      },
      onRefused(topic, problem) {
        totals.refused += 1
        unlogged += 1
        const now = performance.now()
        if (now - loggedAt < refusalsEveryMs) return
        const count = unlogged === 1 ? 'a message' : `${unlogged} messages`
        onNotice(
          `The MQTT task ${id} refused ${count} of the topic ${JSON.stringify(topic.slice(0, 200))}: ${problem}`,
        )
        loggedAt = now
        unlogged = 0
      },
      onStatus(problem) {
        if (problem === undefined) {
          if (failing.delete(id)) onNotice(`The MQTT task ${id} reaches its broker again`)
        } else if (running.has(id)) {
          failing.add(id)
          onNotice(`The MQTT task ${id} does not reach its broker: ${problem}`)
        }
      },
    }
  }

  /** Waits where the messages of an account reach the limit of a token. */
  async function waitForTurn(accountId: number): Promise<void> {
    for (;;) {
      try {
        return traffic.countRequest({ key: `tasks:${accountId}`, isStranger: false, isGateway: false })
      } catch (error) {
        if (!(error instanceof HttpError)) throw error
        await sleep(Number(error.headers['Retry-After'] ?? 1) * 1000, undefined, { ref: false })
      }
    }
  }

  /** One step at a time; one more when something changed meanwhile. */
  function wake(): void {
    // Also while the database does not respond.
    if (running.size > 0 && performance.now() >= heldUntil) background.run(reconcile([]))
    isDue = true
    if (step !== undefined || isClosed) return
    step = repeat().finally(() => {
      step = undefined
    })
    background.run(step)
  }

  async function repeat(): Promise<void> {
    while (isDue && !isClosed) {
      isDue = false
      await run()
    }
  }

  const timer = setInterval(wake, beatMs)
  timer.unref()

  return {
    wake,
    figures: () => ({ running: running.size, failing: failing.size, ...totals }),
    async close() {
      isClosed = true
      clearInterval(timer)
      await step?.catch(() => undefined)
      const wasHeld = heldUntil > 0
      heldUntil = 0
      await reconcile([])
      // The others need not wait for its silence.
      if (wasHeld) await store.write((db) => releaseTaskLease(db, instance))
    },
  }
}

/** The tasks that are turned on, oldest first, whatever the other accounts have: those that run, and those that are too many. */
async function readWanted(db: Database): Promise<Wanted[]> {
  const wanted: Wanted[] = []
  const counts = new Map<number, number>()
  const left = { running: maxTasks, tooMany: maxTasks }
  for (let after: number | undefined = 0; after !== undefined && left.running > 0; ) {
    const page: ObjectRow[] = await listTasks(db, 'mqtt', after, pageSize)
    for (const row of page.filter(isEnabled)) {
      const count = (counts.get(row.account_id) ?? 0) + 1
      counts.set(row.account_id, count)
      const isTooMany = count > maxTasksPerAccount
      const kind = isTooMany ? 'tooMany' : 'running'
      if (left[kind] > 0) wanted.push({ row, isTooMany })
      left[kind] -= 1
    }
    after = page.length < pageSize ? undefined : page.at(-1)?.no
  }
  return wanted
}

function isEnabled({ object_json }: ObjectRow): boolean {
  return (JSON.parse(object_json) as Json)['disabled'] !== true
}
