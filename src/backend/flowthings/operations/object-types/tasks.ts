import { mergeMembers } from '../../flow-model.ts'
import type { ObjectKind } from '../../ids.ts'
import { pathKey } from '../../paths.ts'
import { type PathPermissions, rightsOf } from '../../permissions.ts'
import type { Json } from '../../present.ts'
import { badRequest } from '../../things-error.ts'
import type { ObjectType } from '../object-type.ts'
import type { Writing } from '../writing.ts'

/** [flowthings] periodic task overview */
const period = { default: 3600_000, least: 60_000 }
/** Members that describe runs of a task. Clients cannot set them. */
const readOnly = ['status', 'reportFlowId', 'reportPath', 'runCt', 'lastRun', 'nextRun']

type Check = (writing: Writing, members: Json) => Promise<Json>

/** A kind of tasks that fetch data. Tasks are validated and stored, but do not run. */
function createTaskType(kind: ObjectKind, check: Check): ObjectType {
  return {
    kind,
    allows: { create: true, change: true, remove: true },
    async parse(writing, { given, before }) {
      const editable = Object.fromEntries(Object.entries(given).filter(([name]) => !readOnly.includes(name)))
      const members = mergeMembers(before ?? {}, editable)
      const { periodicity = period.default, disabled = false } = members
      if (typeof periodicity !== 'number' || !Number.isInteger(periodicity) || periodicity < period.least)
        throw badRequest(
          `Expected "periodicity" to be a whole number of milliseconds, ${period.least} or more`,
        )
      if (typeof disabled !== 'boolean') throw badRequest('Expected "disabled" to be true or false')
      return { members: { ...members, periodicity, ...(await check(writing, members)) } }
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
  createTaskType('mqtt', async (writing, members) => {
    const { destination, source, qos } = members
    requireUrl(members, 'uri', ['mqtt:', 'mqtts:', 'tcp:', 'ssl:', 'tls:', 'ws:', 'wss:'])
    requireText(members, 'topic')
    if ((destination === undefined) === (source === undefined))
      throw badRequest(
        'Expected "destination", for what is received, or "source", for what is sent, and not both',
      )
    if (destination !== undefined) await writing.requireFlowAt(destination, 'dropWrite')
    else await writing.requireFlowAt(source, 'dropRead')
    if (qos !== undefined && ![0, 1, 2].includes(qos as number))
      throw badRequest('Expected "qos" to be 0, 1 or 2')
    return {}
  }),
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
