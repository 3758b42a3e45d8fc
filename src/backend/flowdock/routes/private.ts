import type { WireConversation } from '../../../wire/flowdock.ts'
import { invalid, notFound } from '../../http/errors.ts'
import {
  type ConversationRow,
  countUnread,
  findConversation,
  listConversations,
} from '../../store/conversations.ts'
import { channelLastId } from '../../store/flows.ts'
import { findUser, shareOrganization, type UserRow } from '../../store/users.ts'
import { otherUser } from '../channel.ts'
import { encodeConversation } from '../encode.ts'
import { ensureConversation, setConversationOpen } from '../operations/conversations.ts'
import { activityEvent } from '../presence.ts'
import type { Backend, Route, UserRequest } from '../route.ts'
import { idSegment } from './access.ts'
import {
  type ChannelAccess,
  deleteAnswer,
  editAnswer,
  listAnswer,
  reactAnswer,
  readAnswer,
  sendAnswer,
  showAnswer,
} from './channel-messages.ts'

const privateEvents = ['message', 'file', 'line']

/** [flowdock] private-conversations.md, private-messages.md */
export const privateRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/private',
    auth: 'user',
    async handle({ user, base }, { store }) {
      const conversations = await listConversations(store.reader, user.id)
      const channelIds = conversations.map(({ channel_id }) => channel_id)
      const unread = await countUnread(store.reader, user.id, channelIds)
      const body = await Promise.all(
        conversations.map(async (conversation) => {
          const other = (await findUser(store.reader, otherUser(conversation, user.id))) as UserRow
          return encodeConversation(conversation, user, other, unread.get(conversation.channel_id) ?? 0, base)
        }),
      )
      return { status: 200, body }
    },
  },
  {
    method: 'GET',
    pattern: '/private/:user',
    auth: 'user',
    async handle(request, backend) {
      const { conversation, other } = await conversationWith(request, backend)
      return { status: 200, body: await encode(request, backend, conversation, other) }
    },
  },
  {
    method: 'PUT',
    pattern: '/private/:user',
    auth: 'user',
    async handle(request, backend) {
      const { user } = request
      const open = request.params.boolean('open')
      if (open === undefined) throw invalid({ open: ["can't be blank"] })
      const { conversation, other } = await conversationWith(request, backend)
      const updated = await backend.log.write(async ({ db }) => {
        if (!(await shareOrganization(db, user.id, other.id))) throw notFound()
        await setConversationOpen(db, conversation, user.id, open)
        return (await findConversation(db, user.id, other.id)) as ConversationRow
      })
      return { status: 200, body: await encode(request, backend, updated, other) }
    },
  },
  {
    method: 'GET',
    pattern: '/private/:user/messages',
    auth: 'user',
    handle: async (request, backend) =>
      listAnswer(request, backend, (await conversationWith(request, backend)).conversation),
  },
  {
    method: 'POST',
    pattern: '/private/:user/messages',
    auth: 'user',
    handle: async (request, backend) =>
      sendAnswer(request, backend, await access(request, backend), privateEvents),
  },
  {
    method: 'GET',
    pattern: '/private/:user/messages/:message',
    auth: 'user',
    async handle(request, backend) {
      const { conversation } = await conversationWith(request, backend)
      return showAnswer(request, backend, conversation, idSegment(request, 'message'))
    },
  },
  {
    method: 'PUT',
    pattern: '/private/:user/messages/:message',
    auth: 'user',
    handle: async (request, backend) =>
      editAnswer(request, backend, await access(request, backend), idSegment(request, 'message')),
  },
  {
    method: 'DELETE',
    pattern: '/private/:user/messages/:message',
    auth: 'user',
    handle: async (request, backend) =>
      deleteAnswer(request, backend, await access(request, backend), idSegment(request, 'message')),
  },
  {
    method: 'POST',
    pattern: '/private/:user/messages/:message/emoji_reaction',
    auth: 'user',
    handle: async (request, backend) =>
      reactAnswer(request, backend, await access(request, backend), idSegment(request, 'message')),
  },
  {
    method: 'POST',
    pattern: '/private/:user/typing',
    auth: 'user',
    async handle(request, backend) {
      const { conversation, other } = await conversationWith(request, backend)
      const id = await channelLastId(backend.store.reader, conversation.channel_id)
      const content = { last_activity: Date.now(), typing: true }
      const payload = activityEvent({ to: String(other.id) }, id, request.user.id, content)
      backend.traffic.countTyping(request.principal, JSON.stringify(payload).length)
      backend.presence.publish({ flowIds: [], userId: other.id, isPresence: false, payload })
      return { status: 200, body: {} }
    },
  },
  {
    method: 'POST',
    pattern: '/private/:user/read',
    auth: 'user',
    handle: async (request, backend) => readAnswer(request, backend, await access(request, backend)),
  },
]

async function encode(
  { user, base }: UserRequest,
  { store }: Backend,
  conversation: ConversationRow,
  other: UserRow,
): Promise<WireConversation> {
  const unread = await countUnread(store.reader, user.id, [conversation.channel_id])
  return encodeConversation(conversation, user, other, unread.get(conversation.channel_id) ?? 0, base)
}

/** The conversation with the user in a path; the first request creates it. @throws 404 for a user of no common organization */
async function conversationWith(
  request: UserRequest,
  { store, log }: Backend,
): Promise<{ conversation: ConversationRow; other: UserRow }> {
  const id = idSegment(request, 'user')
  const other = id === request.user.id ? undefined : await findUser(store.reader, id)
  if (other === undefined || !(await shareOrganization(store.reader, request.user.id, id))) throw notFound()
  const known = await findConversation(store.reader, request.user.id, id)
  if (known !== undefined) return { conversation: known, other }
  if (request.isActedAs) return { conversation: emptyConversation(request.user.id, id), other }
  const conversation = await log.write(async (change) => {
    if (!(await shareOrganization(change.db, request.user.id, id))) throw notFound()
    return ensureConversation(change, request.user.id, id)
  })
  return { conversation, other }
}

/** A conversation that is not created yet, as it is when it is: no channel has this number. */
function emptyConversation(one: number, other: number): ConversationRow {
  const [low_user_id, high_user_id] = one < other ? [one, other] : [other, one]
  return { channel_id: 0, low_user_id, high_user_id, low_open: 0, high_open: 0 }
}

async function access(request: UserRequest, backend: Backend): Promise<ChannelAccess> {
  const { conversation, other } = await conversationWith(request, backend)
  return {
    channel: conversation,
    async check(db) {
      if (!(await shareOrganization(db, request.user.id, other.id))) throw notFound()
    },
  }
}
