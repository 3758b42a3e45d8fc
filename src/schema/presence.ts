import * as presence from '../resolvers/presence.ts'
import type { PresenceState as State } from '../upstream/flowdock/model.ts'
import { builder } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const PresenceState = builder.enumType('PresenceState', {
  description: 'The presence of a user.',
  values: {
    ACTIVE: { value: 'active', description: 'The user is active.' },
    IDLE: { value: 'idle', description: 'The user has a client open but is not active.' },
    OFFLINE: { value: 'offline', description: 'The user has no client open.' },
  } as const,
})

builder.objectType('PresenceChanged', {
  description:
    'The presence of a user with whom you share a flow changed. It is not stored and not replayed.',
  interfaces: ['FlowEvent'],
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      description: 'The user. Null when you cannot see the user.',
      resolve: presence.user,
    }),
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

const SetPresencePayload = mutationPayload<{ presence: State; lastsMs: number }>('SetPresencePayload', {
  description: 'The result of a published presence.',
  fields: (t) => ({
    presence: t.field({
      type: PresenceState,
      description: 'The published presence.',
      resolve: ({ presence }) => presence,
    }),
    lastsMs: t.exposeInt('lastsMs', {
      description: 'The number of milliseconds until the presence expires. 0 for `OFFLINE`.',
    }),
  }),
})

mutation('setPresence', {
  description:
    'Publishes your presence to the users with whom you share a flow. It expires after `lastsMs`: repeat the mutation while you are present. Needs the capability `PRESENCE`.',
  input: mutationInput('SetPresenceInput', {
    description: 'Your presence.',
    fields: (t) => ({
      presence: t.field({ type: PresenceState, required: true, description: 'Your presence.' }),
    }),
  }),
  payload: SetPresencePayload,
  resolve: presence.setPresence,
})
