import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type BoundedText, lengthProblem, maxImportedId } from '../bounds.ts'
import { createEventLog } from '../event-log.ts'
import type { FileLocation } from '../files.ts'
import { hashPassword, makeToken } from '../flowdock/auth.ts'
import { isNickTaken, nickProblem } from '../flowdock/nicks.ts'
import { isRedirectUri, registerApplication } from '../flowdock/operations/applications.ts'
import { addToken, deleteToken, unregisterApplication } from '../flowdock/operations/credentials.ts'
import { createFlow, rotatePushToken, setArchived } from '../flowdock/operations/flows.ts'
import { emailPattern, invite, withdrawInvitation } from '../flowdock/operations/invitations.ts'
import { joinFlow } from '../flowdock/operations/members.ts'
import { closeOrganization, insertOrganization } from '../flowdock/operations/organizations.ts'
import { addSource, deleteSource } from '../flowdock/operations/sources.ts'
import { addUser, avatarProblem, editUser, removeUser, setAvatar } from '../flowdock/operations/users.ts'
import { isSlugFree, toSlug } from '../flowdock/slug.ts'
import { privateFolderMode } from '../private-files.ts'
import { findApplication, listApplications } from '../store/applications.ts'
import { type Database, openStore } from '../store/db.ts'
import { type Flow, findFlow, findFlowAccess, isJoined, listAllFlows } from '../store/flows.ts'
import { findInvitation, listPendingInvitations } from '../store/invitations.ts'
import {
  findOrganization,
  findOrganizationMember,
  listAllOrganizations,
  listOrganizations,
  listOrganizationUsers,
  type OrganizationRow,
} from '../store/organizations.ts'
import { findSources, listSources } from '../store/sources.ts'
import {
  findUser,
  findUserByEmail,
  isTokenTaken,
  listOrganizationIds,
  listTokens,
  listUsers,
  type UserRow,
} from '../store/users.ts'
import { hashToken } from '../token-hash.ts'
import { AdministrationError, type Entry } from './administration-error.ts'
import { readStoredToken, removeStoredToken } from './demo-token.ts'
import { type AccountAdministration, createAccountAdministration } from './things-accounts.ts'

export { AdministrationError, type Entry }

/** The location of the data of a backend. */
export interface DataLocation {
  readonly dataDir: string
  /** The database if it is not a file in `dataDir`: a `postgres://` URL. */
  readonly databaseUrl: string | undefined
  /** Where files are kept if not in `dataDir`. */
  readonly s3?: FileLocation['s3']
}

/** Changes users, flows and their objects, also while the server runs. */
export interface Administration extends AccountAdministration {
  addOrganization(name: string, slug: string | undefined): Promise<Entry>
  listOrganizations(): Promise<Entry[]>
  /** Its users leave and its flows are archived. Messages stay, and no user can read them. */
  removeOrganization(slug: string): Promise<Entry>
  addUser(user: {
    nick: string
    name: string
    email: string
    password: string | undefined
    id: number | undefined
    organization: string
    admin: boolean
  }): Promise<Entry>
  listUsers(): Promise<Entry[]>
  /** Sets the picture of a user. With undefined, the generated picture is used again. */
  setAvatar(email: string, bytes: Uint8Array | undefined): Promise<Entry>
  /** Changes the given properties. Only the operator can change an e-mail address, since it identifies a user. */
  editUser(email: string, changes: { email?: string; nick?: string; name?: string }): Promise<Entry>
  /** Disables a user, who leaves every flow. The user and their messages stay. */
  removeUser(email: string): Promise<Entry>
  /**
   * Resolves with the token, which cannot be read again.
   *
   * @param token a token of the service that stays in use; a new one by default
   */
  addToken(email: string, token?: string): Promise<Entry>
  listTokens(email: string): Promise<Entry[]>
  /** @param id as `listTokens` returns it */
  removeToken(email: string, id: string): Promise<Entry>
  addFlow(organization: string, name: string, slug: string | undefined): Promise<Entry>
  listFlows(): Promise<Entry[]>
  /** Archives a flow: its messages stay, it is hidden and takes no messages. */
  removeFlow(path: string): Promise<Entry>
  addFlowUser(path: string, email: string): Promise<Entry>
  /** Replaces the push token of a flow. Resolves with the new one. */
  rotatePushToken(path: string, token?: string): Promise<Entry>
  /** Resolves with the flow token, which cannot be read again. */
  addSource(path: string, name: string, token?: string): Promise<Entry>
  /** The sources of a flow. A source stays valid after its creator has left; such sources are marked. */
  listSources(path: string): Promise<Entry[]>
  removeSource(id: number): Promise<Entry>
  /** Invites an e-mail address. A user of the organization becomes a member of the flow at once. */
  addInvitation(path: string, email: string): Promise<Entry>
  listInvitations(path: string): Promise<Entry[]>
  removeInvitation(id: number): Promise<Entry>
  /** Resolves with the application's secret. */
  addApplication(name: string, redirectUri: string, owner: string): Promise<Entry>
  listApplications(): Promise<Entry[]>
  /** Its tokens are revoked; its sources stay. */
  removeApplication(id: number): Promise<Entry>
  close(): Promise<void>
}

