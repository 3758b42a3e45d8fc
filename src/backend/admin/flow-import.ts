import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cut, lengthProblem, maxCharacters, maxImportedId } from '../bounds.ts'
import { createEventLog, type EventLog } from '../event-log.ts'
import { type FileStore, openFileStore } from '../files.ts'
import { makeToken } from '../flowdock/auth.ts'
import { storedText } from '../flowdock/message-text.ts'
import { isNickTaken, nickProblem } from '../flowdock/nicks.ts'
import { createFlow, editFlow } from '../flowdock/operations/flows.ts'
import { admitFirstMembers, joinOrganization } from '../flowdock/operations/members.ts'
import { addUser } from '../flowdock/operations/users.ts'
import { isSlugFree, toSlug } from '../flowdock/slug.ts'
import { ensureApplication } from '../store/applications.ts'
import { type Database, openStore, type Store } from '../store/db.ts'
import { insertFile } from '../store/files.ts'
import { type Flow, findFlow, listFlowUsers } from '../store/flows.ts'
import { findDatabaseId } from '../store/identity.ts'
import {
  findMessage,
  findMessageByUuid,
  importMessage,
  listMessagesById,
  raiseMessageId,
  searchWords,
} from '../store/messages.ts'
import {
  findOrganization,
  findOrganizationMember,
  listOrganizationUsers,
  type OrganizationRow,
} from '../store/organizations.ts'
import { findSourceByName, insertRemovedSource } from '../store/sources.ts'
import { findThread, insertThread, recountThread } from '../store/threads.ts'
import { findUser, findUserByEmail, type UserRow } from '../store/users.ts'
import { hashToken } from '../token-hash.ts'
import { AdministrationError, type DataLocation } from './administration.ts'
import { type ExportedMessage, type ExportedPerson, readMessage, readPeople } from './exported.ts'
import {
  type ExportBounds,
  ExportError,
  exportBounds,
  type FlowExport,
  openFlowExport,
} from './flow-export.ts'

export interface FlowImport {
  readonly location: DataLocation
  /** The path of the zip file. */
  readonly zip: string
  /** The path of the flow, such as `organization/flow`. It is created if it does not exist. */
  readonly flow: string
  /** The name of a flow that is created; by default its slug. */
  readonly name: string | undefined
  /** The path of a JSON list of users, as the API returns it, for users that the export does not describe. */
  readonly people: string | undefined
  /** Users of the export by their id there: the id of a user on this server, or the e-mail address of a member. */
  readonly mapUsers?: ReadonlyMap<string, string>
  /** The bounds of the export; `exportBounds` by default. */
  readonly bounds?: ExportBounds
  /** Called with the progress, from 0 to 1. */
  readonly onProgress: (part: number) => void
}

/** What was imported, and what was left out. */
export interface ImportSummary {
  readonly flow: string
  /** The id of the export; another one if a flow with that id, or the flow itself, existed already. */
  readonly flowId: string
  readonly messages: { taken: number; alreadyThere: number; shortened: number }
  /** The reasons why messages were left out, with their numbers. */
  readonly leftOut: Record<string, number>
  readonly files: { taken: number; missing: number; tooLong: number }
  /** `foreign` counts created users whose e-mail address belongs to a user of another organization. */
  readonly people: { matched: number; created: number; foreign: number }
}

const batchSize = 200

/**
 * Imports the messages, threads, files and users of a flow into a backend, also while it runs. Objects that exist already stay as
 * they are, so an interrupted import continues when it is run again. A flow that is created has no members until the end of the
 * import.
 *
 * @throws AdministrationError when the export cannot be read, or the flow cannot be created
 */
