import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { eventually, liveMembers, openSubscription, post, startTestApp } from '../support/app.ts'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp
let flows = 0

beforeAll(async () => {
  app = await startThingsApp()
})
afterAll(() => app.close())

const both = { flow: { path: 'example/main' } }
const failure = '... on UserError { __typename code message path }'

async function makeFlow(): Promise<{ id: string; path: string }> {
  flows += 1
  return app.direct('POST', '/flow', { path: `/alice/rules-${flows}` })
}

/** Executes an operation with both credentials. */
async function execute(
  query: string,
  variables: object = {},
  headers: Record<string, string> = aliceHeaders,
) {
  return post(app.url, { query, variables }, await app.backend.token('Ada'), headers)
}

async function change(name: string, input: object, payload: string, headers?: Record<string, string>) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input!`
  const { data, errors } = await execute(
    `mutation ($input: ${type}) { ${name}(input: $input) { ${payload} ${failure} } }`,
    { input },
    headers,
  )
  expect(errors).toBeUndefined()
  return data[name]
}
const dropPayload = `... on DropRulePayload { dropRule { __typename id name ruleStatus filter titleTemplate bodyTemplate threadKeyTemplate threadTitleTemplate
  flow { path } thingsFlow { path } thingsFlowId source { name } creator { nick } problem { code } runCount } }`
const tagPayload =
  '... on TagRulePayload { tagRule { __typename id name tag ruleStatus thingsFlow { path } } }'

test('a drop written over REST is an activity in the subscription to the flow', async () => {
  const flow = await makeFlow()
  const filter = { compare: { member: 'celsius', comparison: 'GREATER', value: 30 } }
  const { dropRule } = await change(
    'createDropRule',
    {
      ...{ ...both, thingsFlow: { path: flow.path }, name: 'Greenhouse', filter },
      ...{ titleTemplate: '{{celsius}} degrees', bodyTemplate: 'by {{sensor}}' },
      threadKeyTemplate: '{{sensor}}',
    },
    dropPayload,
  )
  expect(dropRule).toMatchObject({
    ...{ __typename: 'DropRule', name: 'Greenhouse', ruleStatus: 'ACTIVE', filter: '(celsius > 30)' },
    ...{ flow: both.flow, thingsFlow: { path: flow.path }, thingsFlowId: flow.id, creator: { nick: 'Ada' } },
    ...{ source: { name: 'Greenhouse' }, problem: null, runCount: 0, threadTitleTemplate: null },
  })
  const events = await app.subscribe(
    'Ben',
    `subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) {
      ... on MessageAdded { message { text author { name } ... on Activity { title thread { title } } } } } }`,
  )
  onTestFinished(events.close)
  const next = events.next()
  await eventually(() => liveMembers(app) === 1)
  await app.direct('POST', `/drop/${flow.id}`, { elems: { celsius: 20, sensor: 'north' } })
  await app.direct('POST', `/drop/${flow.id}`, { elems: { celsius: 31, sensor: 'south' } })
  expect((await next)?.data.flowEvents.message).toEqual({
    ...{ text: '31 degrees\nby south', author: { name: 'Greenhouse' }, title: '31 degrees' },
    thread: { title: 'south' },
  })
})

test('a message with the tag is a drop in the subscription to drops', async () => {
  const flow = await makeFlow()
  const { tagRule } = await change(
    'createTagRule',
    {
      ...both,
      thingsFlow: { id: Buffer.from(`ThingsFlow:${flow.id}`).toString('base64url') },
      tag: '#incident',
    },
    tagPayload,
  )
  expect(tagRule).toMatchObject({ name: '#incident', tag: 'incident', ruleStatus: 'ACTIVE' })
  const client = createClient({
    ...{ url: `${app.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 },
    connectionParams: aliceHeaders,
  })
  const drops = openSubscription(
    client,
    'subscription ($input: DropAddedInput!) { dropAdded(input: $input) { ... on DropAdded { drop { json } } } }',
    { input: { flows: [{ id: Buffer.from(`ThingsFlow:${flow.id}`).toString('base64url') }] } },
  )
  onTestFinished(() => drops.close())
  // Drops of a client, until the subscription is live.
  let isLive = false
  const first = drops.next().then(() => {
    isLive = true
  })
  await eventually(async () => {
    if (!isLive) await app.direct('POST', `/drop/${flow.id}`, { elems: { probe: true } })
    return isLive
  })
  await first
  await execute(
    'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "It is down #incident" }) { __typename } }',
  )
  let json = { probe: true }
  while (json.probe) json = (await drops.next())?.data.dropAdded.drop.json
  expect(json).toMatchObject({
    ...{ text: 'It is down #incident', author: 'Ada', tags: ['incident'], tag: 'incident', kind: 'message' },
    ...{ flow: 'example/main', url: expect.stringContaining('/app/example/main/messages/') },
  })
})

