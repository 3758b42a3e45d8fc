import type { Context } from '../context.ts'
import { NotFoundError, ValidationError } from '../errors.ts'
import type { Organization, OrganizationUser, Subscription } from '../upstream/flowdock/model.ts'
import { encodeGlobalId, expectId } from './global-id.ts'
import { checkFilled, resolveOrganization, resolveUser } from './inputs.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'

interface OrganizationBy {
  id?: string | null | undefined
  databaseId?: number | null | undefined
  slug?: string | null | undefined
}

export function id(organization: Organization): string {
  return encodeGlobalId('Organization', String(organization.id))
}

export async function organizations(
  _: unknown,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<Organization>> {
  return listConnection('organization', await flowdock.load.organizations(), ({ id }) => id, args)
}

/** Organizations inside flows have no subscription, so it is read from the list of organizations. */
export async function subscription(
  organization: Organization,
  _: unknown,
  { flowdock }: Context,
): Promise<Subscription | null> {
  if (organization.subscription !== null) return organization.subscription
  return (await flowdock.load.detailedOrganization(organization.id))?.subscription ?? null
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
  return listConnection('user', await flowdock.load.organizationUsers(slug), ({ user }) => user.id, args)
}

export async function viewerIsAdmin(
  { slug }: Organization,
  _: unknown,
  { flowdock, viewer }: Context,
): Promise<boolean> {
  const users = await flowdock.load.organizationUsers(slug)
  return viewer.isOneOf(users.flatMap(({ user, isAdmin }) => (isAdmin ? user.id : [])))
}

export async function updateOrganization(
  _: unknown,
  { input }: { input: { organizationId: string; name: string } },
  context: Context,
): Promise<{ organization: Organization }> {
  const name = checkFilled(input.name, 'name')
  const slug = await resolveOrganization(input.organizationId, context, ['input', 'organizationId'])
  return { organization: await context.flowdock.organizations.rename(slug, name) }
}

export async function removeOrganizationMember(
  _: unknown,
  { input }: { input: { organizationId: string; userId: string } },
  context: Context,
): Promise<{ userId: string }> {
  const userId = resolveUser(input.userId, ['input', 'userId'])
  const slug = await resolveOrganization(input.organizationId, context, ['input', 'organizationId'])
  try {
    await context.flowdock.organizations.removeUser(slug, userId)
  } catch (error) {
    // `null` is impossible: the organization was looked up before.
    if (error instanceof NotFoundError)
      throw new NotFoundError(error.message, { inputPath: ['input', 'userId'], cause: error })
    throw error
  }
  return { userId: input.userId }
}