export async function importFlow(options: FlowImport): Promise<ImportSummary> {
  const { location } = options
  const { dataDir, databaseUrl } = location
  const flowExport = await openFlowExport(options.zip, options.bounds).catch(asAdministrationError)
  const store = await openStore(databaseUrl ?? join(dataDir, 'flowdock.db'))
  try {
    const files = await openFileStore(location, await findDatabaseId(store.reader))
    const importing: Importing = {
      ...options,
      store,
      log: await createEventLog(store),
      files,
      flowExport,
      summary: {
        flow: options.flow,
        flowId: '',
        messages: { taken: 0, alreadyThere: 0, shortened: 0 },
        leftOut: {},
        files: { taken: 0, missing: 0, tooLong: 0 },
        people: { matched: 0, created: 0, foreign: 0 },
      },
      users: new Map(),
    }
    return await run(importing)
      .catch(asAdministrationError)
      .finally(() => files.close())
  } finally {
    flowExport.close()
    await store.close()
  }
}

interface Importing extends FlowImport {
  readonly store: Store
  readonly log: EventLog
  readonly files: FileStore
  readonly flowExport: FlowExport
  readonly summary: ImportSummary
  /** The users of this server by their ids in the export. */
  readonly users: Map<string, number>
}

async function run(importing: Importing): Promise<ImportSummary> {
  const { flowExport, onProgress, summary } = importing
  const people = await describedPeople(importing)
  const mapped = await mapUsers(importing)
  const { organization, flow } = await makeFlow(importing)
  for (const [number, user] of mapped) await letIn(importing, organization, number, user)
  for (const person of people) await userFor(importing, organization, person)
  let batch: ExportedMessage[] = []
  const take = async () => {
    await takeMessages(importing, organization, flow, batch)
    batch = []
  }
  for await (const { messages, readBytes } of flowExport.messages()) {
    for (const raw of messages) {
      const message = readMessage(raw)
      if (typeof message === 'string') leaveOut(summary, message)
      else batch.push(message)
      if (batch.length >= batchSize) await take()
    }
    onProgress(flowExport.byteSize === 0 ? 1 : readBytes / flowExport.byteSize)
  }
  await take()
  await finish(importing, organization, flow)
  return { ...summary, flowId: flow.id }
}

async function targetOrganization({ flow: path, store }: Importing): Promise<OrganizationRow> {
  const [slug = ''] = path.split('/')
  const organization = await findOrganization(store.reader, { slug })
  if (organization === undefined)
    throw new AdministrationError(`There is no organization "${slug}"; expected ORGANIZATION/FLOW`)
  return organization
}

async function makeFlow(importing: Importing) {
  const { flow: path, name, log } = importing
  const [organizationSlug = '', slug = ''] = path.split('/')
  const organization = await targetOrganization(importing)
  for (const [option, text] of [
    ['--flow', slug],
    ['--name', name ?? ''],
  ] as const) {
    const problem = lengthProblem('name', text)
    if (problem !== undefined) throw new AdministrationError(`${option} ${problem}`)
  }
  const exportedId = await exportedFlowId(importing.flowExport)
  const flow = await log.write(async (change) => {
    const { db } = change
    const known = await findFlow(db, { organization: organizationSlug, slug })
    if (known !== undefined) return known
    if (slug === '' || toSlug(slug) !== slug || !(await isSlugFree(db, organization.id, slug)))
      throw new AdministrationError(`"${slug}" cannot be the slug of a flow`)
    const id = await flowIdFor(db, path, exportedId)
    return createFlow(change, organization.id, { id, slug, name: name ?? slug }, [])
  })
  return { organization, flow }
}

/** The id of the flow in the export. Existing programs use it. */
async function exportedFlowId(flowExport: FlowExport): Promise<string | undefined> {
  for await (const { messages } of flowExport.messages())
    for (const { flow } of messages)
      if (typeof flow === 'string' && /^[\w.:/-]{1,100}$/.test(flow)) return flow
  return undefined
}

