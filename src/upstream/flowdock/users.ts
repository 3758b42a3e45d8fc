import type { Decode } from '../equal-bodies.ts'
import { decodeExpiry, decodePresence, decodeUser } from './decode.ts'
import { decodeList } from './lists.ts'
import type { Attachment } from './messages.ts'
import type { PresenceState, User } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Users {
  /** The user of the credential. */
  viewer(): Promise<User>
  /** All users that the viewer may see, by id. */
  list(): Promise<ReadonlyMap<number, User>>
  /** Null for an unknown user, or one of no common organization. */
  find(id: number): Promise<User | null>
  /** The presence of the members of the viewer's flows, by user id. Only some upstreams support this. */
  presences(): Promise<ReadonlyMap<number, PresenceState>>
  /** Sets the presence of the viewer. Resolves with the milliseconds until it expires. */
  setPresence(state: PresenceState): Promise<number>
  /** Changes the viewer's own account. */
  update(id: number, changes: { nick?: string | undefined; email?: string | undefined }): Promise<void>
  /** Sets the picture of the viewer. With null, the generated picture is used again. */
  setAvatar(picture: Attachment | null): Promise<void>
}

const decodeUsers: Decode<ReadonlyMap<number, User>> = (json, onUnreadable, decodePart) =>
  new Map(decodeList(json, decodeUser, onUnreadable, decodePart).map((user) => [user.id, user]))

/** [flowdock] users.md */
export function createUsers(calls: FlowdockCalls): Users {
  return {
    viewer: async () => decodeUser(await calls.get(['user'], { doing: 'read the signed-in user' })),
    async list() {
      const json = await calls.get(['users'], { doing: 'list users' })
      return calls.decode(json, decodeUsers)
    },
    async find(id) {
      const json = await calls.find(['users', String(id)], { doing: `read user ${id}` })
      return json === null ? null : decodeUser(json)
    },
    async presences() {
      const json = await calls.get(['users', 'presence'], { doing: 'read who is present' })
      return new Map(decodeList(json, decodePresence, calls.onUnreadable))
    },
    async setPresence(state) {
      const doing = 'say whether you are there'
      const json = await calls.put(['user', 'presence'], { body: { state }, doing })
      return decodeExpiry(json) * 1000
    },
    async update(id, changes) {
      await calls.put(['users', String(id)], { body: changes, doing: 'change your profile' })
    },
    async setAvatar(picture) {
      const doing = 'set your picture'
      if (picture === null) await calls.delete(['user', 'avatar'], { doing })
      else await calls.upload(['user', 'avatar'], [{ field: 'avatar', ...picture }], { doing })
    },
  }
}
