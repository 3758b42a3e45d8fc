import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Migrator } from 'kysely/migration'
import { describe, expect, onTestFinished, test } from 'vitest'
import { migrations } from '../../src/backend/store/migrations/index.ts'
import { openSqliteWriter } from '../../src/backend/store/sqlite.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { basic, call, makeFolder, startTestBackend } from '../support/backend.ts'

const names = Object.keys(migrations)
const token = 'a'.repeat(32)
const flowToken = 'b'.repeat(32)

/** Undoes the last migrations, for a database that is made older. */
const undoLast = `drop table database_identity; alter table events drop column kind; drop table event_log; drop index tokens_by_user; drop table compatible_migrations;
  drop table rule_jobs; drop table rules; drop table things_permits; drop table things_task_lease; drop table things_task_packets; drop table things_task_runs;
  drop table things_arrivals; drop table things_counts; drop table things_script_jobs; drop table things_members; drop table things_objects; drop table things_drops; drop table things_flows; drop table things_accounts;`

/** A database as an earlier version left it, with somebody, a flow and messages in it. */
async function makeOld(dataDir: string, version: string): Promise<void> {
  const path = join(dataDir, 'flowdock.db')
  const database = openSqliteWriter<unknown>(path)
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

test('an older database: deleted messages lose their tags, and impossible times become possible', async () => {
  const dataDir = await makeFolder()
  const first = await startTestBackend({ dataDir })
  const ada = first.as('Ada')
  const path = '/flows/example/main/messages'
  const kept = (await ada('POST', path, { event: 'message', content: 'kept #release' })).json
  const gone = (await ada('POST', path, { event: 'message', content: 'gone #release' })).json
  const token = await first.token('Ada')
  await first.close()

  const database = new DatabaseSync(join(dataDir, 'flowdock.db'))
  database.exec(`delete from kysely_migration where name >= '0007'; ${undoLast}
    alter table messages drop column deleted_at;
    update messages set content_json = '""' where uuid = '${gone.uuid}';
    update messages set sent = 1400000000000000000 where uuid = '${kept.uuid}';
    update threads set updated_at = 1400000000000000000 where id = '${kept.thread_id}';`)
  database.close()

  const second = await startTestBackend({ dataDir })
  const read = (url: string) => call(second.url + url, 'GET', { authorization: basic(token) })
  const found = await read(`${path}?tags=release`)
  expect(found.json.map(({ id }: { id: number }) => id)).toEqual([kept.id])
  expect((await read(`${path}/${gone.id}`)).json).toMatchObject({ content: '', tags: [] })
  expect((await read('/flows/example/main/threads?limit=1')).json[0].id).toBe(kept.thread_id)
  await second.close()
})

test('an older database: decomposed text is found, and marks of removed mentions are gone', async () => {
  const dataDir = await makeFolder()
  const first = await startTestBackend({ dataDir })
  const ada = first.as('Ada')
  const path = '/flows/example/main/messages'
  const send = async (content: string) =>
    (await ada('POST', path, { event: 'message', content })).json as { id: number; uuid: string }
  const accented = await send('placeholder other')
  const removed = await send('hello')
  const mention = await send('hello @Ben')
  const everyone = await send('hello @everyone')
  const personal = (await ada('POST', '/private/2/messages', { event: 'message', content: 'hi' })).json
  const [adasToken, bensToken] = [await first.token('Ada'), await first.token('Ben')]
  await first.close()

  const database = new DatabaseSync(join(dataDir, 'flowdock.db'))
  const where = (uuid: string) => `from messages where uuid = '${uuid}'`
  database.exec(`delete from kysely_migration where name >= '0008'; ${undoLast}
    delete from message_words where rowid = (select seq ${where(accented.uuid)});
    insert into message_words (rowid, channel, words)
      select seq, cast(channel_id as text), '''cafe\u0301'' ''other''' ${where(accented.uuid)};
    insert into message_tags (channel_id, tag, seq) select channel_id, 'e\u0301t\u00e9', seq ${where(accented.uuid)};
    update messages set tags_json = '["e\u0301t\u00e9"]' where uuid = '${accented.uuid}';
    update messages set tags_json = '["x",":unread:2"]' where uuid = '${removed.uuid}';
    insert into message_tags (channel_id, tag, seq) select channel_id, ':unread:2', seq ${where(removed.uuid)};`)
  database.close()

  const second = await startTestBackend({ dataDir })
  onTestFinished(second.close)
  const read = async (url: string, token = adasToken) =>
    (await call(second.url + url, 'GET', { authorization: basic(token) })).json
  const ids = async (query: Record<string, string>) =>
    (await read(`${path}?${new URLSearchParams(query)}`)).map(({ id }: { id: number }) => id)
  for (const search of ['caf\u00e9', 'cafe\u0301', 'other caf\u00e9'])
    expect(await ids({ search })).toEqual([accented.id])
  for (const tags of ['\u00e9t\u00e9', 'e\u0301te\u0301']) expect(await ids({ tags })).toEqual([accented.id])
  expect((await read(`${path}/${accented.id}`)).tags).toEqual(['\u00e9t\u00e9'])
  expect((await read(`${path}/${removed.id}`)).tags).toEqual(['x'])
  expect((await read(`${path}/${mention.id}`)).tags).toEqual([':user:2', ':unread:2'])
  expect((await read(`${path}/${everyone.id}`)).tags).toContain(':unread:2')
  expect((await read(`/private/2/messages/${personal.id}`)).tags).toEqual([':unread:2'])
  const flows = (await read('/flows', bensToken)) as { parameterized_name: string; unread_mentions: number }[]
  expect(flows.find((flow) => flow.parameterized_name === 'main')?.unread_mentions).toBe(2)
})
