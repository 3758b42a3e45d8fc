import { listDrops } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import { findObject } from '../../store/things/objects.ts'
import { findTaskRun } from '../../store/things/task-runs.ts'
import type { Arrivals } from '../arrivals.ts'
import { encodeDrop, readStored, type StoredDrop } from '../drop-model.ts'
import type { FilterCache } from '../filter-cache.ts'
import { noteSentDrops, placeTask, type TaskRun } from '../operations/task-runs.ts'
import { createOwnerAccess } from '../operations/tracked-drops.ts'
import type { Arrival } from '../operations/writing.ts'
import { pathKey } from '../paths.ts'
import type { Things } from '../things.ts'
import type { BrokerConnection } from './mqtt-client.ts'
import { isReceivedBy, type MqttTask, readMqttTask } from './mqtt-task.ts'
import { toPayload } from './payloads.ts'
import { createWaitingDrops } from './waiting-drops.ts'

/** Sends the drops of a flow to a topic. It lasts as long as its task runs, over several connections. */
export interface Sender {
  /** Sends drops until the signal aborts. @throws when the connection ends, or the flow cannot be read */
  send(connection: BrokerConnection, signal: AbortSignal): Promise<void>
  close(): void
}

export interface SenderOptions {
  readonly things: Things
  readonly filters: FilterCache
  readonly arrivals: Pick<Arrivals, 'listen'>
  readonly run: TaskRun
  readonly task: MqttTask & { readonly direction: { readonly kind: 'send' } }
  /** Resolves when one more message may be sent. */
  readonly turn: () => Promise<void>
  readonly onSent: () => void
  readonly onRefused: (topic: string, problem: string) => void
}

const pageSize = 100
/** The versions of drops that are remembered as sent. */
const maxRead = 1000
/** How long a sender waits for an arrival before it looks for a flow that was created again. */
const lookMs = 30_000

type Sendable = Pick<Arrival, 'row' | 'stored'>

/**
 * Stored drops are read by their numbers, from the one after the last that was sent, so none is lost while nothing runs. What is
 * not found so is sent as it arrives: drops of a flow without capacity, and those that replace another one by their fhash.
 */
