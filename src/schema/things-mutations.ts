import * as things from '../resolvers/things-mutations.ts'
import type { Drop, ThingsFlow } from '../upstream/flowthings/model.ts'
import { builder, type InputFields } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const flow = { type: 'ThingsFlowBy', required: true, description: 'The flow.' } as const
const filters = (t: InputFields) => ({
  filter: t.field({ type: 'ThingsFilter', description: 'The filter. Not together with `filterText`.' }),
  filterText: t.string({
    description: 'The filter in the filter language. A blank text ends the filter.',
  }),
})
const flowFields = (t: InputFields) => ({
  displayName: t.string({ description: 'The display name.' }),
  description: t.string({ description: 'The purpose of the flow.' }),
  capacity: t.int({
    description: 'The most drops to store, 0 to 100,000; 1000 by default. With 0, drops are only delivered.',
  }),
  ...filters(t),
})

const ThingsFlowPayload = mutationPayload<{ flow: ThingsFlow | null }>('ThingsFlowPayload', {
  description: 'The result of a changed flow.',
  fields: (t) => ({
    thingsFlow: t.field({
      type: 'ThingsFlow',
      nullable: true,
      description: 'The flow after the change. Null when you may not read it.',
      resolve: (payload) => payload.flow,
    }),
  }),
})

const deletedPayload = (name: string, field: string, what: string) =>
  mutationPayload<{ deletedId: string }>(name, {
    description: `The result of a deleted ${what}.`,
    fields: (t) => ({
      [field]: t.id({
        description: `The global id of the deleted ${what}.`,
        resolve: ({ deletedId }) => deletedId,
      }),
    }),
  })

mutation('createThingsFlow', {
  description: 'Creates a flow of flowthings.',
  input: mutationInput('CreateThingsFlowInput', {
    description: 'The flow to create.',
    fields: (t) => ({
      path: t.string({ required: true, description: 'The path, such as `/account/greenhouse`.' }),
      ...flowFields(t),
    }),
  }),
  payload: ThingsFlowPayload,
  resolve: things.createFlow,
})

mutation('updateThingsFlow', {
  description: 'Changes a flow of flowthings.',
  input: mutationInput('UpdateThingsFlowInput', {
    description: 'The changes to a flow. Fields that are not given keep their values.',
    fields: (t) => ({
      flow: t.field(flow),
      path: t.string({ description: 'Another path.' }),
      ...flowFields(t),
    }),
  }),
  payload: ThingsFlowPayload,
  resolve: things.updateFlow,
})

mutation('deleteThingsFlow', {
  description: 'Deletes a flow of flowthings with its drops.',
  input: mutationInput('DeleteThingsFlowInput', {
    description: 'The flow to delete.',
    fields: (t) => ({ flowId: t.id({ required: true, description: 'The global id of the flow.' }) }),
  }),
  payload: deletedPayload('DeleteThingsFlowPayload', 'deletedFlowId', 'flow'),
  resolve: things.deleteFlow,
})

mutation('emptyThingsFlow', {
  description: 'Deletes all drops of a flow of flowthings.',
  input: mutationInput('EmptyThingsFlowInput', {
    description: 'The flow to empty.',
    fields: (t) => ({ flow: t.field(flow) }),
  }),
  payload: ThingsFlowPayload,
  resolve: things.emptyFlow,
})

const ThingsLocationInput = builder.inputType('ThingsLocationInput', {
  description: 'A place on the earth.',
  fields: (t) => ({
    latitude: t.float({ required: true, description: 'The latitude in degrees.' }),
    longitude: t.float({ required: true, description: 'The longitude in degrees.' }),
    specifiers: t.field({
      type: 'JSON',
      description: 'What the place is called, such as `{"city": "Bern"}`.',
    }),
  }),
})

const elements =
  'An object of JSON by the names of elements. A value may have a type: `{"type": "date", "value": 1427578873318}`.'
const dropFields = (t: InputFields) => ({
  fhash: t.string({ description: 'A key. A drop of the flow with the same key is replaced.' }),
  location: t.field({ type: ThingsLocationInput, description: 'The place that it was written at.' }),
})

const DropPayload = mutationPayload<{ drop: Drop }>('DropPayload', {
  description: 'The result of a new or changed drop.',
  fields: (t) => ({
    drop: t.field({ type: 'Drop', description: 'The drop.', resolve: (payload) => payload.drop }),
  }),
})

