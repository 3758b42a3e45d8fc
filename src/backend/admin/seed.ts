import type { WireAttachment } from '../../wire/flowdock.ts'
import type { EventLog } from '../event-log.ts'
import type { FileStore } from '../files.ts'
import { makeToken } from '../flowdock/auth.ts'
import type { FlowChannel } from '../flowdock/channel.ts'
import type { MessageDraft } from '../flowdock/message-draft.ts'
import { addToken } from '../flowdock/operations/credentials.ts'
import { createFlow } from '../flowdock/operations/flows.ts'
import { admitFirstMembers } from '../flowdock/operations/members.ts'
import {
  reactToMessage,
  type Sender,
  type SentMessage,
  sendMessage,
} from '../flowdock/operations/messages.ts'
import { insertOrganization } from '../flowdock/operations/organizations.ts'
import { addSource } from '../flowdock/operations/sources.ts'
import { addUser } from '../flowdock/operations/users.ts'
import type { Change } from '../store/change.ts'
import type { Database, Store } from '../store/db.ts'
import type { FileRow } from '../store/files.ts'
import type { Flow } from '../store/flows.ts'
import type { SourceRow } from '../store/sources.ts'
import { findUserByEmail, findUserByTokenHash, type UserRow } from '../store/users.ts'
import { hashToken } from '../token-hash.ts'
import {
  type DemoEvent,
  type DemoFlow,
  type DemoNick,
  type DemoSource,
  demoDays,
  demoHistory,
} from './demo-history.ts'
import { makeStoredToken, readStoredToken, removeStoredToken } from './demo-token.ts'

/** The token of the demo user; null when there is none, or it was removed. */
export interface Demo {
  readonly token: string | null
}

export interface SeedOptions {
  readonly store: Store
  readonly log: EventLog
  readonly files: FileStore
  readonly dataDir: string
  readonly token: string | undefined
  /** Whether the organization has a history of three weeks. */
  readonly withHistory: boolean
  /** Called when another process created the organization first, with another token. */
  readonly onNotice?: ((message: string) => void) | undefined
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
  onNotice,
}: SeedOptions): Promise<Demo> {
  if (await isEmpty(store.reader)) {
    const token = given ?? (await makeStoredToken(dataDir))
    const start = Date.now()
    const history = withHistory ? demoHistory(start) : []
    const picture = await files.put(diagram)
    const shared = await storeFiles(files, history)
    const isFirst = await log.write(async (change) => {
      // Another process may share the database.
      if (!(await isEmpty(change.db))) return false
      let now = start - demoDays * dayMs
      const demo = await seed(withHistory ? { ...change, now: () => (now += minuteMs) } : change, picture)
      if (withHistory) await seedHistory(change, demo, history, shared)
      await addToken(change, demo.users.Ada.id, token)
      return true
    })
    if (!isFirst) {
      for (const file of [picture, ...shared.values()]) await files.remove(file)
      if (!(await isDemoToken(store, token)))
        onNotice?.(
          'Another backend filled the database with the demo organization at the same time; its demo token is the valid one',
        )
    }
  }
  const stored = await readStoredToken(dataDir)
  // The token of the demo user was removed. Without that user the file may belong to another database.
  if (
    stored !== undefined &&
    !(await isDemoToken(store, stored)) &&
    (await findUserByEmail(store.reader, demoEmail)) !== undefined
  )
    await removeStoredToken(dataDir, stored)
  const token = given ?? stored
  return { token: token !== undefined && (await isDemoToken(store, token)) ? token : null }
}

async function isDemoToken(store: Store, token: string): Promise<boolean> {
  const user = await findUserByTokenHash(store.reader, hashToken(token))
  return user?.email === demoEmail && user.disabled === 0
}

async function isEmpty(db: Database): Promise<boolean> {
  return (await db.selectFrom('organizations').select('id').executeTakeFirst()) === undefined
}

interface SeededDemo {
  readonly organizationId: number
  readonly users: Readonly<Record<'Ada' | 'Ben' | 'Cleo', UserRow>>
  readonly flows: Readonly<Record<DemoFlow, Flow>>
  readonly tracker: SourceRow
}

