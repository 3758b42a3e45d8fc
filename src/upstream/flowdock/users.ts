import { decodeList, decodeUser } from './decode.ts'
import type { User } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Users {
  /** Whose credential this is. */
  viewer(): Promise<User>
  /** Everybody the caller may see. */
  list(): Promise<User[]>
  /** Null for nobody, or somebody the caller shares no organization with. */
  find(id: number): Promise<User | null>
  /** Changes the caller's own account. */
  update(id: number, changes: { nick?: string | undefined; email?: string | undefined }): Promise<void>
}

/** [flowdock] users.md */
export function createUsers(calls: FlowdockCalls): Users {
  return {
    viewer: async () => decodeUser(await calls.get(['user'], { doing: 'read the signed-in user' })),
    list: async () => decodeList(await calls.get(['users'], { doing: 'list users' }), decodeUser),
    async find(id) {
      const json = await calls.find(['users', String(id)], { doing: `read user ${id}` })
      return json === null ? null : decodeUser(json)
    },
    async update(id, changes) {
      await calls.put(['users', String(id)], { body: changes, doing: 'change your profile' })
    },
  }
}
