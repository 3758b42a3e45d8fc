import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { WireAttachment } from '../wire/flowdock.ts'
import type { Change, EventLog } from './event-log.ts'
import type { FileStore } from './files.ts'
import { hashToken, makeToken } from './flowdock/auth.ts'
import { type MessageDraft, type Sender, type SentMessage, sendMessage } from './flowdock/messages.ts'
import type { FlowChannel } from './flowdock/record.ts'
import { privateFileMode } from './private-files.ts'
import { ensureApplication } from './store/applications.ts'
import type { Database, Store } from './store/db.ts'
import { insertFile } from './store/files.ts'
import { findFlow, insertFlow, upsertFlowMember } from './store/flows.ts'
import { insertOrganization, insertOrganizationMember } from './store/organizations.ts'
import { findSourceByTokenHash, insertSource, type SourceRow } from './store/sources.ts'
import { findUserByTokenHash, insertToken, insertUser, type UserRow } from './store/users.ts'

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
}

const demoEmail = 'ada@example.com'

/**
 * Fills an empty database with the organization `example` and gives its user Ada the demo token. A database that has an
 * organization is left alone: a demo token that was removed stays removed.
 */
export async function seedDemo({ store, log, files, dataDir, token: given }: SeedOptions): Promise<Demo> {
  const path = join(dataDir, 'demo-token')
  if (await isEmpty(store.reader)) {
    const token = given ?? (await makeStoredToken(path))
    const picture = await files.put(diagram)
    await log.write(async (change) => {
      // Another process may share the database.
      if (!(await isEmpty(change.db))) return
      const ada = await seed(change, picture)
      await insertToken(change.db, hashToken(token), ada.id)
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

async function seed(change: Change, picture: string): Promise<UserRow> {
  const { db } = change
  const organizationId = await insertOrganization(db, { slug: 'example', name: 'Example' })
  const person = async (nick: string, name: string, admin: boolean): Promise<UserRow> => {
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
  const ada = await person('Ada', 'Ada Byron', true)
  const ben = await person('Ben', 'Ben Okri', false)
  const cleo = await person('Cleo', 'Cleo Marsh', false)

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
    created_at: Date.now(),
    thumbnail: null,
  })
  await send(engineering, { userId: ben.id }, { event: 'file', content: file, attachments: [file] })

  const tracker = await demoSource(change, engineering, ada)
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
  return ada
}

async function demoSource(change: Change, flow: FlowChannel, creator: UserRow): Promise<SourceRow> {
  const applicationId = await ensureApplication(change.db, 'Tracker')
  const tokenHash = hashToken(makeToken())
  await insertSource(change.db, {
    flow_id: flow.id,
    application_id: applicationId,
    creator_id: creator.id,
    name: 'Tickets',
    external_url: 'https://tracker.example.com',
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
