import * as presence from '../resolvers/presence.ts'
import type { PresenceState as State } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const PresenceState = builder.enumType('PresenceState', {
  description: 'Whether somebody is there.',
  values: {
    ACTIVE: { value: 'active', description: 'There, and doing something.' },
    IDLE: { value: 'idle', description: 'There, and doing something else.' },
    OFFLINE: { value: 'offline', description: 'Not there.' },
  } as const,
})

builder.objectType('PresenceChanged', {
  description: 'Somebody came, went or fell idle; somebody you share a flow with. Kept nowhere.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({ type: 'User', nullable: true, description: 'Who it is.', resolve: presence.user }),
    presence: t.field({
      type: PresenceState,
      description: 'The presence of the user from now on.',
      resolve: ({ state }) => state,
    }),
  }),
})

builder.subscriptionField('presenceChanged', (t) =>
  t.field({
    type: 'FlowEvent',
    description:
      'Tells who of those you share a flow with is there: first everybody who is, as `PresenceChanged`, then each change. `UserActive` comes again and again while somebody is, and is all there is where the upstream tells no presence. Kept nowhere.',
    subscribe: presence.subscribePresenceChanged,
    resolve: (event) => event,
  }),
)

const SetPresencePayload = mutationPayload<{ state: State; lastsMs: number }>('SetPresencePayload', {
  description: 'Others know whether you are there.',
  fields: (t) => ({
    state: t.field({ type: PresenceState, description: 'What they know.', resolve: ({ state }) => state }),
    lastsMs: t.exposeInt('lastsMs', {
      description: 'For how many milliseconds it holds unless said again; 0 for `OFFLINE`.',
    }),
  }),
})

const SetPresenceInput = mutationInput('SetPresenceInput', {
  description: 'Whether you are there.',
  fields: (t) => ({
    state: t.field({ type: PresenceState, required: true, description: 'Whether you are there.' }),
  }),
})

builder.mutationField('setPresence', (t) =>
  t.field({
    type: SetPresencePayload,
    description:
      'Says whether you are there. It holds for a while: say it again while you are. Needs the capability `PRESENCE`.',
    args: { input: t.arg({ type: SetPresenceInput, required: true, description: 'Whether you are.' }) },
    errors: mutationResult('SetPresenceResult', 'What others know now, or why nothing was told.'),
    resolve: presence.setPresence,
  }),
)