test('rules are listed, read by id, changed, paused, resumed and deleted', async () => {
  const flow = await makeFlow()
  const target = { ...both, thingsFlow: { databaseId: flow.id } }
  const { dropRule } = await change(
    'createDropRule',
    { ...target, name: 'Listed', titleTemplate: 't' },
    dropPayload,
  )
  const { tagRule } = await change('createTagRule', { ...target, tag: 'a', name: 'Tagged' }, tagPayload)
  const { data } = await execute(
    `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Rule { name kind: __typename ruleStatus } }
      flow(by: { path: "example/main" }) { dropRules { nodes { id } } tagRules(last: 1) { nodes { id } } } }`,
    { ids: [dropRule.id, tagRule.id, Buffer.from('TagRule:example/main:999').toString('base64url')] },
  )
  expect(data.nodes).toEqual([
    { name: 'Listed', kind: 'DropRule', ruleStatus: 'ACTIVE' },
    { name: 'Tagged', kind: 'TagRule', ruleStatus: 'ACTIVE' },
    null,
  ])
  expect(data.flow.dropRules.nodes).toContainEqual({ id: dropRule.id })
  expect(data.flow.tagRules.nodes).toEqual([{ id: tagRule.id }])
  const changed = await change(
    'updateDropRule',
    { ruleId: dropRule.id, filterText: 'a == 1', bodyTemplate: 'b', threadTitleTemplate: 'T' },
    dropPayload,
  )
  expect(changed.dropRule).toMatchObject({
    ...{ titleTemplate: 't', filter: 'a == 1', bodyTemplate: 'b', threadTitleTemplate: 'T' },
  })
  const blank = await change(
    'updateDropRule',
    { ruleId: dropRule.id, filterText: '', bodyTemplate: '' },
    dropPayload,
  )
  expect(blank.dropRule).toMatchObject({ filter: null, bodyTemplate: null })
  const other = await change('updateTagRule', { ruleId: tagRule.id, tag: '#b' }, tagPayload)
  expect(other.tagRule).toMatchObject({ tag: 'b' })
  const rulePayload = '... on RulePayload { rule { id ruleStatus } }'
  const paused = await change('pauseRule', { ruleId: tagRule.id }, rulePayload, {})
  expect(paused.rule).toEqual({ id: tagRule.id, ruleStatus: 'PAUSED' })
  const resumed = await change('resumeRule', { ruleId: tagRule.id }, rulePayload)
  expect(resumed.rule).toEqual({ id: tagRule.id, ruleStatus: 'ACTIVE' })
  const deleted = await change(
    'deleteRule',
    { ruleId: tagRule.id },
    '... on DeleteRulePayload { deletedRuleId }',
  )
  expect(deleted).toEqual({ deletedRuleId: tagRule.id })
  const again = await change('deleteRule', { ruleId: tagRule.id }, '__typename')
  expect(again).toMatchObject({ code: 'NOT_FOUND', path: ['input', 'ruleId'] })
})

test('a rule for the longest tag has the beginning of the tag as its name', async () => {
  const flow = await makeFlow()
  const input = { ...both, thingsFlow: { databaseId: flow.id }, tag: 'x'.repeat(128) }
  const { tagRule } = await change('createTagRule', input, tagPayload)
  expect(tagRule).toMatchObject({ tag: input.tag, name: `#${'x'.repeat(99)}` })
  await change('deleteRule', { ruleId: tagRule.id }, '__typename')
})

test('a rule whose token of flowthings was deleted says so', async () => {
  const flow = await makeFlow()
  const token = await app.direct('POST', '/token', { paths: { [flow.path]: { dropRead: true } } })
  const headers = { 'X-Auth-Account': 'alice', 'X-Auth-Token': token.tokenString }
  const input = { ...both, thingsFlow: { path: flow.path }, name: 'Revoked', titleTemplate: '{{n}}' }
  const { dropRule } = await change('createDropRule', input, dropPayload, headers)
  await app.direct('DELETE', `/token/${token.id}`)
  await app.direct('POST', `/drop/${flow.id}`, { elems: { n: 1 } })
  const query =
    'query ($id: ID!) { node(id: $id) { ... on Rule { ruleStatus problem { code message occurredAt } } } }'
  await expect
    .poll(async () => (await execute(query, { id: dropRule.id })).data.node)
    .toMatchObject({ ruleStatus: 'DISABLED', problem: { code: 'THINGS_CREDENTIAL_REVOKED' } })
})