async function seed(change: Change, picture: string): Promise<SeededDemo> {
  const { db } = change
  const organizationId = await insertOrganization(db, { slug: 'example', name: 'Example' })
  const ada = await addDemoUser(change, organizationId, 'Ada', 'Ada Byron', true)
  const ben = await addDemoUser(change, organizationId, 'Ben', 'Ben Okri')
  const cleo = await addDemoUser(change, organizationId, 'Cleo', 'Cleo Marsh')

  const flow = (name: string, description: string, members: UserRow[]): Promise<Flow> =>
    createFlow(change, organizationId, { name, description, accessMode: 'organization' }, members)
  const main = await flow('Main', 'Where everybody is', [ada, ben, cleo])
  const engineering = await flow('Engineering', 'Building things', [ada, ben])
  const support = await flow('Support', 'Helping people', [ada, cleo])

  const send = (channel: FlowChannel, sender: Sender, draft: Partial<MessageDraft>): Promise<SentMessage> =>
    sendMessage(change, channel, sender, { event: 'message', content: null, tags: [], ...draft })
  const say = (channel: FlowChannel, user: UserRow, content: string, to?: SentMessage) =>
    send(channel, { userId: user.id }, { content, threadId: to?.thread?.row.id })

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
  const files = [fileRow(change, engineering, picture, file)]
  await send(engineering, { userId: ben.id }, { event: 'file', content: file, attachments: [file], files })

  const tracker = await addDemoSource(change, engineering, ada, 'Tickets')
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
    users: { Ada: ada, Ben: ben, Cleo: cleo },
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

/** Sends the messages of the history, each with its time. */
async function seedHistory(
  change: Change,
  { organizationId, users: known, flows, tracker }: SeededDemo,
  history: readonly DemoEvent[],
  fileTokens: ReadonlyMap<DemoEvent, string>,
): Promise<void> {
  const { main, engineering, support } = flows
  const users: Record<DemoNick, UserRow> = {
    ...known,
    Dina: await addDemoUser(change, organizationId, 'Dina', 'Dina Farouk'),
    Emil: await addDemoUser(change, organizationId, 'Emil', 'Emil Novak'),
  }
  for (const flow of [main, engineering]) await admitFirstMembers(change, flow, [users.Dina])
  for (const flow of [main, support]) await admitFirstMembers(change, flow, [users.Emil])
  const beginning = { ...change, now: () => history[0]?.at ?? change.now() }
  const sources: Record<DemoSource, SourceRow> = {
    Tickets: tracker,
    'Build server': await addDemoSource(beginning, engineering, users.Ben, 'Build server'),
    'Help desk': await addDemoSource(beginning, support, users.Cleo, 'Help desk'),
  }

  const threads = new Map<string, string>()
  for (const event of history) {
    const then = { ...change, now: () => event.at }
    const flow = flows[event.flow]
    if (event.kind === 'item') {
      await sendMessage(then, flow, { userId: 0, source: sources[event.source] }, itemDraft(event, sources))
      continue
    }
    const user = users[event.nick]
    const threadId = threads.get(event.thread)
    const common = { tags: [], ...(threadId === undefined ? {} : { threadId }) }
    const draft =
      event.kind === 'message'
        ? { ...common, event: 'message', content: event.text }
        : { ...common, ...fileDraft(then, flow, event, fileTokens.get(event) ?? '') }
    const { message, thread } = await sendMessage(then, flow, { userId: user.id }, draft)
    if (thread !== undefined) threads.set(event.thread, thread.row.id)
    if (event.kind === 'message')
      for (const nick of event.likes)
        await reactToMessage(then, flow, users[nick].id, message.id, { type: 'add', emoji: 'thumbsup' })
  }
  await sendMessage(
    change,
    main,
    { userId: users.Cleo.id },
    { event: 'status', content: 'On call today', tags: [] },
  )
}

function itemDraft(
  { thread, source, item }: Extract<DemoEvent, { kind: 'item' }>,
  sources: Record<DemoSource, SourceRow>,
): MessageDraft {
  return {
    event: item.comment === undefined ? 'activity' : 'discussion',
    content: null,
    tags: [],
    externalThreadId: thread,
    title: item.action,
    author: { name: item.author },
    ...(item.comment === undefined ? {} : { body: item.comment }),
    thread: {
      title: item.title,
      externalUrl: `${sources[source].external_url}/${encodeURIComponent(thread)}`,
      status: item.status,
    },
  }
}

function fileDraft(
  change: Change,
  flow: FlowChannel,
  { file }: Extract<DemoEvent, { kind: 'file' }>,
  token: string,
): MessageDraft {
  const attachment: WireAttachment = {
    content_type: file.type,
    file_name: file.name,
    file_size: file.bytes.length,
    path: `/files/${flow.channel_id}/${token}/${file.name}`,
  }
  const files = [fileRow(change, flow, token, attachment)]
  return { event: 'file', content: attachment, attachments: [attachment], files, tags: [] }
}

function fileRow(
  change: Change,
  { channel_id }: FlowChannel,
  token: string,
  { file_name, content_type, file_size }: WireAttachment,
): FileRow {
  return { token, channel_id, file_name, content_type, file_size, created_at: change.now(), thumbnail: null }
}

function addDemoUser(change: Change, organizationId: number, nick: DemoNick, name: string, admin = false) {
  const email = `${nick.toLowerCase()}@example.com`
  return addUser(change, organizationId, { nick, name, email, admin })
}

const demoSources = {
  Tickets: { application: 'Tracker', externalUrl: 'https://tracker.example.com' },
  'Build server': { application: 'Builds', externalUrl: 'https://builds.example.com' },
  'Help desk': { application: 'Help desk', externalUrl: 'https://help.example.com' },
} as const satisfies Record<DemoSource, object>

function addDemoSource(change: Change, flow: FlowChannel, creator: UserRow, name: DemoSource) {
  return addSource(change, flow, creator, { name, ...demoSources[name], tokenHash: hashToken(makeToken()) })
}

const diagram = Buffer.from(
  '<svg xmlns="http://www.w3.org/2000/svg" width="360" height="80" font-family="sans-serif" font-size="14">' +
    '<g fill="none" stroke="#334"><rect x="10" y="20" width="90" height="40"/><rect x="135" y="20" width="90" height="40"/>' +
    '<rect x="260" y="20" width="90" height="40"/><path d="M100 40h35M225 40h35"/></g>' +
    '<g fill="#112" text-anchor="middle"><text x="55" y="45">apps</text><text x="180" y="45">gateway</text>' +
    '<text x="305" y="45">backend</text></g></svg>',
)
