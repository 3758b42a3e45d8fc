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

builder.objectField('User', 'presence', (t) =>
  t.field({
    type: PresenceState,
    nullable: true,
    calls: { once: ['capabilities', 'presences'] },
    isVolatile: true,
    description:
      'Whether the user is present now. Null for a user with whom you share no flow, and for an upstream without the capability `PRESENCE`.',
    resolve: presence.userPresence,
  }),
)

const PresenceFilter = builder.inputType('PresenceFilter', {
  description: 'The changes of presence to deliver. A change must match every field that is given.',
  fields: (t) => ({
    userIds: t.idList({
      description: 'The global ids of the users whose presence to deliver, at most 1,000.',
    }),
    presences: t.field({
      type: [PresenceState],
      description: 'The new presence of the user is one of these.',
    }),
  }),
})

const PresenceChangedInput = builder.inputType('PresenceChangedInput', {
  description: 'The presence to subscribe to.',
  fields: (t) => ({
    filter: t.field({
      type: PresenceFilter,
      description: 'The changes to deliver; all unless given.',
    }),
  }),
})

builder.subscriptionField('presenceChanged', (t) =>
  t.field({
    type: 'FlowEvent',
    description:
      'Delivers the presence of the users with whom you share a flow as `PresenceChanged`: first of each user who is present, then each change. It has no history: a new subscription begins with the present again. Where the upstream sends no presence, nothing is delivered; `flowEvents(input: { kinds: [USER_ACTIVE] })` has the activity pings.',
    args: {
      input: t.arg({
        type: PresenceChangedInput,
        required: true,
        defaultValue: {},
        description: 'The presence to subscribe to.',
      }),
    },
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
