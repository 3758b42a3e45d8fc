import { listAccountsByIdentity } from '../../../store/things/accounts.ts'
import { setGroupMembers } from '../../../store/things/objects.ts'
import { mergeMembers } from '../../flow-model.ts'
import { checkId } from '../../ids.ts'
import { badRequest } from '../../things-error.ts'
import type { ObjectType } from '../object-type.ts'

const maxMembers = 1000

/** A list of identities that shares can be issued to. [flowthings] java-client: group */
export const groupType: ObjectType = {
  kind: 'group',
  allows: { create: true, change: true, remove: true },
  async parse({ db }, { given, before }) {
    const members = mergeMembers(before ?? {}, given)
    const { memberIds } = members
    if (!Array.isArray(memberIds) || memberIds.length > maxMembers)
      throw badRequest(`Expected "memberIds" to be a list of at most ${maxMembers} identity ids`)
    const ids = memberIds.map((id) => checkId(id, 'identity'))
    const known = new Set((await listAccountsByIdentity(db, ids)).map(({ identity_id: id }) => id))
    const missing = ids.find((id) => !known.has(id))
    if (missing !== undefined) throw badRequest(`There is no identity "${missing}"`)
    return { members }
  },
  isSeenByToken: () => false,
  async afterWrite({ db }, { id }, { memberIds }) {
    await setGroupMembers(db, id, memberIds as string[])
  },
}