/** Opens the data of a backend, which may be running. @throws the system's error when the folder cannot be used */
export async function openAdministration({ dataDir, databaseUrl }: DataLocation): Promise<Administration> {
  await mkdir(dataDir, { recursive: true, mode: privateFolderMode })
  const store = await openStore(databaseUrl ?? join(dataDir, 'flowdock.db'))
  const log = await createEventLog(store)
  const { reader } = store

  return {
    ...createAccountAdministration(store, dataDir),
    async addOrganization(name, slug = toSlug(name)) {
      checkLength('name', name)
      checkSlug(slug)
      await log.write(async ({ db }) => {
        if ((await findOrganization(db, { slug })) !== undefined)
          throw new AdministrationError(`There is an organization "${slug}" already`)
        await insertOrganization(db, { slug, name })
      })
      return { slug, name }
    },
    listOrganizations: async () =>
      (await listAllOrganizations(reader)).map(({ id, slug, name, user_count }) => ({
        id,
        slug,
        name,
        users: user_count,
      })),

    async removeOrganization(slug) {
      await log.write(async (change) => {
        const { id } = await requireOrganization(change.db, slug)
        await closeOrganization(change, id)
      })
      return { slug, removed: true }
    },

    async addUser({ nick: given, name, email, password, id, organization, admin }) {
      const nick = checkNick(given)
      checkEmail(email)
      checkLength('name', name)
      // New ids follow the greatest one, and paths allow 15 digits.
      if (id !== undefined && id > maxImportedId)
        throw new AdministrationError(`--id is at most ${maxImportedId}, got ${id}`)
      const passwordHash = password === undefined ? undefined : await hashPassword(password)
      const user = await log.write(async (change) => {
        const { db } = change
        const { id: organizationId } = await requireOrganization(db, organization)
        await requireFreeEmail(db, email)
        if (id !== undefined && (await findUser(db, id)) !== undefined)
          throw new AdministrationError(`There is a user with the id ${id} already`)
        if (await isNickTaken(db, [organizationId], nick, undefined))
          throw new AdministrationError(`There is a user with the nick ${nick} already`)
        return addUser(change, organizationId, { nick, name, email, id, passwordHash, admin })
      })
      return { id: user.id, nick, name, email, organization, admin }
    },
    listUsers: async () =>
      (await listUsers(reader)).map(({ id, nick, name, email, disabled, organizations }) => ({
        id,
        nick,
        name,
        email,
        organizations: organizations.join(' '),
        disabled: disabled === 1,
      })),
    async setAvatar(email, bytes) {
      const problem = bytes && avatarProblem(bytes)
      if (problem !== undefined) throw new AdministrationError(`The picture ${problem}`)
      return log.write(async (change) => {
        const user = await requireUser(change.db, email)
        return { id: user.id, email, avatar: await setAvatar(change, user, bytes) }
      })
    },
    async editUser(address, changes) {
      if (changes.email !== undefined) checkEmail(changes.email)
      const given = changes.nick === undefined ? undefined : checkNick(changes.nick)
      if (changes.name !== undefined) checkLength('name', changes.name)
      return log.write(async (change) => {
        const user = await requireUser(change.db, address)
        if (changes.email !== undefined) await requireFreeEmail(change.db, changes.email, user.id)
        if (given !== undefined && given !== user.nick) await requireFreeNick(change.db, user.id, given)
        const wanted = { ...changes, ...(given === undefined ? {} : { nick: given }) }
        const { id, nick, name, email } = await editUser(change, user, wanted)
        return { id, nick, name, email }
      })
    },
    async removeUser(email) {
      const user = await log.write(async (change) => {
        const found = await requireUser(change.db, email)
        await removeUser(change, found)
        return found
      })
      return { id: user.id, email: user.email, disabled: true }
    },

    async addToken(email, given) {
      const token = given ?? makeToken()
      const user = await log.write(async (change) => {
        const found = await requireUser(change.db, email)
        await requireUsable(change.db, given)
        await addToken(change, found.id, token)
        return found
      })
      // The e-mail address alone does not show whose account it is.
      return {
        user: email,
        id: user.id,
        name: user.name,
        organizations: await organizationsOf(reader, user.id),
        token,
      }
    },
    async listTokens(email) {
      const { id } = await requireUser(reader, email)
      return (await listTokens(reader, id)).map(({ hash, created_at }) => ({
        id: tokenId(hash),
        user: email,
        created: new Date(created_at).toISOString(),
      }))
    },
    async removeToken(email, id) {
      await log.write(async (change) => {
        const user = await requireUser(change.db, email)
        const token = (await listTokens(change.db, user.id)).find(({ hash }) => tokenId(hash) === id)
        if (token === undefined) throw new AdministrationError(`${email} has no token ${id}`)
        await deleteToken(change, user.id, token.hash)
      })
      const demo = await readStoredToken(dataDir)
      if (demo !== undefined && tokenId(hashToken(demo)) === id) await removeStoredToken(dataDir, demo)
      return { id, user: email, removed: true }
    },

    async addFlow(organization, name, slug) {
      if (slug !== undefined) checkSlug(slug)
      checkLength('name', name)
      const path = await log.write(async (change) => {
        const { db } = change
        const owner = await requireOrganization(db, organization)
        if (slug !== undefined && !(await isSlugFree(db, owner.id, slug)))
          throw new AdministrationError(
            `The slug "${slug}" is taken: by another flow, or by a URL of the API`,
          )
        // Without a member, no one could invite others.
        const members = (await listOrganizationUsers(db, owner.id)).filter(({ admin }) => admin === 1)
        const wanted = { name, accessMode: 'organization', ...(slug === undefined ? {} : { slug }) } as const
        return `${organization}/${(await createFlow(change, owner.id, wanted, members)).slug}`
      })
      return { path, name }
    },
    listFlows: async () =>
      (await listAllFlows(reader)).map((flow) => ({
        path: `${flow.organization_slug}/${flow.slug}`,
        name: flow.name,
        id: flow.id,
        access: flow.access_mode,
        archived: flow.disabled === 1,
      })),
    async removeFlow(path) {
      await log.write(async (change) => {
        await setArchived(change, await requireFlow(change.db, path), true)
      })
      return { path, archived: true }
    },
    async addFlowUser(path, email) {
      await log.write(async (change) => {
        const { db } = change
        const flow = await requireFlow(db, path)
        const user = await requireUser(db, email)
        if ((await findOrganizationMember(db, flow.organization_id, user.id)) === undefined)
          throw new AdministrationError(`${email} is not in the organization "${flow.organization_slug}"`)
        if (flow.disabled === 1) throw new AdministrationError(`The flow "${path}" is archived`)
        if (await isMember(db, user.id, flow.id)) return
        await joinFlow(change, flow, user, (await findAdministrator(db, flow)) ?? user)
      })
      return { path, user: email }
    },

    async rotatePushToken(path, given) {
      const apiToken = await log.write(async ({ db }) => {
        const { id } = await requireFlow(db, path)
        await requireUsable(db, given)
        return rotatePushToken(db, id, given)
      })
      return { path, apiToken }
    },

    async addSource(path, name, given) {
      checkLength('name', name)
      const token = given ?? makeToken()
      const { id } = await log.write(async (change) => {
        const flow = await requireFlow(change.db, path)
        await requireUsable(change.db, given)
        const creator = await requireAdministrator(change.db, flow)
        return addSource(change, flow, creator, { name, tokenHash: hashToken(token) })
      })
      return { id, path, name, flowToken: token }
    },
    async listSources(path) {
      const flow = await requireFlow(reader, path)
      const sources = await listSources(reader, [flow.id])
      return Promise.all(
        sources.map(async ({ id, name, created_at, creator }) => ({
          id,
          path,
          name,
          created: new Date(created_at).toISOString(),
          creator: creator.email,
          creatorLeft: creator.disabled === 1 || !(await isMember(reader, creator.id, flow.id)),
        })),
      )
    },
    async removeSource(id) {
      await log.write(async (change) => {
        const [source] = await findSources(change.db, [id])
        if (source === undefined || source.deleted_at !== null)
          throw new AdministrationError(`There is no source ${id}`)
        await deleteSource(change, id)
      })
      return { id, removed: true }
    },
    async addInvitation(path, email) {
      checkEmail(email)
      if (!emailPattern.test(email)) throw new AdministrationError(`"${email}" is no e-mail address`)
      const { invitation } = await log.write(async (change) => {
        const flow = await requireFlow(change.db, path)
        return invite(change, flow, email, await requireAdministrator(change.db, flow))
      })
      return { id: invitation.id, path, email, state: invitation.state }
    },
    async listInvitations(path) {
      const flow = await requireFlow(reader, path)
      return (await listPendingInvitations(reader, flow.id)).map(({ id, email, created_at }) => ({
        id,
        path,
        email,
        created: new Date(created_at).toISOString(),
      }))
    },
    async removeInvitation(id) {
      await log.write(async (change) => {
        const invitation = await findInvitation(change.db, id)
        const flow = invitation && (await findFlow(change.db, { id: invitation.flow_id }))
        if (invitation?.state !== 'pending' || flow === undefined)
          throw new AdministrationError(`There is no pending invitation ${id}`)
        await withdrawInvitation(change, flow, invitation, await requireAdministrator(change.db, flow))
      })
      return { id, removed: true }
    },

    async addApplication(name, redirectUri, owner) {
      if (!isRedirectUri(redirectUri))
        throw new AdministrationError(`"${redirectUri}" is no address an authorization can be sent to`)
      checkLength('name', name)
      checkLength('url', redirectUri, '--redirect-uri')
      const added = await log.write(async (change) => {
        const { id } = await requireUser(change.db, owner)
        return registerApplication(change, { name, redirectUri, ownerId: id })
      })
      return {
        id: added.id,
        name,
        redirectUri,
        clientId: added.client_id,
        clientSecret: added.client_secret,
      }
    },
    listApplications: async () =>
      (await listApplications(reader)).map(({ id, name, redirect_uri, client_id }) => ({
        id,
        name,
        redirectUri: redirect_uri,
        clientId: client_id,
      })),
    async removeApplication(id) {
      await log.write(async (change) => {
        if ((await findApplication(change.db, { id }))?.client_id == null)
          throw new AdministrationError(`There is no application ${id}`)
        await unregisterApplication(change, id)
      })
      return { id, removed: true }
    },
    close: () => store.close(),
  }
}

