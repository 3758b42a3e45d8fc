import type { WireOrganizationDetails } from '../../../wire/flowdock.ts'
import { boundedText } from '../../bounds.ts'
import { accessDenied, invalid, notFound } from '../../http/errors.ts'
import type { Database } from '../../store/db.ts'
import {
  findOrganization,
  findOrganizationMember,
  listOrganizations,
  listOrganizationUsers,
  listUsersOfOrganizations,
  type OrganizationRow,
} from '../../store/organizations.ts'
import { encodeOrganizationDetails, encodeOrganizationUser } from '../encode.ts'
import { leaveOrganization } from '../operations/members.ts'
import { renameOrganization } from '../operations/organizations.ts'
import type { Route } from '../route.ts'
import { idSegment, segment } from './access.ts'

/** [flowdock] organizations.md */
export const organizationRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/organizations',
    auth: 'user',
    async handle({ user, base }, { store }) {
      const organizations = await listOrganizations(store.reader, user.id)
      return { status: 200, body: await encodeDetails(store.reader, organizations, base) }
    },
  },
  {
    method: 'GET',
    pattern: '/organizations/find',
    auth: 'user',
    async handle(request, backend) {
      const id = request.params.integer('id')
      if (id === undefined) throw invalid({ id: ["can't be blank"] })
      const { organization } = await memberOrganization(backend.store.reader, request.user.id, { id })
      const [body] = await encodeDetails(backend.store.reader, [organization], request.base)
      return { status: 200, body }
    },
  },
  {
    method: 'GET',
    pattern: '/organizations/:organization',
    auth: 'user',
    async handle(request, backend) {
      const slug = segment(request, 'organization')
      const { organization } = await memberOrganization(backend.store.reader, request.user.id, { slug })
      const [body] = await encodeDetails(backend.store.reader, [organization], request.base)
      return { status: 200, body }
    },
  },
  {
    method: 'PUT',
    pattern: '/organizations/:organization',
    auth: 'user',
    async handle(request, backend) {
      const slug = segment(request, 'organization')
      const name = boundedText(request.params, 'name', 'name')?.trim()
      const organization = await backend.log.write(async (change) => {
        const found = await administeredOrganization(change.db, request.user.id, slug)
        if (name === undefined || name === '') throw invalid({ name: ["can't be blank"] })
        await renameOrganization(change, found.id, name)
        return { ...found, name }
      })
      const [body] = await encodeDetails(backend.store.reader, [organization], request.base)
      return { status: 200, body }
    },
  },
  {
    method: 'GET',
    pattern: '/organizations/:organization/users',
    auth: 'user',
    async handle(request, backend) {
      const slug = segment(request, 'organization')
      const { organization } = await memberOrganization(backend.store.reader, request.user.id, { slug })
      const users = await listOrganizationUsers(backend.store.reader, organization.id)
      return { status: 200, body: users.map((user) => encodeOrganizationUser(user, request.base)) }
    },
  },
  {
    method: 'DELETE',
    pattern: '/organizations/:organization/users/:user',
    auth: 'user',
    async handle(request, backend) {
      const slug = segment(request, 'organization')
      const userId = idSegment(request, 'user')
      await backend.log.write(async (change) => {
        const organization = await administeredOrganization(change.db, request.user.id, slug)
        if ((await findOrganizationMember(change.db, organization.id, userId)) === undefined) throw notFound()
        await leaveOrganization(change, organization.id, userId, request.user.id)
      })
      return { status: 204 }
    },
  },
  {
    // Undocumented; clients read `email` and `accessed_at`, null for never.
    method: 'GET',
    pattern: '/organizations/:organization/audits/users',
    auth: 'user',
    scopes: ['manage'],
    async handle(request, backend) {
      const slug = segment(request, 'organization')
      const organization = await administeredOrganization(backend.store.reader, request.user.id, slug)
      const users = await listOrganizationUsers(backend.store.reader, organization.id)
      const body = users.map(({ id, email, nick, last_access_at: at }) => ({
        id,
        nick,
        email,
        accessed_at: at === null ? null : new Date(at).toISOString(),
      }))
      return { status: 200, body }
    },
  },
]

/** Organizations with their users, which are read in one query. */
async function encodeDetails(
  db: Database,
  organizations: readonly OrganizationRow[],
  base: string,
): Promise<WireOrganizationDetails[]> {
  const users = await listUsersOfOrganizations(
    db,
    organizations.map(({ id }) => id),
  )
  return organizations.map((row) => encodeOrganizationDetails(row, users.get(row.id) ?? [], base))
}

/** @throws 404 when there is none or the user is not in it */
async function memberOrganization(
  db: Database,
  userId: number,
  by: { id: number } | { slug: string },
): Promise<{ organization: OrganizationRow; admin: boolean }> {
  const organization = await findOrganization(db, by)
  if (organization === undefined) throw notFound()
  const member = await findOrganizationMember(db, organization.id, userId)
  if (member === undefined) throw notFound()
  return { organization, admin: member.admin }
}

/** @throws the same, and 403 when the user does not administer it */
async function administeredOrganization(
  db: Database,
  userId: number,
  slug: string,
): Promise<OrganizationRow> {
  const { organization, admin } = await memberOrganization(db, userId, { slug })
  if (!admin) throw accessDenied()
  return organization
}
