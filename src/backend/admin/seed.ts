import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { WireAttachment } from '../../wire/flowdock.ts'
import type { Change, EventLog } from '../event-log.ts'
import type { FileStore } from '../files.ts'
import { hashToken, makeToken } from '../flowdock/auth.ts'
import {
  type MessageDraft,
  reactToMessage,
  type Sender,
  type SentMessage,
  sendMessage,
} from '../flowdock/operations/messages.ts'
import type { FlowChannel } from '../flowdock/operations/record.ts'
import { privateFileMode } from '../private-files.ts'
import { ensureApplication } from '../store/applications.ts'
import type { Database, Store } from '../store/db.ts'
import { insertFile } from '../store/files.ts'
import { findFlow, insertFlow, upsertFlowMember } from '../store/flows.ts'
import { insertOrganization, insertOrganizationMember } from '../store/organizations.ts'
import { findSourceByTokenHash, insertSource, type SourceRow } from '../store/sources.ts'
import { findUserByTokenHash, insertToken, insertUser, type UserRow } from '../store/users.ts'
import {
  type DemoEvent,
  type DemoFlow,
  type DemoNick,
  type DemoSource,
  demoDays,
  demoHistory,
} from './demo-history.ts'

/** How to use the demo organization; null in `token` when there is none, or it was removed. */
export interface Demo {
  readonly token: string | null
}

export interface SeedOptions {
  readonly store: Store
  readonly log: EventLog
  readonly files: FileStore
  readonly dataDir: string
  readonly token: string | undefined
  /** Whether the people of the organization have worked together for three weeks; they have only just met otherwise. */
  readonly withHistory: boolean
}

const demoEmail = 'ada@example.com'
const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

/**
 * Fills an empty database with the organization `example` and gives its user Ada the demo token. A database that has an
 * organization is left alone: a demo token that was removed stays removed.
 */
export async function seedDemo({
  store,
  log,
  files,
  dataDir,
  token: given,
  withHistory,
}: SeedOptions): Promise<Demo> {
  const path = join(dataDir, 'demo-token')
  if (await isEmpty(store.reader)) {
    const token = given ?? (await makeStoredToken(path))
    const start = Date.now()
    const history = withHistory ? demoHistory(start) : []
    const picture = await files.put(diagram)
    const shared = await storeFiles(files, history)
    await log.write(async (change) => {
      // Another process may share the database.
      if (!(await isEmpty(change.db))) return
      let now = start - demoDays * dayMs
      const demo = await seed(withHistory ? { ...change, now: () => (now += minuteMs) } : change, picture)
      if (withHistory) await seedHistory(change, demo, history, shared)
      await insertToken(change.db, hashToken(token), demo.people.Ada.id)
    })
  }
  const token = given ?? (await readStoredToken(path))
  const user = token === undefined ? undefined : await findUserByTokenHash(store.reader, hashToken(token))
  return { token: token !== undefined && user?.email === demoEmail && user.disabled === 0 ? token : null }
}

async function isEmpty(db: Database): Promise<boolean> {
  return (await db.selectFrom('organizations').select('id').executeTakeFirst()) === undefined
}

/** The token that an interrupted first start stored is used again. */
async function makeStoredToken(path: string): Promise<string> {
  const token = makeToken()
  try {
    await writeFile(path, token, { flag: 'wx', mode: privateFileMode })
    return token
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readStoredToken(path)) ?? token
  }
}

