import * as capabilities from '../resolvers/capabilities.ts'
import { builder } from './builder.ts'

const Capability = builder.enumType('Capability', {
  description: 'What only some upstreams can do. The embedded backend can do all of it.',
  values: {
    ACTIVITY: { value: 'activity', description: 'Count what was written, however much.' },
    AVATAR: { value: 'avatar', description: 'Set a picture of oneself.' },
    CREATE_THREAD: { value: 'createThread', description: 'Begin a thread without a message.' },
    FOLLOW_FLOWS: {
      value: 'followFlows',
      description: 'Tell of flows one comes into later on a stream that is open, and end a replay.',
    },
    MARK_READ: { value: 'markRead', description: 'Mark mentions read.' },
    MOVE_MESSAGE: { value: 'moveMessage', description: 'Move a message to another thread.' },
    PRESENCE: { value: 'presence', description: 'Say whether one is there.' },
    REMOVE_REACTION: { value: 'removeReaction', description: 'Take a reaction back.' },
    ROTATE_PUSH_TOKEN: { value: 'rotatePushToken', description: 'Replace the push token of a flow.' },
    SEARCH: { value: 'search', description: 'Search every flow at once.' },
    TYPING: { value: 'typing', description: 'Say that one types.' },
  } as const,
})

builder.queryField('capabilities', (t) =>
  t.field({
    type: [Capability],
    calls: { once: ['capabilities'] },
    description: 'What this upstream can do beyond Flowdock’s own API.',
    resolve: capabilities.capabilities,
  }),
)
