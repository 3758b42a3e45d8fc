import { listGroupIds, listSharesWith } from '../../../store/things/objects.ts'
import { mergeMembers } from '../../flow-model.ts'
import { badRequest } from '../../things-error.ts'
import type { ObjectType } from '../object-type.ts'

/** Members that clients cannot set. */
const fixed = ['name', 'groupIds', 'shares', 'masterToken']

/** The identity of an account. Its `name` is that of the account. [flowthings] java-client: identity */
export const identityType: ObjectType = {
  kind: 'identity',
  allows: { create: false, change: true, remove: false },
  async parse(_, { given, before = {} }) {
    const { name } = given
    if (name !== undefined && name !== before['name'])
      throw badRequest('The name of an identity cannot be changed')
    const editable = Object.fromEntries(Object.entries(given).filter(([key]) => !fixed.includes(key)))
    return { members: mergeMembers(before, editable) }
  },
  isSeenByToken: () => true,
  async compute({ db, principal, now }, { id }) {
    // Tokens of applications do not see the shares of other accounts.
    if (principal.token !== undefined) return {}
    const shares = await listSharesWith(db, id, now)
    const paths = shares.map((share) => [
      share.id,
      { paths: (JSON.parse(share.object_json) as { paths: object }).paths },
    ])
    return { groupIds: await listGroupIds(db, id), shares: Object.fromEntries(paths) }
  },
}
