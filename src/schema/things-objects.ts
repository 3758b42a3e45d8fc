import * as objects from '../resolvers/things-objects.ts'
import type { PathPermission, ThingsObject } from '../upstream/flowthings/model.ts'
import { builder, type OurTypes } from './builder.ts'

type ObjectFields = PothosSchemaTypes.ObjectFieldBuilder<OurTypes, ThingsObject>

/** The fields of all objects. */
function common(t: ObjectFields) {
  return {
    id: t.id({ description: 'The global id.', resolve: objects.id }),
    databaseId: t.exposeID('id', {
      description: 'The id in the upstream: a letter and 24 hexadecimal digits.',
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'The time when it was created.',
      resolve: ({ created }) => created.at,
    }),
    description: optionalText(t, 'description', 'A description. Null when it has none.'),
  }
}

function optionalText(t: ObjectFields, member: string, description: string) {
  return t.string({ nullable: true, description, resolve: (object) => objects.text(object, member) })
}

function textMember(t: ObjectFields, member: string, description: string) {
  return t.string({ description, resolve: (object) => objects.text(object, member) ?? '' })
}

const PathPermissionRef = builder.objectRef<PathPermission>('PathPermission').implement({
  description: 'What is permitted at a path and at all paths below it.',
  fields: (t) => ({
    path: t.exposeString('path', { description: 'The path.' }),
    permissions: t.exposeStringList('permissions', {
      description: 'What is permitted: `read`, `write`, `dropRead`, `dropWrite` or `administer`.',
    }),
  }),
})

builder.objectType('Track', {
  description:
    'A rule that writes the drops of one flow to others, as they are or as a function changes them.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    sourcePath: textMember(t, 'source', 'The path of the flow whose drops it takes.'),
    sourceFlow: t.field({
      type: 'ThingsFlow',
      nullable: true,
      calls: { isBulk: true },
      description: 'The flow whose drops it takes. Null when you cannot see it.',
      resolve: (track, _, context) => objects.flowAt(track, 'source', context),
    }),
    destinationPaths: t.stringList({
      description: 'The paths of the flows that it writes to. Empty when the function chooses them.',
      resolve: (track) => objects.texts(track, 'destination'),
    }),
    filter: optionalText(t, 'filter', 'The drops that it takes, in the filter language. Null for all.'),
    js: optionalText(t, 'js', 'The text of the function that changes the drops. Null when it has none.'),
    isDisabled: t.boolean({
      description: 'Whether it is turned off.',
      resolve: ({ members }) => members['disabled'] === true,
    }),
    metadata: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Data of the program that made it. Null when there are none.',
      resolve: (track) => objects.json(track, 'metadata'),
    }),
  }),
})

builder.objectType('ThingsIdentity', {
  description: 'A user of flowthings, with an account.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    name: textMember(t, 'name', 'The name of the account.'),
    email: optionalText(t, 'email', 'The e-mail address. Null when it has none, or you cannot see it.'),
    firstName: optionalText(t, 'firstName', 'The first name. Null when it is not given.'),
    lastName: optionalText(t, 'lastName', 'The last name. Null when it is not given.'),
  }),
})

builder.objectType('ThingsGroup', {
  description: 'Several identities, to share flows with.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    displayName: optionalText(t, 'displayName', 'The display name. Null when it has none.'),
    identities: t.field({
      type: ['ThingsIdentity'],
      nullable: true,
      calls: { isBulk: true },
      listSize: 20,
      description: 'The members that you can see. Null when they cannot be read.',
      resolve: objects.groupMembers,
    }),
  }),
})

builder.objectType('ThingsToken', {
  description:
    'The credential of a program, which is confined to paths. Its text is only in the payload of `createThingsToken`.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    permissions: t.field({
      type: [PathPermissionRef],
      listSize: 5,
      description: 'What it permits, by path.',
      resolve: objects.permissions,
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      isVolatile: true,
      description: 'The time when it ends. Null when it does not end.',
      resolve: (token) => objects.expiresAt(token),
    }),
  }),
})

builder.objectType('ThingsShare', {
  description: 'What an account permits to an identity of another account, or to the members of a group.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    permissions: t.field({
      type: [PathPermissionRef],
      listSize: 5,
      description: 'What it permits, by path.',
      resolve: objects.permissions,
    }),
    holder: t.field({
      type: ThingsHolder,
      nullable: true,
      calls: { each: 1 },
      description: 'Who may use it. Null when you cannot see the identity or group.',
      resolve: objects.shareHolder,
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      isVolatile: true,
      description: 'The time when it ends. Null when it does not end.',
      resolve: (share) => objects.expiresAt(share),
    }),
  }),
})

const ThingsHolder = builder.unionType('ThingsHolder', {
  description: 'Who may use a share.',
  types: ['ThingsIdentity', 'ThingsGroup'],
  resolveType: ({ kind }) => (kind === 'group' ? 'ThingsGroup' : 'ThingsIdentity'),
})

