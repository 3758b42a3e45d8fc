import type { Database } from '../../store/db.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import { findObject, type ObjectRow } from '../../store/things/objects.ts'
import {
  countTaskMessages,
  deleteTaskPacket,
  deleteTaskPackets,
  deleteTaskRun,
  findTaskLease,
  findTaskRun,
  insertTaskPacket,
  putTaskRun,
  raiseTaskChanges,
  type TaskLeaseRow,
  type TaskRunRow,
  updateTaskLease,
} from '../../store/things/task-runs.ts'
import { parseDrop } from '../drop-model.ts'
import type { Json } from '../present.ts'
import { ThingsError } from '../things-error.ts'
import { putDrop } from './tracked-drops.ts'
import type { Writing } from './writing.ts'

/** A task as this backend runs it. */
export interface TaskRun {
  readonly instance: string
  readonly task: ObjectRow
}

/** The task was changed, or another backend runs it: nothing was written. */
export class TaskStoppedError extends Error {
  override readonly name = 'TaskStoppedError'
}

/** @param seen the lease when it was free, or its holder silent. @returns whether no other backend was faster */
export async function takeTaskLease(db: Database, instance: string, seen: TaskLeaseRow): Promise<boolean> {
  return updateTaskLease(db, seen, instance)
}

/** @returns whether this backend still holds it */
export async function renewTaskLease(db: Database, instance: string): Promise<boolean> {
  return updateTaskLease(db, { instance }, instance)
}

export async function releaseTaskLease(db: Database, instance: string): Promise<void> {
  await updateTaskLease(db, { instance }, '')
}

/** A message that was received. */
export interface ReceivedMessage {
  /** Its drop, or why it makes none. */
  readonly content: { readonly drop: Json } | { readonly problem: string }
  /** With QoS 2: what it is named until it is released. */
  readonly packetId: number | undefined
}

/**
 * Adds the drop of a message to the destination of a task. A message that makes no drop, or whose drop the flow refuses, is
 * counted.
 *
 * @returns why it was refused; undefined where it was not
 * @throws ThingsError when the destination cannot be written, TaskStoppedError
 */
export async function receiveTaskMessage(
  writing: Writing,
  run: TaskRun,
  destination: string,
  { content, packetId }: ReceivedMessage,
): Promise<string | undefined> {
  const { db, now } = writing
  const { id } = run.task
  await requireRunning(db, run)
  const flow = await writing.requireFlowAt(destination, 'dropWrite')
  // The broker sent it again, because the confirmation was lost.
  if (packetId !== undefined && !(await insertTaskPacket(db, id, packetId))) return undefined
  const refused =
    'problem' in content
      ? content.problem
      : await addDrop(writing, flow, { ...content.drop, taskId: id }).then(() => undefined, toProblem)
  if (refused === undefined) await countTaskMessages(db, id, { messages: 1, refused: 0 }, now)
  else await noteRefused(db, id, 1, refused, now)
  return refused
}

async function addDrop(writing: Writing, flow: FlowRow, drop: Json): Promise<void> {
  await putDrop(writing, flow, parseDrop(drop, undefined))
}

/** What is wrong with a drop. Nothing of it was written. @throws any other error */
function toProblem(error: unknown): string {
  if (error instanceof ThingsError) return error.message
  throw error
}

async function noteRefused(
  db: Database,
  id: string,
  refused: number,
  reason: string,
  now: number,
): Promise<void> {
  await countTaskMessages(db, id, { messages: 0, refused }, now)
  await putTaskRun(db, id, { last_error: reason.slice(0, maxReason), last_error_at: now })
}

const maxReason = 1000

/** Forgets a message of QoS 2 that the broker released, or all of them. */
export async function forgetTaskPackets(db: Database, run: TaskRun, packetId?: number): Promise<void> {
  await requireRunning(db, run)
  if (packetId === undefined) await deleteTaskPackets(db, run.task.id)
  else await deleteTaskPacket(db, run.task.id, packetId)
}

/** What a broker has subscribed a task to. */
export interface TaskSession {
  readonly broker: string
  readonly clientId: string
  readonly topic: string
  readonly qos: number
}

export function readTaskSession(row: TaskRunRow | undefined): TaskSession | undefined {
  return row?.session_json == null ? undefined : (JSON.parse(row.session_json) as TaskSession)
}

export async function noteTaskSession(db: Database, run: TaskRun, session: TaskSession): Promise<void> {
  await requireRunning(db, run)
  await putTaskRun(db, run.task.id, { session_json: JSON.stringify(session) })
}

/** Notes that a task was turned off. What its broker has kept for it until it is turned on again is not received. */
export async function endTaskSession(db: Database, id: string): Promise<void> {
  if ((await findTaskRun(db, id)) !== undefined) await putTaskRun(db, id, { session_json: null })
}

/** What was sent of a flow. */
export interface SentDrops {
  readonly flowNo: number
  /** The number of the last drop that was sent. */
  readonly position: number
  readonly sent: number
  readonly refused: number
  /** Why the last of those was. */
  readonly problem: string | undefined
}

export async function noteSentDrops(
  db: Database,
  run: TaskRun,
  { flowNo, position, sent, refused, problem }: SentDrops,
): Promise<void> {
  const { id } = run.task
  const now = Date.now()
  await requireRunning(db, run)
  await putTaskRun(db, id, { flow_no: flowNo, position })
  if (sent > 0) await countTaskMessages(db, id, { messages: sent, refused: 0 }, now)
  if (problem !== undefined) await noteRefused(db, id, refused, problem, now)
}

/** Stores whether a task reaches its broker. @param problem why it does not */
export async function noteTaskStatus(db: Database, run: TaskRun, problem: string | undefined): Promise<void> {
  await requireRunning(db, run)
  const now = Date.now()
  await putTaskRun(
    db,
    run.task.id,
    problem === undefined
      ? { status: 'OK' }
      : { status: 'ERROR', last_error: problem.slice(0, maxReason), last_error_at: now },
  )
}

/** Where a task begins to send the drops of a flow. @param flowNo undefined for a task that sends none */
export async function placeTask(
  db: Database,
  id: string,
  flow: { readonly no: number; readonly last_seq: number } | undefined,
): Promise<void> {
  const before = await findTaskRun(db, id)
  if (flow === undefined) {
    if (before !== undefined) await putTaskRun(db, id, { flow_no: null, position: null })
  } else if (before?.flow_no !== flow.no)
    await putTaskRun(db, id, { flow_no: flow.no, position: flow.last_seq })
}

/** Says that a task was created, changed or deleted. */
export async function noteTaskChange(db: Database): Promise<void> {
  await raiseTaskChanges(db)
}

export async function removeTaskRun(db: Database, id: string): Promise<void> {
  await deleteTaskRun(db, id)
  await raiseTaskChanges(db)
}

/** In the transaction of what a task writes: so an earlier version of it, or another backend, writes nothing. */
async function requireRunning(db: Database, { instance, task }: TaskRun): Promise<void> {
  if ((await findTaskLease(db)).instance !== instance)
    throw new TaskStoppedError('Another backend runs the tasks')
  if ((await findObject(db, task.id))?.object_json !== task.object_json)
    throw new TaskStoppedError(`The task ${task.id} was changed`)
}
