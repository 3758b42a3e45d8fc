import * as flows from '../resolvers/things-flows.ts'
import { builder } from './builder.ts'

builder.enumType('ThingsOrder', {
  description: 'The order of a list by the time of creation.',
  values: {
    NEWEST_FIRST: { value: 'desc', description: 'The newest comes first.' },
    OLDEST_FIRST: { value: 'asc', description: 'The oldest comes first.' },
  } as const,
})

builder.objectType('ThingsFlow', {
  description: 'A flow of flowthings: a path to which devices and programs write drops.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: flows.id }),
    databaseId: t.exposeID('id', { description: 'The id in the upstream: `f` and 24 hexadecimal digits.' }),
    path: t.exposeString('path', { description: 'The path, which is unique: `/account/greenhouse`.' }),
    displayName: t.exposeString('name', {
      nullable: true,
      description: 'The display name. Null when it has none.',
    }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'The purpose of the flow. Null when it has no description.',
    }),
    capacity: t.exposeInt('capacity', {
      description:
        'The most drops that it stores. When there are more, the oldest are deleted. With 0, drops are delivered and not stored.',
    }),
    filter: t.exposeString('filter', {
      nullable: true,
      description:
        'The filter that new drops must match, in the filter language. Null when all may be written.',
    }),
    isPublic: t.exposeBoolean('isPublic', { description: 'Whether it is marked as public.' }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'The time when it was created.',
      resolve: ({ created }) => created.at,
    }),
    creator: t.field({
      type: 'ThingsIdentity',
      nullable: true,
      calls: { isBulk: true },
      description: 'The identity that created it. Null when you cannot see it.',
      resolve: flows.creator,
    }),
    editedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time of the last change. Null when it was not changed.',
      resolve: ({ created }) => created.editedAt,
    }),
  }),
})

builder.inputType('ThingsFlowBy', {
  isOneOf: true,
  description: 'A flow of flowthings, by exactly one of these fields.',
  fields: (t) => ({
    id: t.id({ description: 'The global id.' }),
    databaseId: t.id({ description: 'The id in the upstream.' }),
    path: t.string({ description: 'The path, such as `/account/greenhouse`.' }),
  }),
})

builder.queryFields((t) => ({
  thingsFlow: t.field({
    type: 'ThingsFlow',
    nullable: true,
    calls: { isBulk: true },
    description: 'One flow of flowthings. Null when it does not exist or you cannot see it.',
    args: { by: t.arg({ type: 'ThingsFlowBy', required: true, description: 'The flow to read.' }) },
    resolve: flows.flow,
  }),
  thingsFlows: t.connection(
    {
      type: 'ThingsFlow',
      nullable: true,
      calls: { isBulk: true },
      listSize: 20,
      description: 'The flows of the flowthings account, by time of creation; `first: 20` by default.',
      args: {
        filter: t.arg({ type: 'ThingsFilter', description: 'The flows to list; all by default.' }),
        order: t.arg({
          type: 'ThingsOrder',
          required: true,
          defaultValue: 'desc',
          description: 'The order of the list.',
        }),
      },
      resolve: flows.flows,
    },
    { name: 'ThingsFlowConnection' },
    { name: 'ThingsFlowEdge' },
  ),
}))