builder.objectType('ThingsDevice', {
  description: 'A device, with flows below its path and a token of its own.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    path: textMember(t, 'path', 'The path below which it has its flows.'),
    displayName: optionalText(t, 'displayName', 'The display name. Null when it has none.'),
    token: t.field({
      type: 'ThingsToken',
      nullable: true,
      calls: { isBulk: true },
      description: 'Its token. Null when you cannot see it.',
      resolve: objects.deviceToken,
    }),
    deviceSummary: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the device says about itself. Null when it said nothing.',
      resolve: (device) => objects.json(device, 'deviceSummary'),
    }),
    lastSeenAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time when it last wrote a drop. Null when it never did.',
      resolve: (device) => objects.number(device, 'lastSeen'),
    }),
    reportPeriodMs: t.float({
      nullable: true,
      description: 'The number of milliseconds in which it is expected to report. Null when it is not set.',
      resolve: (device) => objects.number(device, 'reportPeriodicity'),
    }),
  }),
})

const ThingsTaskKind = builder.enumType('ThingsTaskKind', {
  description: 'What a task exchanges drops with.',
  values: {
    API: { value: 'api-task', description: 'A web API, by a function.' },
    MQTT: { value: 'mqtt', description: 'A broker of MQTT.' },
    RSS: { value: 'rss', description: 'A feed of RSS.' },
  } as const,
})

builder.objectType('ThingsTask', {
  description: 'A task that fetches drops from elsewhere, or sends drops there.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    ...common(t),
    kind: t.field({
      type: ThingsTaskKind,
      description: 'What it exchanges drops with.',
      resolve: ({ kind }) => kind as 'api-task' | 'mqtt' | 'rss',
    }),
    displayName: optionalText(t, 'displayName', 'The display name. Null when it has none.'),
    periodMs: t.float({
      nullable: true,
      description: 'The number of milliseconds between two runs. Null when it is not set.',
      resolve: (task) => objects.number(task, 'periodicity'),
    }),
    isDisabled: t.boolean({
      description: 'Whether it is turned off.',
      resolve: ({ members }) => members['disabled'] === true,
    }),
    destinationPath: optionalText(t, 'destination', 'The path of the flow that it writes to. Null for none.'),
    sourcePath: t.string({
      description: 'The path of the flow whose drops it sends. Blank when it sends none.',
      resolve: (task) => objects.text(task, 'source') ?? '',
    }),
    lastResult: optionalText(t, 'status', 'The result of the last run. Null when it has not run.'),
    settings: t.field({
      type: 'JSON',
      description: 'Its other settings, as flowthings names them, without its password.',
      resolve: objects.settings,
    }),
  }),
})

const TrackConnection = builder.connectionObject(
  { type: 'Track', name: 'TrackConnection' },
  { name: 'TrackEdge' },
)

builder.objectField('ThingsFlow', 'tracks', (t) =>
  t.connection(
    {
      type: 'Track',
      nullable: true,
      calls: { each: 1 },
      listSize: 20,
      description:
        'The tracks that take the drops of the flow, by time of creation; `first: 20` by default. Null when they cannot be read.',
      resolve: objects.flowTracks,
    },
    TrackConnection,
  ),
)

const listArgs = {
  filter: { type: 'ThingsFilter', description: 'The objects to list; all by default.' },
  order: { type: 'ThingsOrder', required: true, defaultValue: 'desc', description: 'The order of the list.' },
} as const

builder.queryFields((t) => {
  const args = { filter: t.arg(listArgs.filter), order: t.arg(listArgs.order) }
  const traits = { nullable: true, calls: { each: 1 }, listSize: 20 } as const
  return {
    thingsIdentity: t.field({
      type: 'ThingsIdentity',
      nullable: true,
      calls: { once: ['flowthings identity'] },
      description: 'The identity of the flowthings account that the request has.',
      resolve: objects.identity,
    }),
    tracks: t.connection(
      {
        ...{ type: 'Track', ...traits, args },
        description: 'The tracks of the account, by time of creation; `first: 20` by default.',
        resolve: objects.objects('track'),
      },
      TrackConnection,
    ),
    thingsGroups: t.connection(
      {
        ...{ type: 'ThingsGroup', ...traits, args },
        description: 'The groups of the account, by time of creation; `first: 20` by default.',
        resolve: objects.objects('group'),
      },
      { name: 'ThingsGroupConnection' },
      { name: 'ThingsGroupEdge' },
    ),
    thingsTokens: t.connection(
      {
        ...{ type: 'ThingsToken', ...traits, args },
        description: 'The tokens of the account, by time of creation; `first: 20` by default.',
        resolve: objects.objects('token'),
      },
      { name: 'ThingsTokenConnection' },
      { name: 'ThingsTokenEdge' },
    ),
    thingsShares: t.connection(
      {
        ...{ type: 'ThingsShare', ...traits, args },
        description: 'The shares of the account, by time of creation; `first: 20` by default.',
        resolve: objects.objects('share'),
      },
      { name: 'ThingsShareConnection' },
      { name: 'ThingsShareEdge' },
    ),
    thingsDevices: t.connection(
      {
        ...{ type: 'ThingsDevice', ...traits, args },
        description: 'The devices of the account, by time of creation; `first: 20` by default.',
        resolve: objects.objects('device'),
      },
      { name: 'ThingsDeviceConnection' },
      { name: 'ThingsDeviceEdge' },
    ),
    thingsTasks: t.connection(
      {
        ...{ type: 'ThingsTask', ...traits },
        description: 'The tasks of one kind, by time of creation; `first: 20` by default.',
        args: {
          ...args,
          kind: t.arg({ type: 'ThingsTaskKind', required: true, description: 'The kind of tasks.' }),
        },
        resolve: objects.tasks,
      },
      { name: 'ThingsTaskConnection' },
      { name: 'ThingsTaskEdge' },
    ),
  }
})
