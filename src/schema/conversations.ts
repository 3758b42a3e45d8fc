import * as conversations from '../resolvers/conversations.ts'
import type { PrivateConversation } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

builder.objectType('PrivateConversation', {
  description: 'The private messages between you and one other user.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: conversations.id }),
    databaseId: t.int({
      description: 'The number of the other user, by which the upstream identifies the conversation.',
      resolve: ({ user }) => user.id,
    }),
    user: t.field({ type: 'User', description: 'The other user.', resolve: ({ user }) => user }),
    isOpen: t.exposeBoolean('isOpen', {
      description: 'Whether the conversation is open in your list of conversations.',
    }),
    unreadMentions: t.exposeInt('unreadMentions', {
      nullable: true,
      description: 'The number of unread messages that mention you. Null when the upstream does not say.',
    }),
    hasUnread: t.exposeBoolean('hasUnread', {
      nullable: true,
      description: 'Whether the conversation has unread messages. Null when the upstream does not say.',
    }),
    url: t.exposeString('url', nullable('The URL in the REST API. Null when the upstream gives none.')),
  }),
})

builder.queryFields((t) => ({
  privateConversations: t.connection(
    {
      type: 'PrivateConversation',
      calls: { each: 1 },
      listSize: 100,
      description:
        'Your private conversations, ordered by the number of the other user; `first: 100` by default.',
      resolve: conversations.privateConversations,
    },
    { name: 'PrivateConversationConnection' },
    { name: 'PrivateConversationEdge' },
  ),
  privateConversation: t.field({
    type: 'PrivateConversation',
    nullable: true,
    calls: { each: 1 },
    description:
      'Your private conversation with a user. Null when the user does not exist or shares no organization with you.',
    args: { userId: t.arg.id({ required: true, description: 'The global id of the other user.' }) },
    resolve: conversations.privateConversation,
  }),
}))

const PrivateConversationPayload = mutationPayload<{ conversation: PrivateConversation }>(
  'PrivateConversationPayload',
  {
    description: 'A private conversation was opened or closed.',
    fields: (t) => ({
      conversation: t.field({
        type: 'PrivateConversation',
        description: 'The conversation after the change.',
        resolve: ({ conversation }) => conversation,
      }),
    }),
  },
)

mutation('openPrivateConversation', {
  description: 'Opens a private conversation in your list of conversations. Creates it if it does not exist.',
  input: mutationInput('OpenPrivateConversationInput', {
    description: 'The private conversation to open.',
    fields: (t) => ({ userId: t.id({ required: true, description: 'The global id of the other user.' }) }),
  }),
  payload: PrivateConversationPayload,
  resolve: conversations.openPrivateConversation,
})

mutation('closePrivateConversation', {
  description:
    'Closes a private conversation in your list of conversations. It opens again with the next message to you.',
  input: mutationInput('ClosePrivateConversationInput', {
    description: 'The private conversation to close.',
    fields: (t) => ({ userId: t.id({ required: true, description: 'The global id of the other user.' }) }),
  }),
  payload: PrivateConversationPayload,
  resolve: conversations.closePrivateConversation,
})