/** The exported id of a flow; a new one if there is none, or it already names another flow. */
async function flowIdFor(db: Database, path: string, exportedId: string | undefined): Promise<string> {
  if (exportedId === undefined) return randomUUID()
  const [organization = '', slug = ''] = exportedId.split(/[/:]/)
  const named = await findFlow(db, { organization, slug })
  const isTaken = (await findFlow(db, { id: exportedId })) !== undefined
  const isPathOfAnother = named !== undefined && `${organization}/${slug}` !== path
  return isTaken || isPathOfAnother ? randomUUID() : exportedId
}

/** The users that the export describes. Reads it to its end, so that damage is found before anything is created. */
async function describedPeople({ flowExport, people }: Importing): Promise<ExportedPerson[]> {
  const known = new Map<string, ExportedPerson>()
  for await (const { messages } of flowExport.messages())
    for (const { content, event } of messages)
      if (event === 'user-edit' || event === 'backend.user.join')
        for (const person of readPeople([(content as { user?: unknown } | null)?.user]))
          known.set(person.id, person)
  const lists = [await flowExport.users(), people === undefined ? undefined : await readJson(people)]
  for (const list of lists) for (const person of readPeople(list)) known.set(person.id, person)
  return [...known.values()]
}

/**
 * The users that the operator named. A user of another organization must be named by id, because an e-mail address may be one
 * that they claimed.
 *
 * @throws AdministrationError when a user does not exist
 */
async function mapUsers(importing: Importing): Promise<Map<string, UserRow>> {
  const { reader } = importing.store
  const organization = await targetOrganization(importing)
  const mapped = new Map<string, UserRow>()
  for (const [number, name] of importing.mapUsers ?? []) {
    const isId = /^\d{1,15}$/.test(name)
    const user = isId ? await findUser(reader, Number(name)) : await findUserByEmail(reader, name)
    if (user === undefined)
      throw new AdministrationError(`There is no user ${name}, whom ${number} is mapped to`)
    if (!isId && (await findOrganizationMember(reader, organization.id, user.id)) === undefined)
      throw new AdministrationError(
        `${name} is not in "${organization.slug}". If you mean ${user.name} (${user.nick}), map ${number} to the id ${user.id}`,
      )
    mapped.set(number, user)
  }
  return mapped
}

/** Makes a user that the operator named a member of the organization. */
async function letIn(
  { log, users, summary }: Importing,
  organization: OrganizationRow,
  number: string,
  user: UserRow,
): Promise<void> {
  await log.write((change) => joinOrganization(change, organization.id, user.id))
  summary.people.matched += 1
  users.set(number, user.id)
}

/**
 * The user for a user of the export: a member of the organization with the same e-mail address, or a new user, who cannot sign
 * in. Users of other organizations are never matched, because an e-mail address would make them members.
 */
async function userFor(
  { log, users, summary }: Importing,
  organization: OrganizationRow,
  person: ExportedPerson,
): Promise<number> {
  const known = users.get(person.id)
  if (known !== undefined) return known
  const placeholder = `user-${person.id}@${organization.slug}.invalid`
  const outcome = await log.write(async (change) => {
    const { db } = change
    let isForeign = false
    let isPlaceholderTaken = false
    for (const email of [person.email, placeholder]) {
      const user = email === undefined ? undefined : await findUserByEmail(db, email)
      if (user === undefined) continue
      if ((await findOrganizationMember(db, organization.id, user.id)) !== undefined)
        return { id: user.id, isNew: false, isForeign: false }
      if (email === placeholder) isPlaceholderTaken = true
      else isForeign = true
    }
    const number = Number(person.id)
    const keepsId = number <= maxImportedId && (await findUser(db, number)) === undefined
    const ownAddress = isForeign ? undefined : person.email
    const madeUp = isPlaceholderTaken
      ? `user-${person.id}-${randomUUID()}@${organization.slug}.invalid`
      : placeholder
    const wanted = person.nick?.normalize()
    const isFree =
      wanted !== undefined &&
      nickProblem(wanted) === undefined &&
      !(await isNickTaken(db, [organization.id], wanted, undefined))
    const user = await addUser(change, organization.id, {
      id: keepsId ? number : undefined,
      nick: isFree ? wanted : `${wanted ?? 'user'}-${person.id}`,
      name: person.name ?? person.nick ?? `User ${person.id}`,
      email: ownAddress ?? madeUp,
      disabled: true,
    })
    return { id: user.id, isNew: true, isForeign }
  })
  summary.people[outcome.isNew ? 'created' : 'matched'] += 1
  if (outcome.isForeign) summary.people.foreign += 1
  users.set(person.id, outcome.id)
  return outcome.id
}

