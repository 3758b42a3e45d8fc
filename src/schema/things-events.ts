import * as events from '../resolvers/things-events.ts'
import type { DropEvent } from '../upstream/flowthings/drop-events.ts'
import { builder } from './builder.ts'

builder.interfaceType('DropEvent', {
  description: 'What `dropAdded` delivers.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', {
      sharing: 'same',
      description: 'The position behind this event. Pass it as `after` to continue from here.',
    }),
  }),
  resolveType: events.eventType,
})

builder.objectType('DropAdded', {
  description: 'A drop arrived in a flow, or replaced the drop with the same `fhash`.',
  interfaces: ['DropEvent'],
  fields: (t) => ({
    drop: t.field({
      type: 'Drop',
      sharing: 'same',
      description: 'The drop.',
      resolve: (event) => event.drop,
    }),
  }),
})

const DropGapReason = builder.enumType('DropGapReason', {
  description: 'Why drops may be missing.',
  values: {
    NOT_STORED: {
      value: 'notStored',
      description: 'The flow has the capacity 0: what arrived meanwhile is not stored.',
    },
    EVICTED: {
      value: 'evicted',
      description: 'As many drops arrived as the flow stores, so earlier ones may have been deleted.',
    },
    UNREADABLE: { value: 'unreadable', description: 'A drop could not be read.' },
  } as const,
})

builder.objectType('DropGap', {
  description: 'Drops of a flow may be missing at this position.',
  interfaces: ['DropEvent'],
  fields: (t) => ({
    reason: t.field({ type: DropGapReason, description: 'Why.', resolve: (gap) => gap.reason }),
    from: t.field({
      type: 'DateTime',
      description: 'The time after which drops may be missing.',
      resolve: (gap) => gap.from,
    }),
    thingsFlow: t.field({
      type: 'ThingsFlow',
      nullable: true,
      calls: { isBulk: true },
      description: 'The flow. Null when you cannot see it.',
      resolve: events.gapFlow,
    }),
  }),
})

const DropAddedInput = builder.inputType('DropAddedInput', {
  description: 'The drops to deliver.',
  fields: (t) => ({
    flows: t.field({ type: ['ThingsFlowBy'], required: true, description: 'The flows, 1 to 150.' }),
    filter: t.field({
      type: 'ThingsFilter',
      description:
        'The drops to deliver; all by default. The upstream evaluates it, in one call for all drops that arrive together.',
    }),
    after: t.string({
      description:
        'The `cursor` of the last event that you received. The drops since then are delivered first, each once. It must be of the same flows.',
    }),
  }),
})

builder.subscriptionField('dropAdded', (t) =>
  t.field({
    type: 'DropEvent',
    description:
      'Delivers the drops that arrive in flows of flowthings as `DropAdded`, and a `DropGap` when drops may be missing.',
    args: { input: t.arg({ type: DropAddedInput, required: true, description: 'The drops to deliver.' }) },
    subscribe: events.subscribeDropAdded,
    // `listenToDrops` delivers events of drops.
    resolve: (event) => event as unknown as DropEvent,
  }),
)