mutation('createDrop', {
  description: 'Writes a drop to a flow of flowthings.',
  input: mutationInput('CreateDropInput', {
    description: 'The drop to write.',
    fields: (t) => ({
      flow: t.field(flow),
      elements: t.field({ type: 'JSON', required: true, description: elements }),
      ...dropFields(t),
    }),
  }),
  payload: DropPayload,
  resolve: things.createDrop,
})

const changesOfDrop = (t: InputFields) => ({
  dropId: t.id({ required: true, description: 'The global id of the drop.' }),
  elements: t.field({ type: 'JSON', description: `All elements after the change. ${elements}` }),
  ...dropFields(t),
})

mutation('updateDrop', {
  description: 'Changes a drop. Subscriptions do not deliver the change.',
  input: mutationInput('UpdateDropInput', {
    description: 'The changes to a drop. Fields that are not given keep their values.',
    fields: changesOfDrop,
  }),
  payload: DropPayload,
  resolve: things.updateDrop,
})

const DropChange = builder.inputType('DropChange', {
  description: 'The changes to one of several drops.',
  fields: changesOfDrop,
})

mutation('updateDrops', {
  description: 'Changes several drops of one flow in one call: all of them, or none.',
  input: mutationInput('UpdateDropsInput', {
    description: 'The changes.',
    fields: (t) => ({
      changes: t.field({
        type: [DropChange],
        required: true,
        description: 'The changes by drop, 1 to 100.',
      }),
    }),
  }),
  payload: mutationPayload<{ drops: Drop[] }>('UpdateDropsPayload', {
    description: 'The result of changed drops.',
    fields: (t) => ({
      drops: t.field({
        type: ['Drop'],
        listSize: 100,
        description: 'The drops after the change, in the order of the changes.',
        resolve: (payload) => payload.drops,
      }),
    }),
  }),
  resolve: things.updateDrops,
})

mutation('deleteDrop', {
  description: 'Deletes a drop.',
  input: mutationInput('DeleteDropInput', {
    description: 'The drop to delete.',
    fields: (t) => ({ dropId: t.id({ required: true, description: 'The global id of the drop.' }) }),
  }),
  payload: deletedPayload('DeleteDropPayload', 'deletedDropId', 'drop'),
  resolve: things.deleteDrop,
})

type ObjectName = 'Track' | 'ThingsGroup' | 'ThingsShare' | 'ThingsDevice' | 'ThingsTask'

const objectPayload = (type: ObjectName, field: string, what: string) =>
  mutationPayload<things.ObjectPayload>(`${type}Payload`, {
    description: `The result of a new or changed ${what}.`,
    fields: (t) => ({
      [field]: t.field({ type, description: `The ${what}.`, resolve: ({ object }) => object }),
    }),
  })

const idOf = (what: string) => ({ required: true as const, description: `The global id of the ${what}.` })

const TrackPayload = objectPayload('Track', 'track', 'track')
const trackFields = (t: InputFields) => ({
  destinationPaths: t.stringList({
    description: 'The paths of the flows to write to. Without them the function returns drops by path.',
  }),
  ...filters(t),
  js: t.string({ description: 'The text of a function that takes a drop and returns a drop, or null.' }),
  description: t.string({ description: 'A description.' }),
  isDisabled: t.boolean({ description: 'Whether it is turned off.' }),
})

mutation('createTrack', {
  description: 'Creates a track between flows.',
  input: mutationInput('CreateTrackInput', {
    description: 'The track to create.',
    fields: (t) => ({
      sourcePath: t.string({
        required: true,
        description: 'The path of the flow whose drops it takes.',
      }),
      ...trackFields(t),
    }),
  }),
  payload: TrackPayload,
  resolve: things.create('track', things.trackMembers),
})

mutation('updateTrack', {
  description: 'Changes a track.',
  input: mutationInput('UpdateTrackInput', {
    description: 'The changes to a track. Fields that are not given keep their values.',
    fields: (t) => ({ trackId: t.id(idOf('track')), ...trackFields(t) }),
  }),
  payload: TrackPayload,
  resolve: things.update<things.TrackInput & { trackId: string }>('track', 'trackId', things.trackMembers),
})

