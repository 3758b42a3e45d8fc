import {
  deleteObject,
  findObject,
  insertObject,
  listObjects,
  listObjectsById,
  type ObjectRow,
  updateObject,
} from '../../store/things/objects.ts'
import type { Access } from '../access.ts'
import { mergeMembers, parseObject } from '../flow-model.ts'
import { checkId, makeId } from '../ids.ts'
import { type Json, present } from '../present.ts'
import { badRequest, forbidden, notFound, type ThingsError } from '../things-error.ts'
import { findResources, type NumberedResource } from './find-resources.ts'
import type { ObjectType } from './object-type.ts'
import type { Resource } from './resource.ts'
import type { Writing } from './writing.ts'

/** How many objects are read at once. */
const pageSize = 500

/** The resource of one kind of objects. Objects are seen and changed within their account. */
export function createObjectResource(type: ObjectType): Resource {
  const { kind, allows } = type
  const unknown = (id: string): ThingsError => notFound(`${kind} "${id}"`)
  const membersOf = (row: ObjectRow) => JSON.parse(row.object_json) as Json

  function isSeen(access: Access, row: ObjectRow): boolean {
    const { principal, now } = access
    if (row.kind !== kind || row.account_id !== principal.account.id) return false
    if (row.expires_at !== null && row.expires_at <= now) return false
    return principal.token === undefined || type.isSeenByToken(access, row, membersOf(row))
  }

  async function encode(access: Access, row: ObjectRow): Promise<Json> {
    const members = membersOf(row)
    const computed = (await type.compute?.(access, row, members)) ?? {}
    const shown = Object.entries(members).filter(([name]) => type.hidden?.includes(name) !== true)
    return present({ ...Object.fromEntries(shown), id: row.id, creationDate: row.created_at, ...computed })
  }

  async function require(access: Access, given: unknown): Promise<ObjectRow> {
    const id = checkId(given, kind)
    const row = await findObject(access.db, id)
    if (row === undefined || row.account_id !== access.principal.account.id) throw unknown(id)
    if (isSeen(access, row)) return row
    throw access.principal.token === undefined
      ? unknown(id)
      : forbidden(`The token does not permit to read the ${kind}`)
  }

  async function* readAll(access: Access): AsyncGenerator<NumberedResource> {
    for (let after = 0; ; ) {
      const rows = await listObjects(access.db, access.principal.account.id, kind, after, pageSize)
      for (const row of rows) if (isSeen(access, row)) yield { seq: row.no, json: await encode(access, row) }
      const last = rows.at(-1)
      if (last === undefined || rows.length < pageSize) return
      after = last.no
    }
  }

  async function requireChangeable(
    writing: Writing,
    id: unknown,
    what: 'change' | 'remove',
  ): Promise<ObjectRow> {
    const row = await require(writing, id)
    writing.requireMaster(`To ${what} a ${kind}`)
    if (!allows[what]) throw badRequest(`A ${kind} cannot be ${what === 'change' ? 'changed' : 'deleted'}`)
    return row
  }

  return {
    read: async (access, id) => encode(access, await require(access, id)),
    async readMany(access, ids) {
      const rows = await listObjectsById(
        access.db,
        ids.map((id) => checkId(id, kind)),
      )
      const seen = new Map<string, Json>()
      for (const row of rows) if (isSeen(access, row)) seen.set(row.id, await encode(access, row))
      return seen
    },
    find: (access, params) => findResources(access, readAll(access), params),
    async create(writing, body) {
      writing.requireMaster(`To create a ${kind}`)
      if (!allows.create) throw forbidden(`A ${kind} is created by the operator of the server`)
      const { db, principal, now } = writing
      const id = makeId(kind, now)
      const given = parseObject(body)
      const { members, subject, expiresAt } = await type.parse(writing, { id, given, before: undefined })
      const row = await insertObject(db, {
        ...{ id, kind, account_id: principal.account.id, created_at: now },
        subject: subject ?? null,
        expires_at: expiresAt ?? null,
        object_json: JSON.stringify(
          mergeMembers({}, { ...members, creatorId: principal.account.identity_id }),
        ),
      })
      await type.afterWrite?.(writing, row, membersOf(row))
      return encode(writing, (await findObject(db, id)) ?? row)
    },
    async change(writing, id, changes) {
      const row = await requireChangeable(writing, id, 'change')
      const { db, principal, now } = writing
      const before = membersOf(row)
      const { members, subject } = await type.parse(writing, {
        id: row.id,
        given: parseObject(changes),
        before,
      })
      const edit = { lastEditDate: now, lastEditorId: principal.account.identity_id }
      const changed = {
        object_json: JSON.stringify(mergeMembers({}, { ...members, ...edit })),
        subject: subject ?? null,
      }
      await updateObject(db, row.no, changed)
      await type.afterWrite?.(writing, { ...row, ...changed }, membersOf({ ...row, ...changed }))
      return encode(writing, { ...row, ...changed })
    },
    async remove(writing, id) {
      const row = await requireChangeable(writing, id, 'remove')
      await type.beforeRemove?.(writing.db, row, membersOf(row))
      await deleteObject(writing.db, row)
    },
  }
}