/** The beginning of a hash, which distinguishes the tokens of a user. */
function tokenId(hash: string): string {
  // Digits and letters only: a secret that begins with a dash would look like an option.
  return Buffer.from(hash, 'base64url').toString('hex').slice(0, 12)
}

function checkSlug(slug: string): void {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(slug))
    throw new AdministrationError(
      `"${slug}" is no slug: expected lower-case letters, digits and dashes between them`,
    )
  checkLength('name', slug, '--slug')
}

function checkLength(field: BoundedText, text: string, shownAs = `--${field}`): void {
  const problem = lengthProblem(field, text)
  if (problem !== undefined) throw new AdministrationError(`${shownAs} ${problem}`)
}

/** The nick in composed form (NFC). @throws AdministrationError */
function checkNick(given: string): string {
  const nick = given.normalize()
  const problem = nickProblem(nick)
  if (problem !== undefined) throw new AdministrationError(`The nick "${nick}" ${problem}`)
  return nick
}

/** @throws AdministrationError when another user in an organization of the user has the nick */
async function requireFreeNick(db: Database, userId: number, nick: string): Promise<void> {
  if (await isNickTaken(db, await listOrganizationIds(db, userId), nick, userId))
    throw new AdministrationError(`There is a user with the nick ${nick} already`)
}

