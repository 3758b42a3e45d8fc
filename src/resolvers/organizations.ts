import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Organization, OrganizationUser } from '../upstream/flowdock/model.ts'
import { encodeGlobalId, expectId } from './global-id.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'

interface OrganizationBy {
  id?: string | null | undefined
  databaseId?: number | null | undefined
  slug?: string | null | undefined
}

export function id(organization: Organization): string {
  return encodeGlobalId('Organization', String(organization.id))
}

export async function organizations(_: unknown, __: unknown, { flowdock }: Context): Promise<Organization[]> {
  return flowdock.organizations.list()
}

export async function organization(
  _: unknown,
  { by }: { by: OrganizationBy },
  { flowdock }: Context,
): Promise<Organization | null> {
  if (by.slug != null) return flowdock.organizations.find({ slug: by.slug })
  const databaseId = by.databaseId ?? Number(expectId('Organization', by.id ?? '', ['by', 'id']))
  if (!Number.isSafeInteger(databaseId))
    throw new ValidationError('Expected by.id to be the id of an Organization')
  return flowdock.load.organization(databaseId)
}

export async function users(
  { slug }: Organization,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<OrganizationUser>> {
  return listConnection('user', await flowdock.organizations.users(slug), ({ user }) => user.id, args)
}
