import { listObjects } from '../../../store/things/objects.ts'
import { findTaskRun } from '../../../store/things/task-runs.ts'
import { mergeMembers } from '../../flow-model.ts'
import type { ObjectKind } from '../../ids.ts'
import { pathKey } from '../../paths.ts'
import { type PathPermissions, rightsOf } from '../../permissions.ts'
import type { Json } from '../../present.ts'
import { isReceivedBy, type MqttTask, parseMqttTask, readMqttTask } from '../../tasks/mqtt-task.ts'
import { badRequest } from '../../things-error.ts'
import type { ObjectType } from '../object-type.ts'
import { endTaskSession, noteTaskChange, placeTask, removeTaskRun } from '../task-runs.ts'
import type { Writing } from '../writing.ts'

/** [flowthings] periodic task overview */
const period = { default: 3600_000, least: 60_000 }
/** Members that describe runs of a task. Clients cannot set them. */
const readOnly = [
  ...['status', 'reportFlowId', 'reportPath', 'runCt', 'lastRun', 'nextRun'],
  ...['refusedCt', 'lastError', 'lastErrorDate'],
]

type Check = (writing: Writing, members: Json, id: string) => Promise<Json>

/** A kind of tasks that fetch data. Tasks are validated and stored; those of MQTT run by a setting. */
function createTaskType(kind: ObjectKind, check: Check, more: Partial<ObjectType> = {}): ObjectType {
  return {
    ...more,
    kind,
    allows: { create: true, change: true, remove: true },
    async parse(writing, { id, given, before }) {
      const editable = Object.fromEntries(Object.entries(given).filter(([name]) => !readOnly.includes(name)))
      const members = mergeMembers(before ?? {}, editable)
      const { periodicity = period.default, disabled = false } = members
      if (typeof periodicity !== 'number' || !Number.isInteger(periodicity) || periodicity < period.least)
        throw badRequest(
          `Expected "periodicity" to be a whole number of milliseconds, ${period.least} or more`,
        )
      if (typeof disabled !== 'boolean') throw badRequest('Expected "disabled" to be true or false')
      return { members: { ...members, periodicity, ...(await check(writing, members, id)) } }
    },
    isSeenByToken({ principal }, _, { destination, source }) {
      const path = destination ?? source
      return (
        typeof path === 'string' &&
        principal.token !== undefined &&
        isCovered(principal.token.permissions, path)
      )
    },
  }
}

function isCovered(permissions: readonly PathPermissions[], path: string): boolean {
  return rightsOf(permissions, pathKey(path)).read
}

const mqttTaskType = createTaskType(
  'mqtt',
  async (writing, members, id) => {
    const task = parseMqttTask(members)
    const { direction } = task
    if (direction.kind === 'receive') await writing.requireFlowAt(direction.destination, 'dropWrite')
    else await writing.requireFlowAt(direction.source, 'dropRead')
    await requireNoLoop(writing, id, task)
    return {}
  },
  {
    hidden: ['password'],
    async compute({ db }, { id }) {
      const run = await findTaskRun(db, id)
      if (run === undefined) return {}
      return {
        status: run.status,
        ...(run.last_run_at === null
          ? {}
          : { runCt: run.messages, refusedCt: run.refused, lastRun: run.last_run_at }),
        ...{ lastError: run.last_error, lastErrorDate: run.last_error_at },
      }
    },
    async afterWrite(writing, { id }, members) {
      const { direction } = parseMqttTask(members)
      // A task that is turned off begins with the drops after it is turned on again.
      const isSending = direction.kind === 'send' && members['disabled'] !== true
      const flow = isSending ? await writing.requireFlowAt(direction.source, 'dropRead') : undefined
      await placeTask(writing.db, id, flow)
      if (members['disabled'] === true) await endTaskSession(writing.db, id)
      await noteTaskChange(writing.db)
    },
    beforeRemove: (db, { id }) => removeTaskRun(db, id),
  },
)

/**
 * Two tasks of an account that send what they receive would never end. Longer ways round are noticed when a drop would be sent.
 *
 * @throws ThingsError 400
 */
async function requireNoLoop({ db, principal }: Writing, id: string, task: MqttTask): Promise<void> {
  const others = await listObjects(db, principal.account.id, 'mqtt', 0, maxCompared)
  for (const other of others) {
    if (other.id === id) continue
    const second = readMqttTask(other)
    if (second === undefined) continue
    const pair = task.direction.kind === 'send' ? ([task, second] as const) : ([second, task] as const)
    const [{ direction: sends }, { direction: receives }] = pair
    if (sends.kind !== 'send' || receives.kind !== 'receive') continue
    if (pathKey(sends.source) === pathKey(receives.destination) && isReceivedBy(...pair))
      throw badRequest(`The task ${other.id} and this one would send each other's messages without an end`)
  }
}

const maxCompared = 1000

export const taskTypes: readonly ObjectType[] = [
  createTaskType('api-task', async (writing, members) => {
    await writing.requireFlowAt(members['destination'], 'dropWrite')
    requireText(members, 'js')
    return {}
  }),
  createTaskType('rss', async (writing, members) => {
    await writing.requireFlowAt(members['destination'], 'dropWrite')
    requireUrl(members, 'url', ['http:', 'https:'])
    return {}
  }),
  mqttTaskType,
]

function requireText(members: Json, name: string): void {
  const value = members[name]
  if (typeof value !== 'string' || value === '') throw badRequest(`Expected "${name}" to be a text`)
}

function requireUrl(members: Json, name: string, protocols: readonly string[]): void {
  requireText(members, name)
  const url = URL.parse(members[name] as string)
  if (url === null || !protocols.includes(url.protocol))
    throw badRequest(`Expected "${name}" to be a URL that begins with ${protocols.join(', ')}`)
}
