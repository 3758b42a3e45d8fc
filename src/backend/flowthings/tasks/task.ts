import { setTimeout as sleep } from 'node:timers/promises'
import { NotPublicAddressError } from '../../../net/public-address.ts'
import { findTaskRun } from '../../store/things/task-runs.ts'
import type { Arrivals } from '../arrivals.ts'
import type { FilterCache } from '../filter-cache.ts'
import { noteTaskStatus, readTaskSession, type TaskRun, TaskStoppedError } from '../operations/task-runs.ts'
import type { Things } from '../things.ts'
import type { BrokerConnection, BrokerListener } from './mqtt-client.ts'
import type { MqttTask } from './mqtt-task.ts'
import { createReceiver, type Receiver } from './receiver.ts'
import { createSender, type Sender } from './sender.ts'

/** What happens at tasks. */
export interface TaskEvents {
  onReceived(): void
  onSent(): void
  onRefused(topic: string, problem: string): void
  /** @param problem why the broker is not reached; undefined when it is */
  onStatus(problem: string | undefined): void
}

export interface TaskOptions {
  readonly things: Things
  readonly filters: FilterCache
  readonly arrivals: Pick<Arrivals, 'listen'>
  readonly run: TaskRun
  readonly task: MqttTask
  /** Whether brokers may be at this machine and its network. */
  readonly anywhere: boolean
  readonly turn: () => Promise<void>
  readonly events: TaskEvents
}

/** A task that runs. */
export interface RunningTask {
  /** Stops it. @param isOver whether the broker should keep nothing for it */
  stop(isOver: boolean): Promise<void>
}

/** The pause before the first attempt to connect again. It doubles after each one that failed, and half of it is random. */
const firstPauseMs = 1000
const maxPauseMs = 60_000
/** A connection that lasted so long was no failed attempt. */
const lastsMs = 10_000
const unsubscribeMs = 1000

/** Keeps a task connected to its broker until it is stopped. */
export function startTask(options: TaskOptions): RunningTask {
  const { things, run, task, events } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let isOver = false
  let problem: string | undefined
  let isKnown = false

  async function note(current: string | undefined): Promise<void> {
    if (isKnown && current === problem) return
    await things.store.write((db) => noteTaskStatus(db, run, current))
    isKnown = true
    problem = current
    events.onStatus(current)
  }

  /** Connects, and exchanges messages until the task is stopped. @throws when the connection fails */
  async function exchange(part: Receiver | Sender): Promise<void> {
    // Loaded with the first task: nothing else needs it.
    const { connectBroker } = await import('./mqtt-client.ts')
    const receiver = 'receive' in part ? part : undefined
    const broker = { taskId: run.task.id, task, anywhere: options.anywhere, signal }
    if (receiver !== undefined) {
      const stored = readTaskSession(await findTaskRun(things.store.reader, run.task.id))
      if (!(await receiver.prepare(stored))) {
        const discarding = await connectBroker({ ...broker, listener: noListener, keepsSession: false })
        await discarding.close()
      }
    }
    const connection = await connectBroker({
      ...broker,
      ...{ listener: receiver ?? noListener, keepsSession: receiver !== undefined },
    })
    const end = () => void leave(connection, receiver)
    signal.addEventListener('abort', end, { once: true })
    try {
      if (signal.aborted) return
      if (receiver !== undefined) await receiver.subscribe(connection)
      await note(undefined)
      if ('send' in part) await part.send(connection, signal)
      else throw await connection.ended
    } finally {
      signal.removeEventListener('abort', end)
      await connection.close()
    }
  }

  async function leave(connection: BrokerConnection, receiver: Receiver | undefined): Promise<void> {
    if (isOver && receiver !== undefined)
      await Promise.race([
        connection.unsubscribe(task.topic).catch(() => undefined),
        sleep(unsubscribeMs, undefined, { ref: false }),
      ])
    await connection.close()
  }

  async function keepConnected(part: Receiver | Sender): Promise<void> {
    let pauseMs = firstPauseMs
    while (!signal.aborted) {
      const begun = performance.now()
      try {
        await exchange(part)
      } catch (error) {
        if (signal.aborted || error instanceof TaskStoppedError) return
        if (performance.now() - begun >= lastsMs) pauseMs = firstPauseMs
        // The next attempt notes it, where the database does not respond.
        await note(describe(error, options)).catch(() => undefined)
      }
      await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(
        () => undefined,
      )
      pauseMs = Math.min(pauseMs * 2, maxPauseMs)
    }
  }

  const part = createPart(options)
  const ended = keepConnected(part).finally(() => {
    if ('close' in part) part.close()
  })
  return {
    async stop(over) {
      isOver = over
      stopping.abort()
      await ended
    },
  }
}

const noListener: BrokerListener = {
  receive: async () => undefined,
  release: async () => undefined,
}

function createPart({ task, events, ...options }: TaskOptions): Receiver | Sender {
  const { direction } = task
  const { onReceived, onSent, onRefused } = events
  return direction.kind === 'receive'
    ? createReceiver({ ...options, onReceived, onRefused, task: { ...task, direction } })
    : createSender({ ...options, onSent, onRefused, task: { ...task, direction } })
}

/** The same text for a name in our own network and for an unknown name: otherwise clients could list the names in our network. */
function describe(error: unknown, { task, anywhere }: TaskOptions): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  const isUnknown = error instanceof NotPublicAddressError || /^(ENOTFOUND|EAI_\w+|ENODATA)$/.test(code)
  const host = task.broker.host.slice(0, 200)
  if (!anywhere && isUnknown) return `${host} is not a public address`
  // An error of several attempts has no message.
  return `${host}: ${message || code}`
}
