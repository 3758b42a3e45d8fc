import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { describe, expect, onTestFinished, test } from 'vitest'
import { hashToken } from '../../src/backend/flowdock/auth.ts'
import { migrations } from '../../src/backend/store/migrations/index.ts'
import { sqliteDialect } from '../../src/backend/store/sqlite.ts'
import { basic, call, makeFolder, startTestBackend } from '../support/backend.ts'

const names = Object.keys(migrations)
const token = 'a'.repeat(32)
const flowToken = 'b'.repeat(32)

/** A database as an earlier version left it, with somebody, a flow and messages in it. */
async function makeOld(dataDir: string, version: string): Promise<void> {
  const path = join(dataDir, 'flowdock.db')
  const database = new Kysely<unknown>({ dialect: sqliteDialect(path) })
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateTo(version)
  expect(error).toBeUndefined()
  await database.destroy()
  const old = new DatabaseSync(path)
  const channelWords = names.indexOf(version) >= names.indexOf('0004-oauth-and-search')
  const words = channelWords ? 'rowid, channel, words' : 'rowid, words'
  const values = channelWords ? "1, '1', 'kept since then'" : "1, 'kept since then'"
  old.exec(`
    insert into organizations (slug, name, active, user_limit, created_at) values ('old', 'Old', 1, 0, 1);
    insert into users (nick, name, email, disabled, created_at) values ('Joe', 'Joe', 'joe@example.com', 0, 1);
    insert into organization_members values (1, 1, 1);
    insert into tokens (hash, user_id, created_at) values ('${hashToken(token)}', 1, 1);
    insert into channels (last_id) values (1);
    insert into flows (id, channel_id, organization_id, slug, name, description, access_mode, join_code, disabled,
      created_at) values ('f', 1, 1, 'main', 'Main', '', 'organization', 'x', 0, 1);
    insert into flow_members (flow_id, user_id, open, disabled) values ('f', 1, 1, 0);
    insert into threads (id, channel_id, title, fields_json, actions_json, activities, internal_comments,
      external_comments, initial_message, created_at, updated_at) values ('t', 1, 'kept', '[]', '[]', 0, 1, 0, 1, 1, 1);
    insert into messages (channel_id, id, event, user_id, thread_id, app, content_json, tags_json, attachments_json, sent)
      values (1, 1, 'message', 1, 't', 'chat', '"kept since then"', '["old"]', '[]', 1);
    insert into message_tags values (1, 'old', 1);
    insert into channels (last_id) values (1);
    insert into flows (id, channel_id, organization_id, slug, name, description, access_mode, join_code, disabled,
      created_at) values ('g', 2, 1, 'inbox', 'Inbox', '', 'invitation', 'y', 0, 1);
    insert into applications (name) values ('CI');
    insert into sources (flow_id, application_id, creator_id, name, token_hash, created_at, updated_at)
      values ('g', 1, 1, 'CI', '${hashToken(flowToken)}', 1, 1);
    insert into threads (id, channel_id, source_id, external_thread_id, title, fields_json, actions_json, activities,
      internal_comments, external_comments, initial_message, created_at, updated_at)
      values ('s', 2, 1, '1', 'Build', '[]', '[]', 1, 0, 0, 1, 1, 1);
    insert into messages (channel_id, id, event, user_id, uuid, thread_id, app, content_json, tags_json, title,
      attachments_json, sent) values (2, 1, 'activity', 0, 'sent-before', 's', 'influx', 'null', '[]', 'built', '[]', 1);
    insert into message_words (${words}) values (${values});`)
  if (names.indexOf(version) >= names.indexOf('0005-senders-and-codes'))
    old.exec('update messages set source_id = 1 where user_id = 0')
  old.close()
}

describe.each(names)('a database of version %s', (version) => {
  test('is brought up to date with everything in it, searched words included', async () => {
    const dataDir = await makeFolder()
    await makeOld(dataDir, version)
    const backend = await startTestBackend({ dataDir })
    onTestFinished(backend.close)
    const joe = (method: string, path: string, body?: unknown) =>
      call(backend.url + path, method, { authorization: basic(token) }, body)
    const main = '/flows/old/main'
    expect((await joe('GET', '/flows')).json).toMatchObject([{ id: 'f', unread_mentions: 0 }])
    for (const query of ['', 'search=kept', 'search=SINCE%20then', 'tags=old'])
      expect((await joe('GET', `${main}/messages?${query}`)).json, query).toMatchObject([
        { id: 1, content: 'kept since then', thread: { title: 'kept' }, emojiReactions: {} },
      ])
    const sent = await joe('POST', `${main}/messages`, { event: 'message', content: 'and now' })
    expect(sent.json.id).toBe(2)
    expect((await joe('GET', `${main}/messages?search=now`)).json).toMatchObject([{ id: 2 }])
    const repeated = await call(
      `${backend.url}/messages?wait=1`,
      'POST',
      {},
      {
        ...{ flow_token: flowToken, uuid: 'sent-before', event: 'activity', title: 'built' },
        ...{ author: { name: 'CI' }, external_thread_id: '1' },
      },
    )
    expect(repeated.json).toMatchObject({ id: 1, thread: { activities: 1 } })
  })
})

test('an upgrade that fails half-way leaves everything as it was', async () => {
  const dataDir = await makeFolder()
  await makeOld(dataDir, '0003-legacy-and-invitations')
  const path = join(dataDir, 'flowdock.db')
  const execute = (statement: string) => {
    const database = new DatabaseSync(path)
    database.exec(statement)
    database.close()
  }
  // In the way of the last migration, behind the point where it has replaced the word index.
  execute('create table oauth_grants (something text)')
  await expect(startTestBackend({ dataDir })).rejects.toThrow('oauth_grants')
  execute('drop table oauth_grants')
  const backend = await startTestBackend({ dataDir })
  onTestFinished(backend.close)
  const headers = { authorization: basic(token) }
  const found = await call(`${backend.url}/flows/old/main/messages?search=kept`, 'GET', headers)
  expect(found.json).toMatchObject([{ content: 'kept since then' }])
})

test('a database of a newer version is left alone', async () => {
  const dataDir = await makeFolder()
  await makeOld(dataDir, names.at(-1) ?? '')
  const database = new DatabaseSync(join(dataDir, 'flowdock.db'))
  database.exec("insert into kysely_migration values ('9999-from-the-future', '2999-01-01')")
  database.close()
  await expect(startTestBackend({ dataDir })).rejects.toThrow('9999-from-the-future')
})

test('editing again and again, which the word index numbers past what a number holds, never stops writing', async () => {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  const ada = backend.as('Ada')
  const path = '/flows/example/main/messages'
  const { json } = await ada('POST', path, { event: 'message', content: 'word 0' })
  for (let turn = 1; turn <= 40; turn += 1) {
    const edit = await ada('PUT', `${path}/${json.id}`, { content: `word ${turn}` })
    expect(edit.status).toBe(200)
    await ada('DELETE', `${path}/${(await ada('POST', path, { event: 'message', content: 'gone' })).json.id}`)
  }
  expect((await ada('GET', `${path}?search=40`)).json).toMatchObject([{ id: json.id, content: 'word 40' }])
  expect((await ada('GET', `${path}?search=39`)).json).toEqual([])
})
