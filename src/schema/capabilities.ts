import * as capabilities from '../resolvers/capabilities.ts'
import { builder } from './builder.ts'

const Capability = builder.enumType('Capability', {
  description:
    'A feature that only some upstreams have. The embedded backend has all of them, `RULES` where it serves flowthings.',
  values: {
    ACTIVITY: { value: 'activity', description: 'Count any number of messages, for `Flow.activity`.' },
    AVATAR: { value: 'avatar', description: 'Set your picture, for `setAvatar`.' },
    CREATE_THREAD: {
      value: 'createThread',
      description: 'Create a thread without a message, for `createThread`.',
    },
    FOLLOW_FLOWS: {
      value: 'followFlows',
      description:
        'Deliver events of flows that you join while a stream is open, and mark the end of a replay.',
    },
    MARK_READ: { value: 'markRead', description: 'Mark mentions as read, for `markRead`.' },
    MOVE_MESSAGE: {
      value: 'moveMessage',
      description: 'Move a message to another thread, for `moveMessageToThread`.',
    },
    PRESENCE: {
      value: 'presence',
      description: 'Show whether users are present, for `setPresence` and `User.presence`.',
    },
    REMOVE_REACTION: { value: 'removeReaction', description: 'Remove a reaction, for `removeReaction`.' },
    ROTATE_PUSH_TOKEN: {
      value: 'rotatePushToken',
      description: 'Replace the push token of a flow, for `rotatePushToken`.',
    },
    RULES: {
      value: 'rules',
      description: 'Join flows with flows of flowthings, for `createDropRule` and `createTagRule`.',
    },
    SEARCH: { value: 'search', description: 'Search all flows in one request, for `search`.' },
    TYPING: { value: 'typing', description: 'Show that a user is typing, for `setTyping`.' },
  } as const,
})

builder.queryField('capabilities', (t) =>
  t.field({
    type: [Capability],
    calls: { once: ['capabilities'] },
    description: 'The features that the upstream has beyond Flowdock’s own API.',
    resolve: capabilities.capabilities,
  }),
)