export function createSender(options: SenderOptions): Sender {
  const { things, filters, arrivals, run, task, turn, onSent, onRefused } = options
  const { direction, topic, qos } = task
  const { id } = run.task
  const key = pathKey(direction.source)
  /** Drops that the flow does not store, or stored earlier under another version. */
  const waiting = createWaitingDrops(() =>
    onRefused(topic, 'Too many drops waited for the broker that the flow does not store'),
  )
  /** The versions of drops that were read by their numbers, of the last pages. */
  const read = new Map<string, number>()
  let capacity: number | undefined
  /** The account of the flow: others may have flows with the same path. */
  let ownerId: number | undefined
  let hasArrived = Promise.withResolvers<void>()

  const removeListener = arrivals.listen((arrival) => {
    if (arrival.flow.path_key !== key || (ownerId ?? arrival.flow.account_id) !== arrival.flow.account_id)
      return
    if (capacity === 0 || arrival.stored.version > 0) waiting.push(arrival)
    hasArrived.resolve()
  })

  async function requireFlow(): Promise<FlowRow> {
    const now = Date.now()
    const owner = await createOwnerAccess({ db: things.store.reader, filters, now }, run.task, 'plain')
    const flow = await owner.requireFlowAt(direction.source, 'dropRead')
    capacity = flow.capacity
    ownerId = flow.account_id
    return flow
  }

  /** The number of the last drop that was sent. */
  async function placeIn(flow: FlowRow): Promise<number> {
    const placed = await findTaskRun(things.store.reader, id)
    // A flow that was created again has no drop from before it.
    if (placed?.flow_no != null) return placed.flow_no === flow.no ? (placed.position ?? 0) : 0
    await things.store.write((db) => placeTask(db, id, flow))
    return flow.last_seq
  }

  /** Why a drop is not sent. */
  async function problemOf({ taskId }: StoredDrop): Promise<string | undefined> {
    if (typeof taskId !== 'string') return undefined
    const row = await findObject(things.store.reader, taskId)
    const origin = row === undefined ? undefined : readMqttTask(row)
    if (origin === undefined || !isReceivedBy(task, origin)) return undefined
    return `The drop comes from the task ${taskId}, which would receive it again`
  }

  /** Sends drops in their order. @returns how many were sent or refused before the connection ended */
  async function sendAll(connection: BrokerConnection, flow: FlowRow, drops: readonly Sendable[]) {
    const outcome = { done: 0, sent: 0, refused: 0, problem: undefined as string | undefined }
    try {
      for (let from = 0; from < drops.length; from += connection.maxInFlight) {
        const part = drops.slice(from, from + connection.maxInFlight)
        const problems = await Promise.all(part.map(({ stored }) => problemOf(stored)))
        const payloads = part.flatMap(({ row, stored }, index) =>
          problems[index] === undefined
            ? [toPayload(encodeDrop(flow, row, stored, 'plain'), direction.format)]
            : [],
        )
        for (const _ of payloads) await turn()
        await Promise.all(payloads.map((payload) => connection.publish(topic, payload, qos)))
        for (const problem of problems) {
          if (problem === undefined) onSent()
          else onRefused(topic, problem)
          outcome.problem = problem ?? outcome.problem
        }
        outcome.done += part.length
        outcome.sent += payloads.length
        outcome.refused += part.length - payloads.length
      }
    } catch (error) {
      return { ...outcome, error }
    }
    return { ...outcome, error: undefined }
  }

  /** Sends the stored drops after a number. @returns the number of the last one */
  async function sendStored(
    connection: BrokerConnection,
    flow: FlowRow,
    after: number,
  ): Promise<number | undefined> {
    const rows = await listDrops(things.store.reader, flow.no, { after }, pageSize)
    if (rows.length === 0) return undefined
    const drops = rows.map((row) => ({ row, stored: readStored(row) }))
    const { done, sent, refused, problem, error } = await sendAll(connection, flow, drops)
    for (const { row, stored } of drops.slice(0, done)) {
      read.set(row.id, stored.version)
      if (read.size > maxRead) read.delete(read.keys().next().value ?? '')
    }
    const position = rows[done - 1]?.seq ?? after
    if (done > 0)
      await things.store.write((db) =>
        noteSentDrops(db, run, { flowNo: flow.no, position, sent, refused, problem }),
      )
    if (error !== undefined) throw error
    return position
  }

  async function sendWaiting(connection: BrokerConnection, flow: FlowRow, position: number): Promise<void> {
    // Some arrived before it was known whose flow it is.
    const arrived = waiting.take(pageSize).filter((each) => each.flow.account_id === flow.account_id)
    const drops = arrived.filter(({ row, stored }) => (read.get(row.id) ?? -1) < stored.version)
    const { done, sent, refused, problem, error } = await sendAll(connection, flow, drops)
    if (done > 0)
      await things.store.write((db) =>
        noteSentDrops(db, run, { flowNo: flow.no, position, sent, refused, problem }),
      )
    if (error === undefined) return
    waiting.putBack(drops.slice(done))
    throw error
  }

  return {
    async send(connection, signal) {
      const aborted = once(signal)
      while (!signal.aborted) {
        hasArrived = Promise.withResolvers()
        const flow = await requireFlow()
        let position = await placeIn(flow)
        for (let next: number | undefined = position; next !== undefined && !signal.aborted; ) {
          position = next
          next = await sendStored(connection, flow, position)
        }
        while (waiting.length > 0 && !signal.aborted) await sendWaiting(connection, flow, position)
        const timer = setTimeout(() => hasArrived.resolve(), lookMs)
        const failure = await Promise.race([hasArrived.promise, aborted, connection.ended])
        clearTimeout(timer)
        if (failure instanceof Error) throw failure
      }
    },
    close: removeListener,
  }
}

function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