async function readStoredToken(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

interface SeededDemo {
  readonly organizationId: number
  readonly people: Readonly<Record<'Ada' | 'Ben' | 'Cleo', UserRow>>
  readonly flows: Readonly<Record<DemoFlow, FlowChannel>>
  readonly tracker: SourceRow
}

async function seed(change: Change, picture: string): Promise<SeededDemo> {
  const { db } = change
  const organizationId = await insertOrganization(db, { slug: 'example', name: 'Example' })
  const ada = await insertPerson(db, organizationId, 'Ada', 'Ada Byron', true)
  const ben = await insertPerson(db, organizationId, 'Ben', 'Ben Okri')
  const cleo = await insertPerson(db, organizationId, 'Cleo', 'Cleo Marsh')

  const flow = async (name: string, description: string, members: UserRow[]): Promise<FlowChannel> => {
    const id = randomUUID()
    await insertFlow(db, {
      id,
      organization_id: organizationId,
      slug: name.toLowerCase(),
      name,
      description,
      access_mode: 'organization',
    })
    for (const member of members) await upsertFlowMember(db, id, member.id, {})
    return (await findFlow(db, ada.id, { id })) as FlowChannel
  }
  const main = await flow('Main', 'Where everybody is', [ada, ben, cleo])
  const engineering = await flow('Engineering', 'Building things', [ada, ben])
  const support = await flow('Support', 'Helping people', [ada, cleo])

  const send = (channel: FlowChannel, sender: Sender, draft: Partial<MessageDraft>): Promise<SentMessage> =>
    sendMessage(change, channel, sender, { event: 'message', content: null, tags: [], ...draft })
  const say = (
    channel: FlowChannel,
    user: UserRow,
    content: string,
    thread?: SentMessage,
  ): Promise<SentMessage> =>
    send(channel, { userId: user.id }, { content, ...(thread?.thread && { threadId: thread.thread.row.id }) })

  const welcome = await say(
    main,
    ada,
    'Welcome to Example! Every message opens a thread, replies stay in it. #welcome',
  )
  await say(main, ben, 'Good to be here, @Ada', welcome)
  await say(main, cleo, 'Hello everyone', welcome)
  const lunch = await say(main, cleo, 'Lunch at noon? http://example.com/menu #lunch')
  await say(main, ada, 'Yes, see you there', lunch)
  await send(main, { userId: ben.id }, { event: 'status', content: 'Reviewing pull requests' })

  const release = await say(engineering, ben, '@Ada the release is ready for a last look #release')
  await say(engineering, ada, 'Looks good, shipping it this afternoon', release)
  const file: WireAttachment = {
    content_type: 'image/svg+xml',
    file_name: 'architecture.svg',
    file_size: diagram.length,
    path: `/files/${engineering.channel_id}/${picture}/architecture.svg`,
  }
  await insertFile(db, {
    token: picture,
    channel_id: engineering.channel_id,
    file_name: file.file_name,
    content_type: file.content_type,
    file_size: file.file_size,
    created_at: change.now(),
    thumbnail: null,
  })
  await send(engineering, { userId: ben.id }, { event: 'file', content: file, attachments: [file] })

  const tracker = await insertDemoSource(change, engineering, ada, trackerSource)
  const ticket = (key: string, color: string, value: string, title: string): Partial<MessageDraft> => ({
    externalThreadId: key,
    author: { name: 'Ben Okri' },
    thread: {
      title,
      externalUrl: `https://tracker.example.com/tickets/${key}`,
      status: { color, value },
      fields: [{ label: 'Priority', value: 'High' }],
      actions: [{ '@type': 'ViewAction', name: 'Open', url: `https://tracker.example.com/tickets/${key}` }],
    },
  })
  const source: Sender = { userId: 0, source: tracker }
  await send(engineering, source, {
    ...ticket('EX-1', 'yellow', 'open', 'Polish the flux capacitor'),
    event: 'activity',
    title: 'created ticket',
  })
  await send(engineering, source, {
    ...ticket('EX-1', 'green', 'done', 'Polish the flux capacitor'),
    event: 'activity',
    title: 'closed ticket',
  })
  await send(engineering, source, {
    ...ticket('EX-2', 'red', 'failing', 'Nightly build is red'),
    event: 'discussion',
    title: 'commented',
    body: '<p>It fails only on Tuesdays.</p>',
  })

  const question = await say(support, cleo, 'A customer asks how to reset a password #howto')
  await say(support, ada, 'Settings, then Security. I will write it down @Cleo', question)
  return {
    organizationId,
    people: { Ada: ada, Ben: ben, Cleo: cleo },
    flows: { main, engineering, support },
    tracker,
  }
}

/** Stores the files of the history. Resolves with the token of each. */
async function storeFiles(
  files: FileStore,
  history: readonly DemoEvent[],
): Promise<ReadonlyMap<DemoEvent, string>> {
  const sharing = history.filter((event) => event.kind === 'file')
  return new Map(
    await Promise.all(sharing.map(async (event) => [event, await files.put(event.file.bytes)] as const)),
  )
}

/** Sends everything of the history, each at its time. */
async function seedHistory(
  change: Change,
  { organizationId, people: known, flows, tracker }: SeededDemo,
  history: readonly DemoEvent[],
  fileTokens: ReadonlyMap<DemoEvent, string>,
): Promise<void> {
  const { db } = change
  const { main, engineering, support } = flows
  const people: Record<DemoNick, UserRow> = {
    ...known,
    Dina: await insertPerson(db, organizationId, 'Dina', 'Dina Farouk'),
    Emil: await insertPerson(db, organizationId, 'Emil', 'Emil Novak'),
  }
  for (const flow of [main, engineering]) await upsertFlowMember(db, flow.id, people.Dina.id, {})
  for (const flow of [main, support]) await upsertFlowMember(db, flow.id, people.Emil.id, {})
  const sources: Record<DemoSource, SourceRow> = {
    Tickets: tracker,
    'Build server': await insertDemoSource(change, engineering, people.Ben, buildSource),
    'Help desk': await insertDemoSource(change, support, people.Cleo, helpDeskSource),
  }

  const threads = new Map<string, string>()
  for (const event of history) {
    const then = { ...change, now: () => event.at }
    const flow = flows[event.flow]
    if (event.kind === 'item') {
      await sendMessage(then, flow, { userId: 0, source: sources[event.source] }, itemDraft(event, sources))
      continue
    }
    const user = people[event.nick]
    const threadId = threads.get(event.thread)
    const common = { tags: [], ...(threadId === undefined ? {} : { threadId }) }
    const draft =
      event.kind === 'message'
        ? { ...common, event: 'message', content: event.text }
        : { ...common, ...(await fileDraft(then, flow, event, fileTokens.get(event) ?? '')) }
    const { message, thread } = await sendMessage(then, flow, { userId: user.id }, draft)
    if (thread !== undefined) threads.set(event.thread, thread.row.id)
    if (event.kind === 'message')
      for (const nick of event.likes)
        await reactToMessage(then, flow, people[nick].id, message.id, { type: 'add', emoji: 'thumbsup' })
  }
  await sendMessage(
    change,
    main,
    { userId: people.Cleo.id },
    { event: 'status', content: 'On call today', tags: [] },
  )
}

function itemDraft(
  { thread, source, item }: Extract<DemoEvent, { kind: 'item' }>,
  sources: Record<DemoSource, SourceRow>,
): MessageDraft {
  return {
    ...{ event: item.comment === undefined ? 'activity' : 'discussion', content: null, tags: [] },
    ...{ externalThreadId: thread, title: item.action, author: { name: item.author } },
    ...(item.comment === undefined ? {} : { body: item.comment }),
    thread: {
      title: item.title,
      externalUrl: `${sources[source].external_url}/${encodeURIComponent(thread)}`,
      status: item.status,
    },
  }
}

async function fileDraft(
  { db, now }: Change,
  flow: FlowChannel,
  { file }: Extract<DemoEvent, { kind: 'file' }>,
  token: string,
): Promise<MessageDraft> {
  const attachment: WireAttachment = {
    content_type: file.type,
    file_name: file.name,
    file_size: file.bytes.length,
    path: `/files/${flow.channel_id}/${token}/${file.name}`,
  }
  await insertFile(db, {
    ...{ token, channel_id: flow.channel_id, file_name: file.name, content_type: file.type },
    ...{ file_size: file.bytes.length, created_at: now(), thumbnail: null },
  })
  return { event: 'file', content: attachment, attachments: [attachment], tags: [] }
}

async function insertPerson(
  db: Database,
  organizationId: number,
  nick: DemoNick,
  name: string,
  admin = false,
): Promise<UserRow> {
  const user = await insertUser(db, {
    nick,
    name,
    email: `${nick.toLowerCase()}@example.com`,
    avatar: null,
    website: null,
    password_hash: null,
  })
  await insertOrganizationMember(db, organizationId, user.id, admin)
  return user
}

interface SourceDescription {
  readonly application: string
  readonly name: DemoSource
  readonly url: string
}

const trackerSource: SourceDescription = {
  application: 'Tracker',
  name: 'Tickets',
  url: 'https://tracker.example.com',
}
const buildSource: SourceDescription = {
  application: 'Builds',
  name: 'Build server',
  url: 'https://builds.example.com',
}
const helpDeskSource: SourceDescription = {
  application: 'Help desk',
  name: 'Help desk',
  url: 'https://help.example.com',
}

async function insertDemoSource(
  change: Change,
  flow: FlowChannel,
  creator: UserRow,
  { application, name, url }: SourceDescription,
): Promise<SourceRow> {
  const applicationId = await ensureApplication(change.db, application)
  const tokenHash = hashToken(makeToken())
  await insertSource(change.db, {
    flow_id: flow.id,
    application_id: applicationId,
    creator_id: creator.id,
    name,
    external_url: url,
    token_hash: tokenHash,
  })
  return (await findSourceByTokenHash(change.db, tokenHash)) as SourceRow
}

const diagram = Buffer.from(
  '<svg xmlns="http://www.w3.org/2000/svg" width="360" height="80" font-family="sans-serif" font-size="14">' +
    '<g fill="none" stroke="#334"><rect x="10" y="20" width="90" height="40"/><rect x="135" y="20" width="90" height="40"/>' +
    '<rect x="260" y="20" width="90" height="40"/><path d="M100 40h35M225 40h35"/></g>' +
    '<g fill="#112" text-anchor="middle"><text x="55" y="45">apps</text><text x="180" y="45">gateway</text>' +
    '<text x="305" y="45">backend</text></g></svg>',
)