async function takeMessages(
  importing: Importing,
  organization: OrganizationRow,
  flow: Flow,
  batch: readonly ExportedMessage[],
): Promise<void> {
  const { store, summary, users } = importing
  if (batch.length === 0) return
  const sorted = batch.toSorted((a, b) => a.id - b.id)
  const stored = new Map(
    (
      await listMessagesById(
        store.reader,
        flow.channel_id,
        sorted.map(({ id }) => id),
      )
    ).map((row) => [row.id, row]),
  )
  const taken: ExportedMessage[] = []
  for (const message of sorted) {
    const there = stored.get(message.id) ?? taken.find(({ id }) => id === message.id)
    if (there === undefined) {
      for (const id of message.userIds) await userFor(importing, organization, { id })
      taken.push(await takeFiles(importing, flow, message.withUsers(users)))
    } else if (there.sent === message.sent && there.event === message.event)
      summary.messages.alreadyThere += 1
    else leaveOut(summary, 'another message has its number')
  }
  const newest = sorted.at(-1)?.id ?? 0
  await importing.log.write(async (change) => {
    const threads = new Set<string>()
    for (const message of taken) await insert(change.db, flow, message, threads)
    // In the transaction of the messages, so that an interrupted import leaves no thread uncounted.
    for (const id of threads) await recountThread(change.db, id)
    await raiseMessageId(change.db, flow.channel_id, newest)
    // They are old, so no stream receives them; gateways must not go on with lists from before.
    await change.publishControl({ kind: 'flow', flowId: flow.id })
  })
  summary.messages.taken += taken.length
  summary.messages.shortened += taken.filter(({ isShortened }) => isShortened).length
}

function leaveOut(summary: ImportSummary, reason: string): void {
  summary.leftOut[reason] = (summary.leftOut[reason] ?? 0) + 1
}

/** Stores the files of a message, and puts their new paths into it. */
async function takeFiles(
  { flowExport, files, summary, log, bounds }: Importing,
  flow: Flow,
  message: ExportedMessage,
): Promise<ExportedMessage> {
  const moved = new Map<string, string>()
  for (const file of message.files) {
    if (moved.has(file.path)) continue
    const bytes = await flowExport.file(file.path)
    if (bytes === 'missing' || bytes === 'too long') {
      summary.files[bytes === 'missing' ? 'missing' : 'tooLong'] += 1
      continue
    }
    const { token, byteSize } = await files.receive(bytes, (bounds ?? exportBounds).fileBytes)
    await files.keep(token)
    await log.write(({ db }) =>
      insertFile(db, {
        token,
        channel_id: flow.channel_id,
        file_name: file.file_name,
        content_type: file.content_type,
        file_size: byteSize,
        created_at: message.sent,
        thumbnail: null,
      }),
    )
    moved.set(file.path, `/files/${flow.channel_id}/${token}/${encodeURIComponent(file.file_name)}`)
    summary.files.taken += 1
  }
  return moved.size === 0 ? message : message.withPaths(moved)
}

async function insert(
  db: Database,
  flow: Flow,
  message: ExportedMessage,
  threads: Set<string>,
): Promise<void> {
  const threadId = await placeInThread(db, flow, message)
  if (threadId !== undefined) threads.add(threadId)
  const { uuid } = message.row
  const again =
    uuid !== null &&
    (await findMessageByUuid(
      db,
      flow.channel_id,
      { userId: message.row.user_id, sourceId: message.row.source_id },
      uuid,
    )) !== undefined
  const row = {
    ...message.row,
    id: message.id,
    channel_id: flow.channel_id,
    thread_id: threadId ?? null,
    uuid: again ? null : uuid,
  }
  await importMessage(db, row, searchWords(storedText({ ...row, seq: 0 })))
}

