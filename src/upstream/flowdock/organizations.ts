import { decodeOrganization, decodeOrganizationUser } from './decode.ts'
import { decodeList } from './lists.ts'
import type { Organization, OrganizationUser } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Organizations {
  /** The organizations of the user. */
  list(): Promise<Organization[]>
  find(by: { id: number } | { slug: string }): Promise<Organization | null>
  /** The users of an organization, with whether they are administrators. */
  users(slug: string): Promise<OrganizationUser[]>
  rename(slug: string, name: string): Promise<Organization>
  removeUser(slug: string, userId: number): Promise<void>
}

/** [flowdock] organizations.md */
export function createOrganizations(calls: FlowdockCalls): Organizations {
  return {
    async list() {
      const json = await calls.get(['organizations'], { doing: 'list organizations' })
      return decodeList(json, decodeOrganization, calls.onUnreadable)
    },
    async find(by) {
      const json =
        'id' in by
          ? await calls.find(['organizations', 'find'], { query: by, doing: `read organization ${by.id}` })
          : await calls.find(['organizations', by.slug], { doing: `read organization "${by.slug}"` })
      return json === null ? null : decodeOrganization(json)
    },
    async users(slug) {
      const json = await calls.get(['organizations', slug, 'users'], { doing: `list the users of "${slug}"` })
      return decodeList(json, decodeOrganizationUser, calls.onUnreadable)
    },
    async rename(slug, name) {
      const json = await calls.put(['organizations', slug], { body: { name }, doing: `rename "${slug}"` })
      return decodeOrganization(json)
    },
    async removeUser(slug, userId) {
      const doing = `remove user ${userId} from "${slug}"`
      await calls.delete(['organizations', slug, 'users', String(userId)], { doing })
    },
  }
}
