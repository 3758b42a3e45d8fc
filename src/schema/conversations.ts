import * as conversations from '../resolvers/conversations.ts'
import type { PrivateConversation } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

builder.objectType('PrivateConversation', {
  description: 'What you and somebody write to each other, and nobody else reads.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: conversations.id }),
    databaseId: t.int({
      description: 'The number by which the upstream knows the conversation: that of the other user.',
      resolve: ({ user }) => user.id,
    }),
    user: t.field({ type: 'User', description: 'The other one.', resolve: ({ user }) => user }),
    isOpen: t.exposeBoolean('isOpen', { description: 'Whether you keep a tab open for it.' }),
    unreadMentions: t.exposeInt('unreadMentions', {
      nullable: true,
      description: 'How many messages mention you that you have not read; null where it is not said.',
    }),
    hasUnread: t.exposeBoolean('hasUnread', {
      nullable: true,
      description: 'Whether there is something you have not read; null where it is not said.',
    }),
    url: t.exposeString('url', { nullable: true, description: 'The URL in the REST API.' }),
  }),
})

builder.queryFields((t) => ({
  privateConversations: t.connection(
    {
      type: 'PrivateConversation',
      calls: { each: 1 },
      listSize: 100,
      description: 'Yours, by the number of the other one.',
      resolve: conversations.privateConversations,
    },
    { name: 'PrivateConversationConnection' },
    { name: 'PrivateConversationEdge' },
  ),
  privateConversation: t.field({
    type: 'PrivateConversation',
    nullable: true,
    calls: { each: 1 },
    description: 'The one with somebody; null for nobody, or somebody you share no organization with.',
    args: { userId: t.arg.id({ required: true, description: 'The global id of the other one.' }) },
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
        description: 'The conversation as it is now.',
        resolve: ({ conversation }) => conversation,
      }),
    }),
  },
)

const OpenPrivateConversationInput = mutationInput('OpenPrivateConversationInput', {
  description: 'A private conversation to open.',
  fields: (t) => ({ userId: t.id({ required: true, description: 'The global id of the other user.' }) }),
})

const ClosePrivateConversationInput = mutationInput('ClosePrivateConversationInput', {
  description: 'A private conversation to close.',
  fields: (t) => ({ userId: t.id({ required: true, description: 'The global id of the other user.' }) }),
})

builder.mutationFields((t) => ({
  openPrivateConversation: t.field({
    type: PrivateConversationPayload,
    description: 'Opens the tab of a private conversation, which begins if there was none.',
    args: { input: t.arg({ type: OpenPrivateConversationInput, required: true, description: 'With whom.' }) },
    errors: mutationResult('OpenPrivateConversationResult', 'The conversation, or why there is none.'),
    resolve: conversations.openPrivateConversation,
  }),
  closePrivateConversation: t.field({
    type: PrivateConversationPayload,
    description: 'Closes the tab of a private conversation. It opens again when something is written to you.',
    args: {
      input: t.arg({ type: ClosePrivateConversationInput, required: true, description: 'With whom.' }),
    },
    errors: mutationResult('ClosePrivateConversationResult', 'The conversation, or why it is as it was.'),
    resolve: conversations.closePrivateConversation,
  }),
}))