test('what is wrong with the input has its path, and nothing is added', async () => {
  const flow = await makeFlow()
  const input = { ...both, thingsFlow: { path: flow.path }, name: 'Wrong', titleTemplate: 't' }
  const cases: [name: string, input: object, path: string[]][] = [
    ['createDropRule', { ...input, titleTemplate: '{{a + 1}}' }, ['input', 'titleTemplate']],
    ['createDropRule', { ...input, titleTemplate: ' ' }, ['input', 'titleTemplate']],
    ['createDropRule', { ...input, threadKeyTemplate: '{{' }, ['input', 'threadKeyTemplate']],
    ['createDropRule', { ...input, filterText: 'a ==' }, ['input', 'filterText']],
    ['createDropRule', { ...input, name: '' }, ['input', 'name']],
    ['createDropRule', { ...input, flow: { path: 'example/none' } }, ['input', 'flow']],
    ['createDropRule', { ...input, thingsFlow: { path: '/alice/none' } }, ['input', 'thingsFlow']],
    [
      'createDropRule',
      { ...input, thingsFlow: { databaseId: `f${'0'.repeat(24)}` } },
      ['input', 'thingsFlow'],
    ],
    ['createTagRule', { ...both, thingsFlow: input.thingsFlow, tag: ':user:1' }, ['input', 'tag']],
    ['pauseRule', { ruleId: Buffer.from('User:1').toString('base64url') }, ['input', 'ruleId']],
    [
      'updateTagRule',
      { ruleId: Buffer.from('TagRule:example/main:99').toString('base64url') },
      ['input', 'ruleId'],
    ],
  ]
  for (const [name, each, path] of cases)
    expect(await change(name, each, '__typename'), JSON.stringify(each)).toMatchObject({ path })
  const { data } = await execute('{ flow(by: { path: "example/main" }) { dropRules { nodes { name } } } }')
  expect(data.flow.dropRules.nodes).not.toContainEqual({ name: 'Wrong' })
})

test('a rule needs an account of flowthings and a credential of the chat', async () => {
  const flow = await makeFlow()
  const query = 'mutation ($input: CreateTagRuleInput!) { createTagRule(input: $input) { __typename } }'
  const variables = { input: { ...both, thingsFlow: { databaseId: flow.id }, tag: 'a' } }
  const none = await execute(query, variables, {})
  expect(none.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
  const alone = await app.asAlice(query, variables)
  expect(alone.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
})

test('with another server of the chat, a rule is not supported, and that server gets no token', async () => {
  const flow = await makeFlow()
  const other = await startTestApp({ settings: { FLOWTHINGS_API_URL: app.backend.things?.url ?? '' } })
  onTestFinished(other.close)
  const { data } = await post(
    other.url,
    {
      query: `mutation ($input: CreateTagRuleInput!) { createTagRule(input: $input) { ${failure} } }`,
      variables: { input: { ...both, thingsFlow: { databaseId: flow.id }, tag: 'a' } },
    },
    await other.backend.token('Ada'),
    aliceHeaders,
  )
  expect(data.createTagRule).toMatchObject({ __typename: 'NotSupported', code: 'NOT_SUPPORTED' })
  const list = 'query { flow(by: { path: "example/main" }) { name dropRules { nodes { id } } } }'
  const listed = await post(other.url, { query: list }, await other.backend.token('Ada'), aliceHeaders)
  expect(listed.data.flow).toEqual({ name: 'Main', dropRules: null })
  expect(listed.errors?.map(({ extensions }) => extensions?.['code'])).toEqual(['NOT_SUPPORTED'])
  const toChat = other.calls.filter(({ url }) => url.startsWith(other.backend.url))
  expect(JSON.stringify(toChat)).not.toContain(aliceHeaders['X-Auth-Token'])
})

test('a rule is made with four calls at most', async () => {
  const flow = await makeFlow()
  const query = 'mutation ($input: CreateTagRuleInput!) { createTagRule(input: $input) { __typename } }'
  app.calls.splice(0)
  await execute(query, { input: { ...both, thingsFlow: { path: flow.path }, tag: 'cost' } })
  expect(app.calls.map(({ method }) => method)).toEqual(['GET', 'POST', 'POST'])
})
