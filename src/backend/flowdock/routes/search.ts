import { invalid } from '../../http/errors.ts'
import type { Database } from '../../store/db.ts'
import { type FlowRow, listFlows, listMentionable } from '../../store/flows.ts'
import { findMatches, listMessagesBySeq, type Match } from '../../store/message-search.ts'
import { type EncodedMessage, encodeMessages, jsonList } from '../encoded-messages.ts'
import type { Backend, Route } from '../route.ts'
import { checkSearchTags, tagsToSearch, wordsToSearch } from './channel-messages.ts'

/** The most flows that one search covers: those with the newest messages. */
const maxFlows = 100

/** A message that was found in a flow. */
interface Found extends Match {
  readonly flow: FlowRow
}

/** An extension: the service searched one flow at a time. */
export const searchRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/search',
    auth: 'user',
    async handle({ params, user, base }, { store, onError }) {
      const { reader } = store
      const words = wordsToSearch(params.string('search') ?? '')
      const given = params.list('tags') ?? []
      checkSearchTags(given)
      if (words.length === 0 && given.length === 0) throw invalid({ search: ["can't be blank without tags"] })
      const limit = Math.min(Math.max(params.integer('limit') ?? 30, 1), 100)
      // An extension to the extension: fewer of the `limit` matches are sent, and a header says how many there are.
      const newest = Math.min(Math.max(params.integer('newest') ?? limit, 1), limit)
      const tagMode = params.string('tag_mode') === 'or' ? 'or' : 'and'
      const flows = (await listFlows(reader, user.id, 'joined'))
        .toSorted((a, b) => (b.last_message_at ?? 0) - (a.last_message_at ?? 0))
        .slice(0, maxFlows)
      const found = await Promise.all(
        flows.map(async (flow): Promise<Found[]> => {
          const tags = await tagsToSearch(given, user.id, () => listMentionable(reader, flow.id))
          const search = { words, tags, tagMode, skip: 0, limit } as const
          return (await findMatches(reader, flow.channel_id, search)).map((match) => ({ ...match, flow }))
        }),
      )
      const matches = found
        .flat()
        .toSorted((a, b) => a.sent - b.sent || a.id - b.id || (a.flow.id < b.flow.id ? -1 : 1))
      return {
        status: 200,
        json: jsonList(await encodeNewest(reader, matches, newest, base, onError)),
        headers: { 'Flowdock-Matches': String(Math.min(matches.length, limit)) },
      }
    },
  },
]

/** The newest `limit` matches whose rows are not damaged. Others are not read. @param matches ascending */
async function encodeNewest(
  db: Database,
  matches: readonly Found[],
  limit: number,
  base: string,
  onError: Backend['onError'],
): Promise<EncodedMessage[]> {
  const newest: EncodedMessage[] = []
  for (let end = matches.length; end > 0 && newest.length < limit; ) {
    const start = Math.max(end - (limit - newest.length), 0)
    newest.unshift(...(await encodeMatches(db, matches.slice(start, end), base, onError)))
    end = start
  }
  return newest
}

/** In their order. */
async function encodeMatches(
  db: Database,
  matches: readonly Found[],
  base: string,
  onError: Backend['onError'],
): Promise<EncodedMessage[]> {
  const rows = Map.groupBy(await listMessagesBySeq(db, matches), ({ channel_id }) => channel_id)
  const flows = new Set(matches.map(({ flow }) => flow))
  const encoded = await Promise.all(
    [...flows].map((flow) => encodeMessages(db, flow, rows.get(flow.channel_id) ?? [], base, onError)),
  )
  const bySeq = new Map(encoded.flat().map((message) => [message.row.seq, message]))
  return matches.flatMap(({ seq }) => bySeq.get(seq) ?? [])
}
