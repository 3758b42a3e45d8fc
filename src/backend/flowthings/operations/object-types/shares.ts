import { listAccountsByIdentity } from '../../../store/things/accounts.ts'
import { findObject } from '../../../store/things/objects.ts'
import { isId } from '../../ids.ts'
import { parsePermissions } from '../../permissions.ts'
import { badRequest } from '../../things-error.ts'
import type { ObjectType } from '../object-type.ts'
import type { Writing } from '../writing.ts'
import { checkPermissionPath, parseDuration } from './tokens.ts'

/** Permissions of an identity, or of the members of a group, at paths of an account. [flowthings] share object overview */
export const shareType: ObjectType = {
  kind: 'share',
  allows: { create: true, change: false, remove: true },
  async parse(writing, { given }) {
    const { principal, now } = writing
    const paths = parsePermissions(given['paths'], checkPermissionPath)
    const issuedTo = await checkHolder(writing, given['issuedTo'])
    const duration = parseDuration(given)
    return {
      members: { ...duration.members, paths, issuedTo, issuedBy: principal.account.identity_id },
      subject: issuedTo,
      ...(duration.ms === undefined ? {} : { expiresAt: now + duration.ms }),
    }
  },
  isSeenByToken: () => false,
  compute: async ({ now }, { expires_at: expiresAt }) =>
    expiresAt === null ? {} : { expiresInMs: expiresAt - now },
}

/** @throws ThingsError 400 when it is not an identity, or a group of the account */
async function checkHolder({ db, principal }: Writing, id: unknown): Promise<string> {
  if (isId(id, 'identity') && (await listAccountsByIdentity(db, [id])).length > 0) return id
  if (isId(id, 'group')) {
    const group = await findObject(db, id)
    if (group?.kind === 'group' && group.account_id === principal.account.id) return id
  }
  throw badRequest('Expected "issuedTo" to be the id of an identity or of a group of this account')
}