function checkEmail(email: string): void {
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw new AdministrationError(`"${email}" is no e-mail address`)
  checkLength('email', email)
}

/** @throws AdministrationError with the user who has the e-mail address, so that the operator does not confuse two users */
async function requireFreeEmail(db: Database, email: string, except?: number): Promise<void> {
  const user = await findUserByEmail(db, email)
  if (user === undefined || user.id === except) return
  const organizations = await organizationsOf(db, user.id)
  throw new AdministrationError(
    `There is a user with the address ${email} already: ${user.name} (${user.nick}, id ${user.id}), ` +
      `${organizations === '' ? 'in no organization' : `in ${organizations}`}`,
  )
}

async function organizationsOf(db: Database, userId: number): Promise<string> {
  return (await listOrganizations(db, userId)).map(({ slug }) => slug).join(' ')
}

/** Checks a token of the service that stays in use. @throws AdministrationError if it is too short, or used on this server */
async function requireUsable(db: Database, token: string | undefined): Promise<void> {
  if (token === undefined) return
  if (!/^[\w-]{20,128}$/.test(token))
    throw new AdministrationError('A token has 20 to 128 letters, digits, dashes and underscores')
  if (await isTokenTaken(db, token, hashToken(token)))
    throw new AdministrationError(
      'This token is in use already; each token stands for one user, flow or source',
    )
}

