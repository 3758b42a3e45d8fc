import { type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import { anyText, type Database, isPostgres, numbersIn, type Tables } from './db.ts'
import type { MessageRow } from './messages.ts'
import { prepared } from './prepared.ts'

export interface MessageSearch {
  readonly events?: readonly string[] | undefined
  readonly words: readonly string[]
  readonly tags: readonly string[]
  readonly tagMode: 'and' | 'or'
  /** How many of the newest matches to leave out. */
  readonly skip: number
  readonly limit: number
  readonly threadId?: string | undefined
}

/** A message that was found, with what orders those of several channels. */
export interface Match {
  readonly seq: number
  readonly id: number
  readonly sent: number
}

/** No message has more tags. */
const maxTags = 50

/** Messages that have all the words, united with those that have the tags: `limit` of them, the newest first. */
export async function findMatches(
  db: Database,
  channelId: number,
  search: MessageSearch,
): Promise<readonly Match[]> {
  const most = search.skip + search.limit
  const [first = [], ...others] = await Promise.all(newestMatches(db, channelId, search, most))
  // What one query found is in order, and has each message once.
  if (others.length === 0) return first.slice(search.skip)
  const bySeq = new Map([first, ...others].flat().map((match) => [match.seq, match]))
  return [...bySeq.values()].sort((a, b) => b.seq - a.seq).slice(search.skip, most)
}

/** The same as rows, ascending. */
export async function searchMessages(
  db: Database,
  channelId: number,
  search: MessageSearch,
): Promise<MessageRow[]> {
  const found = await findMatches(db, channelId, search)
  return (await listMessagesBySeq(db, found)).toSorted((a, b) => a.id - b.id)
}

const bySeqs = prepared<{ seqs: string }, MessageRow>((db, { seqs }) =>
  db.selectFrom('messages').selectAll().where('seq', 'in', numbersIn(seqs)),
)

/** Those of these messages that still exist, in any order. */
export async function listMessagesBySeq(
  db: Database,
  found: readonly Pick<Match, 'seq'>[],
): Promise<readonly MessageRow[]> {
  if (found.length === 0) return []
  return bySeqs(db, { seqs: JSON.stringify(found.map(({ seq }) => seq)) })
}

/** The queries whose results together are the matches. Each returns the newest `most` from an index in that order. */
function newestMatches(
  db: Database,
  channelId: number,
  search: MessageSearch,
  most: number,
): Promise<readonly Match[]>[] {
  const { words, tags, tagMode } = search
  const [tag, ...others] = [...new Set(tags)].slice(0, maxTags)
  const tagged =
    tag === undefined
      ? []
      : tagMode === 'and'
        ? [withTags(db, channelId, search, most, tag, others)]
        : [tag, ...others].map((one) => withTags(db, channelId, search, most, one, []))
  return [...(words.length > 0 ? [withWords(db, channelId, search, most)] : []), ...tagged]
}

/** The words of a search, as each database takes them, and the channel. */
interface Terms {
  readonly channel: string
  /** For PostgreSQL, the words; for SQLite, the words and the channel. */
  readonly query: string
}

const byWords = prepared<Terms & { most: number }, Match>((db, terms) => wordQuery(db, terms, terms.most))

function wordQuery(db: Database, terms: Terms, most: number) {
  return db
    .selectFrom('message_words')
    .innerJoin('messages', 'messages.seq', 'message_words.rowid')
    .select(['messages.seq', 'messages.id', 'messages.sent'])
    .where(matchesWords(db, terms))
    .orderBy('message_words.rowid', 'desc')
    .limit(most)
}

function matchesWords(db: Database, { channel, query }: Terms) {
  return isPostgres(db)
    ? sql<SqlBool>`message_words.channel = ${channel} and message_words.words @@ cast(${query} as tsquery)`
    : sql<SqlBool>`message_words match ${query}`
}

async function withWords(
  db: Database,
  channelId: number,
  search: MessageSearch,
  most: number,
): Promise<readonly Match[]> {
  const { words, events, threadId } = search
  const channel = String(channelId)
  const query = isPostgres(db)
    ? words.map((word) => `'${word}'`).join(' & ')
    : `channel:"${channel}" AND words:(${words.map((word) => `"${word}"`).join(' ')})`
  if (events === undefined && threadId === undefined) return byWords(db, { channel, query, most })
  return narrowed(wordQuery(db, { channel, query }, most), search).execute()
}

async function withTags(
  db: Database,
  channelId: number,
  search: MessageSearch,
  most: number,
  tag: string,
  others: readonly string[],
): Promise<readonly Match[]> {
  let query = db
    .selectFrom('message_tags')
    .innerJoin('messages', 'messages.seq', 'message_tags.seq')
    .select(['messages.seq', 'messages.id', 'messages.sent'])
    .where('message_tags.channel_id', '=', channelId)
    .where('message_tags.tag', '=', tag)
    .orderBy('message_tags.seq', 'desc')
    .limit(most)
  for (const [index, other] of others.entries())
    query = query.where(({ exists, selectFrom }) =>
      exists(
        selectFrom(`message_tags as other${index}`)
          .select(`other${index}.seq`)
          .where(`other${index}.channel_id`, '=', channelId)
          .where(`other${index}.tag`, '=', other)
          .whereRef(`other${index}.seq`, '=', 'message_tags.seq'),
      ),
    )
  return narrowed(query, search).execute()
}

/** Only messages of the kinds and of the thread of a search. */
function narrowed<TB extends keyof Tables>(
  query: SelectQueryBuilder<Tables, TB | 'messages', Match>,
  { events, threadId }: MessageSearch,
) {
  let narrow = query as SelectQueryBuilder<Tables, 'messages', Match>
  if (events !== undefined) narrow = narrow.where('messages.event', 'in', anyText(events))
  if (threadId !== undefined) narrow = narrow.where('messages.thread_id', '=', threadId)
  return narrow
}