mutation('deleteTrack', {
  description: 'Deletes a track.',
  input: mutationInput('DeleteTrackInput', {
    description: 'The track to delete.',
    fields: (t) => ({ trackId: t.id(idOf('track')) }),
  }),
  payload: deletedPayload('DeleteTrackPayload', 'deletedTrackId', 'track'),
  resolve: things.remove<{ trackId: string }>('track', 'trackId'),
})

const GroupPayload = objectPayload('ThingsGroup', 'group', 'group')
const groupFields = (t: InputFields) => ({
  displayName: t.string({ description: 'The display name.' }),
  description: t.string({ description: 'A description.' }),
})

mutation('createThingsGroup', {
  description: 'Creates a group of identities.',
  input: mutationInput('CreateThingsGroupInput', {
    description: 'The group to create.',
    fields: (t) => ({
      identityIds: t.idList({ required: true, description: 'The global ids of its members.' }),
      ...groupFields(t),
    }),
  }),
  payload: GroupPayload,
  resolve: things.create('group', things.groupMembers),
})

mutation('updateThingsGroup', {
  description: 'Changes a group.',
  input: mutationInput('UpdateThingsGroupInput', {
    description: 'The changes to a group. Fields that are not given keep their values.',
    fields: (t) => ({
      groupId: t.id(idOf('group')),
      identityIds: t.idList({ description: 'The global ids of all its members.' }),
      ...groupFields(t),
    }),
  }),
  payload: GroupPayload,
  resolve: things.update<things.GroupInput & { groupId: string }>('group', 'groupId', things.groupMembers),
})

mutation('deleteThingsGroup', {
  description: 'Deletes a group.',
  input: mutationInput('DeleteThingsGroupInput', {
    description: 'The group to delete.',
    fields: (t) => ({ groupId: t.id(idOf('group')) }),
  }),
  payload: deletedPayload('DeleteThingsGroupPayload', 'deletedGroupId', 'group'),
  resolve: things.remove<{ groupId: string }>('group', 'groupId'),
})

const ThingsPermission = builder.enumType('ThingsPermission', {
  description: 'What can be permitted at a path.',
  values: {
    READ: { value: 'read', description: 'To read flows and other objects.' },
    WRITE: { value: 'write', description: 'To change flows and other objects.' },
    READ_DROPS: { value: 'dropRead', description: 'To read drops.' },
    WRITE_DROPS: { value: 'dropWrite', description: 'To write drops.' },
    ADMINISTER: { value: 'administer', description: 'Everything.' },
  } as const,
})

const PathPermissionInput = builder.inputType('PathPermissionInput', {
  description: 'What to permit at a path and at all paths below it.',
  fields: (t) => ({
    path: t.string({ required: true, description: 'The path, such as `/account/greenhouse`.' }),
    permissions: t.field({
      type: [ThingsPermission],
      required: true,
      description: 'What to permit.',
    }),
  }),
})

const grantFields = (t: InputFields) => ({
  permissions: t.field({
    type: [PathPermissionInput],
    required: true,
    description: 'What to permit, by path.',
  }),
  description: t.string({ description: 'A description.' }),
  durationMs: t.float({ description: 'The number of milliseconds after which it ends; by default never.' }),
})

mutation('createThingsToken', {
  description: 'Creates a token for a program. The account needs its master token.',
  input: mutationInput('CreateThingsTokenInput', {
    description: 'The token to create.',
    fields: grantFields,
  }),
  payload: mutationPayload<things.ObjectPayload>('CreateThingsTokenPayload', {
    description: 'The result of a new token.',
    fields: (t) => ({
      token: t.field({ type: 'ThingsToken', description: 'The token.', resolve: ({ object }) => object }),
      tokenText: t.string({
        nullable: true,
        description:
          'The secret that the program sends as `X-Auth-Token`. Only this payload has it: store it. Null when the upstream does not return it.',
        resolve: things.tokenText,
      }),
    }),
  }),
  resolve: things.create('token', things.grantMembers),
})

mutation('deleteThingsToken', {
  description: 'Deletes a token, which ends its access.',
  input: mutationInput('DeleteThingsTokenInput', {
    description: 'The token to delete.',
    fields: (t) => ({ tokenId: t.id(idOf('token')) }),
  }),
  payload: deletedPayload('DeleteThingsTokenPayload', 'deletedTokenId', 'token'),
  resolve: things.remove<{ tokenId: string }>('token', 'tokenId'),
})