/** The thread of a message; its first message creates it. Service messages have no thread. */
async function placeInThread(
  db: Database,
  flow: Flow,
  { id, thread, threadId, parentId, row }: ExportedMessage,
): Promise<string | undefined> {
  if (row.app === null || row.event === 'action') return undefined
  const parent = parentId === undefined ? undefined : await findMessage(db, flow.channel_id, parentId)
  const wanted = threadId ?? parent?.thread_id ?? derivedId(flow, `message ${id}`)
  const known = await findThread(db, wanted)
  if (known?.channel_id === flow.channel_id) return wanted
  const own = known === undefined ? wanted : derivedId(flow, wanted)
  if (known !== undefined && (await findThread(db, own)) !== undefined) return own
  insertThread(db, {
    id: own,
    channel_id: flow.channel_id,
    source_id: thread?.source === undefined ? null : await sourceFor(db, flow, thread.source),
    external_thread_id: null,
    body: '',
    external_url: null,
    status_json: null,
    fields_json: '[]',
    actions_json: '[]',
    activities: 0,
    internal_comments: 0,
    external_comments: 0,
    initial_message: id,
    created_at: row.sent,
    updated_at: row.sent,
    title: cut(
      storedText({ ...row, id, channel_id: flow.channel_id, thread_id: null, seq: 0 }),
      maxCharacters.title,
    ),
    ...thread?.columns,
  })
  return own
}

/** An id in the form of a thread's, which is always the same for the same object of a flow. */
function derivedId(flow: Flow, name: string): string {
  return createHash('sha1').update(`${flow.id} ${name}`).digest('base64url')
}

/** Creates a source for imported threads. Nothing can be posted with it. */
async function sourceFor(db: Database, flow: Flow, name: string): Promise<number | null> {
  const known = await findSourceByName(db, flow.id, name)
  if (known !== undefined) return known
  const [creator] = await listOrganizationUsers(db, flow.organization_id)
  if (creator === undefined) return null
  return insertRemovedSource(db, {
    flow_id: flow.id,
    application_id: await ensureApplication(db, name),
    creator_id: creator.id,
    name,
    external_url: null,
    token_hash: hashToken(makeToken()),
  })
}

/** Adds the members of a created flow: its users who can sign in, and the administrators of the organization. */
async function finish({ log, users }: Importing, organization: OrganizationRow, flow: Flow): Promise<void> {
  await log.write(async (change) => {
    const { db } = change
    const [newest] = await lastMessage(db, flow)
    if (newest !== undefined)
      await db
        .updateTable('flows')
        .set({ last_message_id: newest.id, last_message_at: newest.sent })
        .where('id', '=', flow.id)
        .execute()
    await change.publishControl({ kind: 'flow', flowId: flow.id })
    if ((await listFlowUsers(db, [flow.id])).length > 0) return
    const wanted = new Set(users.values())
    await editFlow(change, flow, { accessMode: 'organization' })
    const members = (await listOrganizationUsers(db, organization.id)).filter(
      ({ id, admin, disabled }) => disabled === 0 && (wanted.has(id) || admin === 1),
    )
    await admitFirstMembers(change, flow, members)
  })
}

function lastMessage(db: Database, flow: Flow) {
  return db
    .selectFrom('messages')
    .select(['id', 'sent'])
    .where('channel_id', '=', flow.channel_id)
    .orderBy('id', 'desc')
    .limit(1)
    .execute()
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new AdministrationError(`"${path}" cannot be read as JSON: ${(error as Error).message}`)
  }
}

function asAdministrationError(error: unknown): never {
  throw error instanceof ExportError ? new AdministrationError(error.message) : error
}
