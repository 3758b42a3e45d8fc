import { type Kysely, PostgresAdapter, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { statementMigration } from './statements.ts'

/** Queries use composed text (NFC). Tags and words that earlier versions stored may be decomposed. */
const postgresText = statementMigration([
  `insert into message_tags (channel_id, tag, seq)
    select channel_id, normalize(tag), seq from message_tags where tag is not normalized on conflict do nothing`,
  'delete from message_tags where tag is not normalized',
  'update messages set tags_json = normalize(tags_json) where tags_json is not normalized',
  `update message_words set words = cast(normalize(cast(words as text)) as tsvector)
    where cast(words as text) is not normalized`,
])

/** Earlier versions left the unread mark when an edit removed a mention. Private messages are marked without a mention. */
const unreadMarks = statementMigration([
  {
    sqlite: `update messages set tags_json = (select json_group_array(value) from json_each(tags_json) where
        value not like ':unread:%' or exists (select 1 from json_each(messages.tags_json) other
          where other.value in (':user:everyone', ':user:' || substr(json_each.value, 9))))
      where tags_json like '%":unread:%' and channel_id in (select channel_id from flows)`,
    postgres: `update messages set tags_json = coalesce((select json_agg(tag)::text
        from json_array_elements_text(tags_json::json) tag where tag not like ':unread:%' or exists (
          select 1 from json_array_elements_text(messages.tags_json::json) other
          where other in (':user:everyone', ':user:' || substr(tag, 9)))), '[]')
      where tags_json like '%":unread:%' and channel_id in (select channel_id from flows)`,
  },
  `delete from message_tags where tag like ':unread:%' and channel_id in (select channel_id from flows)
    and not exists (select 1 from message_tags other where other.channel_id = message_tags.channel_id
      and other.seq = message_tags.seq and other.tag in (':user:everyone', ':user:' || substr(message_tags.tag, 9)))`,
])

const isDecomposed = (text: string) => text !== text.normalize()

async function composeInSqlite(database: Kysely<unknown>): Promise<void> {
  const tags = await sql<{ tag: string }>`select distinct tag from message_tags`.execute(database)
  for (const tag of tags.rows.map((row) => row.tag).filter(isDecomposed)) {
    await sql`insert or ignore into message_tags (channel_id, tag, seq)
      select channel_id, ${tag.normalize()}, seq from message_tags where tag = ${tag}`.execute(database)
    const tagged = await sql<{ seq: number; tags_json: string }>`select seq, tags_json from messages
      where seq in (select seq from message_tags where tag = ${tag})`.execute(database)
    for (const { seq, tags_json } of tagged.rows)
      await sql`update messages set tags_json = ${tags_json.normalize()} where seq = ${seq}`.execute(database)
    await sql`delete from message_tags where tag = ${tag}`.execute(database)
  }
  await sql`create virtual table temp.term_list using fts5vocab(main, message_words, row)`.execute(database)
  const terms = await sql<{ term: string }>`select term from temp.term_list`.execute(database)
  await sql`drop table temp.term_list`.execute(database)
  const wanted = terms.rows.map(({ term }) => term).filter(isDecomposed)
  if (wanted.length === 0) return
  await sql`create virtual table temp.word_list using fts5vocab(main, message_words, instance)`.execute(
    database,
  )
  const messages = await sql<{ seq: number; channel: string; words: string }>`
    select doc as seq, messages.channel_id as channel, group_concat(term, ' ') as words
    from temp.word_list join messages on messages.seq = doc
    where col = 'words' and doc in (
      select doc from temp.word_list where term in (select value from json_each(${JSON.stringify(wanted)})))
    group by doc`.execute(database)
  await sql`drop table temp.word_list`.execute(database)
  for (const { seq, channel, words } of messages.rows) {
    await sql`delete from message_words where rowid = ${seq}`.execute(database)
    await sql`insert into message_words (rowid, channel, words)
      values (${seq}, ${String(channel)}, ${words.normalize()})`.execute(database)
  }
}

export const composedText: Migration = {
  async up(database: Kysely<unknown>) {
    if (database.getExecutor().adapter instanceof PostgresAdapter) await postgresText.up(database)
    else await composeInSqlite(database)
    await unreadMarks.up(database)
  },
}
