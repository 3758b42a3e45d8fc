import { invalid } from '../../http/errors.ts'
import { listFlows, listMentionable } from '../../store/flows.ts'
import { searchMessages } from '../../store/messages.ts'
import type { Route } from '../route.ts'
import { resolveTag } from '../tags.ts'
import { checkSearchTags, encodeMessages, jsonList, wordsToSearch } from './channel-messages.ts'

/** The most flows that one search covers: those with the newest messages. */
const maxFlows = 100

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
      const tagMode = params.string('tag_mode') === 'or' ? 'or' : 'and'
      const flows = (await listFlows(reader, user.id, 'joined'))
        .toSorted((a, b) => (b.last_message_at ?? 0) - (a.last_message_at ?? 0))
        .slice(0, maxFlows)
      const found = await Promise.all(
        flows.map(async (flow) => {
          const members = await listMentionable(reader, flow.id)
          const tags = [...new Set(given.map((tag) => (resolveTag(tag, members) ?? tag).toLowerCase()))]
          const rows = await searchMessages(reader, flow.channel_id, { words, tags, tagMode, skip: 0, limit })
          const messages = await encodeMessages(reader, flow, rows, base, onError)
          return messages.map((message) => ({ ...message, flow: flow.id }))
        }),
      )
      const messages = found
        .flat()
        .toSorted((a, b) => a.row.sent - b.row.sent || a.row.id - b.row.id || (a.flow < b.flow ? -1 : 1))
      return { status: 200, json: jsonList(messages.slice(-limit)) }
    },
  },
]
