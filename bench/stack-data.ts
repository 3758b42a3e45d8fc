import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openAdministration } from '../src/backend/admin/administration.ts'
import { hashToken } from '../src/backend/token-hash.ts'

/** In each flow. */
const messagesInFlow = Number(process.env['MESSAGES'] ?? 33_000)
/** How many members each flow has. */
export const sizes = { small: 20, large: 500, huge: 5000 } as const

/** An organization whose flows have more and more members; the tokens are `token0`, `token1`, … */
export async function makeData(): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-stack-'))
  const administration = await openAdministration({ dataDir, databaseUrl: undefined })
  await administration.addOrganization('Acme', 'acme')
  for (const slug of Object.keys(sizes)) await administration.addFlow('acme', slug, slug)
  await administration.close()
  const database = new DatabaseSync(join(dataDir, 'flowdock.db'))
  database.exec('pragma journal_mode = wal; pragma synchronous = off; begin')
  const organization = only(database, 'select id from organizations')
  const user = database.prepare(
    'insert into users (nick, name, email, disabled, created_at) values (?, ?, ?, 0, 1) returning id',
  )
  const member = database.prepare(
    'insert into organization_members (organization_id, user_id, admin) values (?, ?, 0)',
  )
  const token = database.prepare('insert into tokens (hash, user_id, created_at) values (?, ?, 1)')
  const joinFlow = database.prepare(
    'insert into flow_members (flow_id, user_id, open, disabled) select id, ?, 1, 0 from flows where slug = ?',
  )
  const ids: number[] = []
  for (let index = 0; index < sizes.huge; index += 1) {
    const { id } = user.get(`person${index}`, `Person ${index}`, `person${index}@example.com`) as {
      id: number
    }
    ids.push(id)
    member.run(organization, id)
    token.run(hashToken(`token${index}`), id)
    for (const [slug, size] of Object.entries(sizes)) if (index < size) joinFlow.run(id, slug)
  }
  database.function('sentence', (seed: unknown) =>
    Array.from({ length: 20 }, (_, index) => `word${(Number(seed) * 7919 + index * 104_729) % 997}`).join(
      ' ',
    ),
  )
  for (const [slug, size] of Object.entries(sizes)) fillFlow(database, slug, ids.slice(0, size))
  database.exec('commit; analyze')
  database.close()
  return dataDir
}

function fillFlow(database: DatabaseSync, slug: string, members: readonly number[]): void {
  const channel = only(database, `select channel_id as id from flows where slug = '${slug}'`)
  const numbers = `with recursive n (i) as (select 1 union all select i + 1 from n where i < ${messagesInFlow})`
  const first = 1000
  database.exec(`
    insert into threads (id, channel_id, title, fields_json, actions_json, activities, internal_comments,
      external_comments, initial_message, created_at, updated_at)
      ${numbers} select 'stack-${channel}-' || i, ${channel}, 'thread ' || i, '[]', '[]', 0, 1, 0, ${first} + i, i, i
      from n where i % 10 = 1;
    insert into messages (channel_id, id, event, user_id, uuid, thread_id, app, content_json, tags_json,
      attachments_json, sent)
      ${numbers} select ${channel}, ${first} + i, 'message', ${members[0]} + i % ${members.length}, 'stack-' || i,
        'stack-${channel}-' || (i - (i - 1) % 10), 'chat', json_quote(sentence(i)), '[]', '[]', i from n;
    insert into message_words (rowid, channel, words) select seq, '${channel}', content_json from messages
      where channel_id = ${channel};
    update channels set last_id = ${first + messagesInFlow} where id = ${channel}`)
}

function only(database: DatabaseSync, query: string): number {
  return (database.prepare(query).get() as { id: number }).id
}
