import {
  forgetTaskPackets,
  noteTaskSession,
  receiveTaskMessage,
  type TaskRun,
  type TaskSession,
} from '../operations/task-runs.ts'
import type { Things } from '../things.ts'
import type { BrokerConnection, BrokerListener, BrokerMessage } from './mqtt-client.ts'
import { clientIdOf, type MqttTask } from './mqtt-task.ts'
import { PayloadError, toDrop } from './payloads.ts'
import { matchesTopic } from './topics.ts'

/** Adds the messages of a topic to a flow. */
export interface Receiver extends BrokerListener {
  /**
   * Called before each connection, with the session of the last one.
   *
   * @returns whether it is to go on. A session that is not known is to be discarded.
   */
  prepare(session: TaskSession | undefined): Promise<boolean>
  /** Subscribes, where the session of the broker does not have the subscription already. */
  subscribe(connection: BrokerConnection): Promise<void>
}

export interface ReceiverOptions {
  readonly things: Things
  readonly run: TaskRun
  readonly task: MqttTask & { readonly direction: { readonly kind: 'receive' } }
  /** Resolves when one more message may be stored. */
  readonly turn: () => Promise<void>
  readonly onReceived: () => void
  readonly onRefused: (topic: string, problem: string) => void
}

export function createReceiver(options: ReceiverOptions): Receiver {
  const { things, run, task, turn, onReceived, onRefused } = options
  const { direction, broker, topic, qos } = task
  const { account_id: accountId, id } = run.task
  const session: TaskSession = {
    ...{ broker: `${broker.host}:${broker.port}`, clientId: clientIdOf(task, id), topic, qos },
  }
  /** What it was subscribed to earlier, in the same session. */
  let before: TaskSession | undefined
  /** Messages of a connection that has ended may still be on their way to the disk. */
  let last: Promise<void> = Promise.resolve()

  function inOrder(work: () => Promise<void>): Promise<void> {
    const next = last.then(work)
    last = next.catch(() => undefined)
    return next
  }

  async function receive({ topic: from, payload, packetId }: BrokerMessage): Promise<void> {
    // A session may have the subscription of an earlier version of the task.
    if (!matchesTopic(topic, from)) return
    await turn()
    const message = { content: toContent(from, payload), packetId }
    const problem = await things.writeAsAccount(accountId, (writing) =>
      receiveTaskMessage(writing, run, direction.destination, message),
    )
    if (problem === undefined) onReceived()
    else onRefused(from, problem)
  }

  function toContent(from: string, payload: Uint8Array) {
    try {
      return { drop: { ...toDrop(payload, direction.format), topic: from } }
    } catch (error) {
      if (error instanceof PayloadError) return { problem: error.message }
      throw error
    }
  }

  const forget = (packetId?: number) =>
    inOrder(() => things.store.write((db) => forgetTaskPackets(db, run, packetId)))

  return {
    receive: (message) => inOrder(() => receive(message)),
    release: forget,
    async prepare(stored) {
      before = stored?.broker === session.broker && stored.clientId === session.clientId ? stored : undefined
      // The packet ids of another session mean other messages.
      if (before === undefined) await forget()
      return before !== undefined
    },
    async subscribe(connection) {
      if (!connection.hasSession) await forget()
      else if (before?.topic === topic && before.qos === qos) return
      else if (before !== undefined && before.topic !== topic) await connection.unsubscribe(before.topic)
      await connection.subscribe(topic, qos)
      await things.store.write((db) => noteTaskSession(db, run, session))
      before = session
    },
  }
}