async function requireOrganization(db: Database, slug: string): Promise<OrganizationRow> {
  const organization = await findOrganization(db, { slug })
  if (organization === undefined) throw new AdministrationError(`There is no organization "${slug}"`)
  return organization
}

async function requireUser(db: Database, email: string): Promise<UserRow> {
  const user = await findUserByEmail(db, email)
  if (user === undefined) throw new AdministrationError(`There is no user with the address ${email}`)
  return user
}

async function isMember(db: Database, userId: number, flowId: string): Promise<boolean> {
  const access = await findFlowAccess(db, userId, flowId)
  return access !== undefined && isJoined(access)
}

/** The administrator in whose name a command changes a flow. */
async function findAdministrator(db: Database, flow: Flow): Promise<UserRow | undefined> {
  const users = await listOrganizationUsers(db, flow.organization_id)
  return users.find(({ admin }) => admin === 1)
}

/** As `administratorOf`. @throws AdministrationError when there is none */
async function requireAdministrator(db: Database, flow: Flow): Promise<UserRow> {
  const administrator = await findAdministrator(db, flow)
  if (administrator === undefined)
    throw new AdministrationError(
      `Nobody administers "${flow.organization_slug}"; add an administrator first`,
    )
  return administrator
}

async function requireFlow(db: Database, path: string): Promise<Flow> {
  const [organization = '', slug = ''] = path.split('/')
  const flow = await findFlow(db, { organization, slug })
  if (flow === undefined)
    throw new AdministrationError(`There is no flow "${path}"; expected ORGANIZATION/FLOW`)
  return flow
}