mutation('createThingsShare', {
  description: 'Permits something to an identity of another account, or to a group.',
  input: mutationInput('CreateThingsShareInput', {
    description: 'The share to create.',
    fields: (t) => ({
      holderId: t.id({ required: true, description: 'The global id of the identity or group.' }),
      ...grantFields(t),
    }),
  }),
  payload: objectPayload('ThingsShare', 'share', 'share'),
  resolve: things.create('share', things.shareMembers),
})

mutation('deleteThingsShare', {
  description: 'Deletes a share, which ends what it permits.',
  input: mutationInput('DeleteThingsShareInput', {
    description: 'The share to delete.',
    fields: (t) => ({ shareId: t.id(idOf('share')) }),
  }),
  payload: deletedPayload('DeleteThingsSharePayload', 'deletedShareId', 'share'),
  resolve: things.remove<{ shareId: string }>('share', 'shareId'),
})

const DevicePayload = objectPayload('ThingsDevice', 'device', 'device')
const deviceFields = (t: InputFields) => ({
  displayName: t.string({ description: 'The display name.' }),
  reportPeriodMs: t.float({ description: 'The number of milliseconds in which it is expected to report.' }),
})

mutation('createThingsDevice', {
  description: 'Creates a device with its token and its flows.',
  input: mutationInput('CreateThingsDeviceInput', {
    description: 'The device to create.',
    fields: (t) => ({
      path: t.string({ required: true, description: 'The path below which it has its flows.' }),
      ...deviceFields(t),
    }),
  }),
  payload: DevicePayload,
  resolve: things.create('device', things.deviceMembers),
})

mutation('updateThingsDevice', {
  description: 'Changes a device.',
  input: mutationInput('UpdateThingsDeviceInput', {
    description: 'The changes to a device. Fields that are not given keep their values.',
    fields: (t) => ({ deviceId: t.id(idOf('device')), ...deviceFields(t) }),
  }),
  payload: DevicePayload,
  resolve: things.update<things.DeviceInput & { deviceId: string }>(
    'device',
    'deviceId',
    things.deviceMembers,
  ),
})

mutation('deleteThingsDevice', {
  description: 'Deletes a device.',
  input: mutationInput('DeleteThingsDeviceInput', {
    description: 'The device to delete.',
    fields: (t) => ({ deviceId: t.id(idOf('device')) }),
  }),
  payload: deletedPayload('DeleteThingsDevicePayload', 'deletedDeviceId', 'device'),
  resolve: things.remove<{ deviceId: string }>('device', 'deviceId'),
})

const TaskPayload = objectPayload('ThingsTask', 'task', 'task')
const taskFields = (t: InputFields) => ({
  displayName: t.string({ description: 'The display name.' }),
  description: t.string({ description: 'A description.' }),
  periodMs: t.float({ description: 'The number of milliseconds between two runs, 60,000 or more.' }),
  isDisabled: t.boolean({ description: 'Whether it is turned off.' }),
  destinationPath: t.string({ description: 'The path of the flow to write to.' }),
  sourcePath: t.string({ description: 'The path of the flow whose drops it sends. Only for MQTT.' }),
  settings: t.field({
    type: 'JSON',
    description:
      'An object with its other settings, as flowthings names them: `uri` and `topic` for MQTT, `url` for RSS, `js` for a web API.',
  }),
})

mutation('createThingsTask', {
  description: 'Creates a task that fetches or sends drops.',
  input: mutationInput('CreateThingsTaskInput', {
    description: 'The task to create.',
    fields: (t) => ({
      kind: t.field({
        type: 'ThingsTaskKind',
        required: true,
        description: 'What it exchanges drops with.',
      }),
      ...taskFields(t),
    }),
  }),
  payload: TaskPayload,
  resolve: things.createTask,
})

mutation('updateThingsTask', {
  description: 'Changes a task.',
  input: mutationInput('UpdateThingsTaskInput', {
    description: 'The changes to a task. Fields that are not given keep their values.',
    fields: (t) => ({ taskId: t.id(idOf('task')), ...taskFields(t) }),
  }),
  payload: TaskPayload,
  resolve: things.updateTask,
})

mutation('deleteThingsTask', {
  description: 'Deletes a task.',
  input: mutationInput('DeleteThingsTaskInput', {
    description: 'The task to delete.',
    fields: (t) => ({ taskId: t.id(idOf('task')) }),
  }),
  payload: deletedPayload('DeleteThingsTaskPayload', 'deletedTaskId', 'task'),
  resolve: things.deleteTask,
})
