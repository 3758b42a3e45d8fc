import { isRecord } from '../../../../json-values.ts'
import { findFlowByKey } from '../../../store/things/flows.ts'
import { deleteObject, findObject, insertObject, updateObject } from '../../../store/things/objects.ts'
import { hashToken } from '../../../token-hash.ts'
import { mergeMembers } from '../../flow-model.ts'
import { makeId } from '../../ids.ts'
import { checkPath, pathKey } from '../../paths.ts'
import { rightsOf } from '../../permissions.ts'
import { makeTokenText } from '../../principal.ts'
import { badRequest } from '../../things-error.ts'
import { createFlow, requireOwnPath } from '../flows.ts'
import type { ObjectType } from '../object-type.ts'

/** The flows of a device, below its path. [flowthings] device object overview */
const flows = ['default', 'command', 'report'] as const
/** The flows that the device writes to. */
const reports = ['default', 'report'] as const
const defaultPeriodicity = 60_000
const computed = ['tokenId', 'status', 'lastSeen', 'timeSinceLastSeen']

/** A device that sends drops. Creating it also creates its token and its flows. */
export const deviceType: ObjectType = {
  kind: 'device',
  allows: { create: true, change: true, remove: true },
  async parse(writing, { given, before }) {
    const editable = Object.fromEntries(Object.entries(given).filter(([name]) => !computed.includes(name)))
    const members = mergeMembers(before ?? {}, editable)
    const path = checkPath(members['path'])
    await requireOwnPath(writing, path)
    if (before !== undefined && pathKey(path) !== pathKey(before['path'] as string))
      throw badRequest('The path of a device cannot be changed')
    const { reportPeriodicity = defaultPeriodicity, deviceSummary = {}, tracks = {} } = members
    if (
      typeof reportPeriodicity !== 'number' ||
      !Number.isInteger(reportPeriodicity) ||
      reportPeriodicity <= 0
    )
      throw badRequest('Expected "reportPeriodicity" to be a number of milliseconds, more than 0')
    if (!isRecord(deviceSummary)) throw badRequest('Expected "deviceSummary" to be an object')
    return { members: { ...members, reportPeriodicity, deviceSummary, tracks }, subject: pathKey(path) }
  },
  isSeenByToken: ({ principal }, _, { path }) =>
    principal.token !== undefined && rightsOf(principal.token.permissions, pathKey(path as string)).read,
  async compute({ db, now }, row, { path }) {
    const times = await Promise.all(
      reports.map(async (name) => {
        const flow = await findFlowByKey(db, row.account_id, `${pathKey(path as string)}/${name}`)
        return flow?.last_drop_at ?? 0
      }),
    )
    const lastSeen = Math.max(...times)
    return lastSeen === 0
      ? { status: 'UNSEEN', timeSinceLastSeen: -1 }
      : { status: 'SEEN', lastSeen, timeSinceLastSeen: Math.max(now - lastSeen, 0) }
  },
  async afterWrite(writing, row, members) {
    if (members['tokenId'] !== undefined) return
    const { db, principal, now } = writing
    const path = members['path'] as string
    const tokenString = makeTokenText(28)
    const identity = principal.account.identity_id
    const token = await insertObject(db, {
      ...{ id: makeId('token', now), kind: 'token', account_id: row.account_id, created_at: now },
      subject: hashToken(tokenString),
      expires_at: null,
      object_json: JSON.stringify({
        ...{ paths: { [path]: { dropRead: true, dropWrite: true } }, description: `Device ${path}` },
        ...{ tokenString, issuedBy: identity, creatorId: identity },
      }),
    })
    for (const name of flows) {
      const flowPath = `${pathKey(path)}/${name}`
      if ((await findFlowByKey(db, row.account_id, flowPath)) === undefined)
        await createFlow(writing, { path: flowPath })
    }
    await updateObject(db, row.no, { object_json: JSON.stringify({ ...members, tokenId: token.id }) })
  },
  async beforeRemove(db, _, { tokenId }) {
    const token = await findObject(db, String(tokenId))
    if (token !== undefined) await deleteObject(db, token)
  },
}
