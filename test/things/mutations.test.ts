import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp

beforeAll(async () => {
  app = await startThingsApp()
})
beforeEach(() => void app.takeCalls())
afterAll(() => app.close())

const failure = '... on UserError { __typename code message path }'
/** Executes a mutation. @returns its payload, or its error */
async function change(name: string, input: object, payload: string, headers?: Record<string, string>) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input!`
  const { data, errors } = await app.asAlice(
    `mutation ($input: ${type}) { ${name}(input: $input) { ${payload} ${failure} } }`,
    { input },
    headers,
  )
  expect(errors).toBeUndefined()
  return data[name]
}
const flowPayload =
  '... on ThingsFlowPayload { thingsFlow { id path capacity filter description displayName } }'
const dropPayload = '... on DropPayload { drop { id version fhash json location { latitude longitude } } }'
const makeFlow = async (path: string) =>
  (await change('createThingsFlow', { path }, flowPayload)).thingsFlow as { id: string }

test('a flow is created, changed and deleted', async () => {
  const filter = { compare: { member: 'elems.value', comparison: 'LESS', value: 100 } }
  const input = { path: '/alice/made', capacity: 5, description: 'for a test', filter }
  const { thingsFlow } = await change('createThingsFlow', input, flowPayload)
  expect(thingsFlow).toMatchObject({
    ...{ path: '/alice/made', capacity: 5, description: 'for a test', filter: '(elems.value < 100)' },
  })
  const changed = await change(
    'updateThingsFlow',
    { flow: { id: thingsFlow.id }, displayName: 'Made', filterText: '' },
    flowPayload,
  )
  expect(changed.thingsFlow).toMatchObject({ capacity: 5, displayName: 'Made', filter: null })
  expect(app.takeCalls()).toEqual(['POST /flow', 'PUT /flow/ID'])
  const deleted = await change(
    'deleteThingsFlow',
    { flowId: thingsFlow.id },
    '... on DeleteThingsFlowPayload { deletedFlowId }',
  )
  expect(deleted).toEqual({ deletedFlowId: thingsFlow.id })
  const again = await change('deleteThingsFlow', { flowId: thingsFlow.id }, '__typename')
  expect(again).toMatchObject({ __typename: 'NotFound', path: ['input', 'flowId'] })
})

test('what the server refuses is a failure with its words', async () => {
  await makeFlow('/alice/twice')
  const twice = await change('createThingsFlow', { path: '/alice/twice' }, '__typename')
  expect(twice).toMatchObject({ __typename: 'ValidationFailed', code: 'BAD_USER_INPUT' })
  expect(twice.message).toContain('/alice/twice')
  const noPath = await change('createThingsFlow', { path: 'alice' }, '__typename')
  expect(noPath).toMatchObject({ __typename: 'ValidationFailed', path: ['input', 'path'] })
})

test('drops are written by path in one call, changed one by one and together, and deleted', async () => {
  const flow = await makeFlow('/alice/drops')
  app.takeCalls()
  const { drop } = await change(
    'createDrop',
    {
      flow: { path: '/alice/drops' },
      elements: { value: 1, at: { type: 'date', value: 1427578873318 } },
      fhash: 'first',
      location: { latitude: 47, longitude: 8 },
    },
    dropPayload,
  )
  expect(app.takeCalls()).toEqual(['POST /drop'])
  expect(drop).toMatchObject({
    ...{ version: 0, fhash: 'first', location: { latitude: 47, longitude: 8 } },
    json: { value: 1, at: 1427578873318 },
  })
  const updated = await change('updateDrop', { dropId: drop.id, elements: { value: 2 } }, dropPayload)
  expect(updated.drop).toMatchObject({ id: drop.id, version: 1, fhash: 'first', json: { value: 2 } })
  const second = await change('createDrop', { flow: { id: flow.id }, elements: { value: 3 } }, dropPayload)
  app.takeCalls()
  const both = await change(
    'updateDrops',
    {
      changes: [
        { dropId: second.drop.id, elements: { value: 30 } },
        { dropId: drop.id, elements: { value: 20 } },
      ],
    },
    '... on UpdateDropsPayload { drops { json } }',
  )
  expect(both.drops).toEqual([{ json: { value: 30 } }, { json: { value: 20 } }])
  expect(app.takeCalls()).toEqual(['MPUT /drop/ID'])
  const gone = await change('deleteDrop', { dropId: drop.id }, '... on DeleteDropPayload { deletedDropId }')
  expect(gone).toEqual({ deletedDropId: drop.id })
  const emptied = await change('emptyThingsFlow', { flow: { id: flow.id } }, flowPayload)
  expect(emptied.thingsFlow.path).toBe('/alice/drops')
  const { data } = await app.asAlice(
    '{ thingsFlow(by: { path: "/alice/drops" }) { drops { nodes { id } } } }',
  )
  expect(data.thingsFlow.drops.nodes).toEqual([])
})

test('drops of two flows are not changed together, and elements are an object', async () => {
  const [a, b] = [await makeFlow('/alice/a'), await makeFlow('/alice/b')]
  const write = async (flow: { id: string }) =>
    (await change('createDrop', { flow: { id: flow.id }, elements: {} }, dropPayload)).drop.id
  const changes = [{ dropId: await write(a) }, { dropId: await write(b) }]
  const failed = await change('updateDrops', { changes }, '__typename')
  expect(failed).toMatchObject({ path: ['input', 'changes', '1', 'dropId'] })
  const list = await change('createDrop', { flow: { id: a.id }, elements: [1] }, '__typename')
  expect(list).toMatchObject({ path: ['input', 'elements'] })
  const [first] = changes
  const twice = await change('updateDrops', { changes: [first, first] }, '__typename')
  expect(twice).toMatchObject({ path: ['input', 'changes', '1', 'dropId'] })
})

test('a token is made, its text is told once, and it may do what it permits', async () => {
  await makeFlow('/alice/shared')
  await makeFlow('/alice/private')
  const input = { permissions: [{ path: '/alice/shared', permissions: ['READ', 'READ_DROPS'] }] }
  const payload =
    '... on CreateThingsTokenPayload { tokenText token { id permissions { path permissions } } }'
  const { tokenText, token } = await change('createThingsToken', { ...input, durationMs: 60_000 }, payload)
  expect(tokenText).toMatch(/^[A-Za-z0-9]{28}$/)
  expect(token.permissions).toEqual([
    { path: '/alice/shared', permissions: expect.arrayContaining(['read', 'dropRead']) },
  ])
  const listed = await app.asAlice('{ thingsTokens { nodes { id expiresAt } } }')
  expect(JSON.stringify(listed)).not.toContain(tokenText)
  expect(listed.data.thingsTokens.nodes).toEqual([{ id: token.id, expiresAt: expect.any(String) }])
  const headers = { 'X-Auth-Account': 'alice', 'X-Auth-Token': tokenText }
  const seen = await app.asAlice('{ thingsFlows { nodes { path } } }', {}, headers)
  expect(seen.data.thingsFlows.nodes).toEqual([{ path: '/alice/shared' }])
  const refused = await change('createThingsFlow', { path: '/alice/more' }, '__typename', headers)
  expect(refused).toMatchObject({ __typename: 'Forbidden' })
  await change('deleteThingsToken', { tokenId: token.id }, '__typename')
  const ended = await app.asAlice('{ thingsFlows { nodes { path } } }', {}, headers)
  expect(ended.errors?.[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' })
})

test('groups, shares, devices and tasks are made, read, changed and deleted', async () => {
  await makeFlow('/alice/target')
  const me = (await app.asAlice('{ thingsIdentity { id } }')).data.thingsIdentity.id
  const groupPayload =
    '... on ThingsGroupPayload { group { id displayName identities { name } description } }'
  const { group } = await change('createThingsGroup', { identityIds: [me], displayName: 'us' }, groupPayload)
  expect(group).toMatchObject({ displayName: 'us', identities: [{ name: 'alice' }] })
  const renamed = await change('updateThingsGroup', { groupId: group.id, displayName: 'all' }, groupPayload)
  expect(renamed.group).toMatchObject({ displayName: 'all', identities: [{ name: 'alice' }] })
  const { share } = await change(
    'createThingsShare',
    { holderId: group.id, permissions: [{ path: '/alice/target', permissions: ['READ_DROPS'] }] },
    '... on ThingsSharePayload { share { id holder { ... on ThingsGroup { id } } permissions { path } } }',
  )
  expect(share).toMatchObject({ holder: { id: group.id }, permissions: [{ path: '/alice/target' }] })
  const { device } = await change(
    'createThingsDevice',
    { path: '/alice/machine', displayName: 'M' },
    '... on ThingsDevicePayload { device { id path displayName lastSeenAt token { permissions { path } } } }',
  )
  expect(device).toMatchObject({ path: '/alice/machine', displayName: 'M', lastSeenAt: null })
  expect(device.token.permissions[0].path).toContain('/alice/machine')
  const settings = { uri: 'mqtt://127.0.0.1', topic: 'a/b', password: 'secret word' }
  const taskPayload = '... on ThingsTaskPayload { task { id kind destinationPath settings isDisabled } }'
  const { task } = await change(
    'createThingsTask',
    { kind: 'MQTT', destinationPath: '/alice/target', settings },
    taskPayload,
  )
  expect(task).toMatchObject({ kind: 'MQTT', destinationPath: '/alice/target', isDisabled: false })
  expect(task.settings).toEqual({ uri: 'mqtt://127.0.0.1', topic: 'a/b' })
  const off = await change('updateThingsTask', { taskId: task.id, isDisabled: true }, taskPayload)
  expect(off.task.isDisabled).toBe(true)
  for (const [name, input] of [
    ['deleteThingsShare', { shareId: share.id }],
    ['deleteThingsGroup', { groupId: group.id }],
    ['deleteThingsDevice', { deviceId: device.id }],
    ['deleteThingsTask', { taskId: task.id }],
  ] as const)
    expect((await change(name, input, 'kind: __typename')).kind).toBe(
      `${name[0]?.toUpperCase()}${name.slice(1)}Payload`,
    )
  const { data } = await app.asAlice('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
    ids: [share.id, group.id, device.id, task.id],
  })
  expect(data.nodes).toEqual([null, null, null, null])
})

test('an id of another type is refused', async () => {
  const flow = await makeFlow('/alice/other')
  const failed = await change('deleteDrop', { dropId: flow.id }, '__typename')
  expect(failed).toMatchObject({ __typename: 'ValidationFailed', path: ['input', 'dropId'] })
})
