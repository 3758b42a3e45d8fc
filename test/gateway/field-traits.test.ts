import {
  type GraphQLField,
  type GraphQLNamedType,
  getNamedType,
  getNullableType,
  isAbstractType,
  isInterfaceType,
  isLeafType,
  isListType,
  isObjectType,
  parse,
} from 'graphql'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { defaultLimits, measureDocument } from '../../src/graphql/document-limits.ts'
import { sharingOf } from '../../src/graphql/field-traits.ts'
import { schema } from '../../src/schema/index.ts'
import { eventually, liveMembers, openSubscription, post, socketClient } from '../support/app.ts'
import { createRandom, generateSelection } from '../support/query-generator.ts'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp
let args: Readonly<Record<string, string>>
beforeAll(async () => {
  app = await startThingsApp({ settings: { CALLS_PER_MINUTE: '1000000' } })
  const sensors = await app.direct('POST', '/flow', { path: '/alice/sensors' })
  for (const path of ['/alice/copies', '/alice/others']) await app.direct('POST', '/flow', { path })
  await app.direct('POST', `/drop/${sensors.id}`, {
    elems: { value: 1, text: 'one', list: [1], map: { a: 1 } },
  })
  const { id: identity } = (await app.direct('GET', '/identity'))[0]
  await app.direct('POST', '/group', { memberIds: [identity] })
  await app.direct('POST', '/share', { issuedTo: identity, paths: { '/alice/sensors': { dropRead: true } } })
  await app.direct('POST', '/device', { path: '/alice/device' })
  await app.direct('POST', '/mqtt', { uri: 'mqtt://127.0.0.1', topic: 't', destination: '/alice/sensors' })
  const rule = async (body: object) => {
    const { id: things_permit } = await app.direct('POST', '/permit')
    const { status } = await app.backend.as('Ada')('POST', '/flows/example/main/rules', {
      things_permit,
      ...body,
    })
    expect(status).toBe(201)
  }
  await rule({ kind: 'drop', name: 'Sensors', title: '{{value}}', things_flow: sensors.id })
  await rule({ kind: 'tag', name: 'Incidents', tag: 'incident', things_flow: sensors.id })
  const [thread] = (await app.backend.as('Ada')('GET', '/flows/example/main/threads')).json
  const [message] = (await app.backend.as('Ada')('GET', '/flows/example/main/messages?limit=1')).json
  const ben = JSON.stringify(Buffer.from('User:2').toString('base64url'))
  args = {
    'Query.flow': '(by: { path: "example/main" })',
    'Query.flows': '(first: 3)',
    'Query.node': `(id: ${ben})`,
    'Query.nodes': `(ids: [${ben}])`,
    'Query.organization': '(by: { databaseId: 1 })',
    'Query.privateConversation': `(userId: ${ben})`,
    'Query.resource': '(url: "https://www.flowdock.com/app/example/main")',
    'Query.search': '(text: "welcome")',
    'Flow.message': `(databaseId: ${message.id})`,
    'Flow.thread': `(databaseId: "${thread.id}")`,
    'Query.thingsFlow': '(by: { path: "/alice/sensors" })',
    'Query.thingsTasks': '(kind: MQTT)',
    'Drop.element': '(path: "map")',
    'ThingsFlow.aggregate':
      '(input: { outputs: [{ function: COUNT }], groupBy: [{ member: "elems.text" }] })',
    'ThingsFlow.statistics': '(input: { kind: DROPS_ADDED, year: 2026 })',
    'ThingsIdentity.statistics': '(input: { kind: API_CALLS, year: 2026 })',
    'Track.statistics': '(input: { kind: HITS, year: 2026 })',
  }
})
afterAll(() => app.close())

interface Path {
  readonly type: GraphQLNamedType
  readonly wrap: (inner: string) => string
}

/** The shortest way from a query to each type of object. */
function pathsFromQuery(): Map<string, Path> {
  const query = schema.getQueryType() as GraphQLNamedType
  const paths = new Map<string, Path>([['Query', { type: query, wrap: (inner) => `{ ${inner} }` }]])
  // A flow of a list comes without its members, and one that is found by its path comes with them.
  paths.set('flows', {
    type: schema.getType('Flow') as GraphQLNamedType,
    wrap: (inner) => `{ flows(first: 3) { nodes { ${inner} } } }`,
  })
  for (const [name, { type, wrap }] of paths) {
    if (!isObjectType(type) && !isInterfaceType(type)) continue
    // What a flow holds is read from the flow with the most in it.
    const fields = Object.values(type.getFields()).sort((a, b) => order(a.name) - order(b.name))
    for (const field of fields) {
      const inner = getNamedType(field.type)
      if (isLeafType(inner) || (name === 'Query' && ['node', 'nodes', 'resource'].includes(field.name)))
        continue
      const into = (selection: string) =>
        wrap(`${field.name}${args[`${type.name}.${field.name}`] ?? ''} { ${selection} }`)
      if (!paths.has(inner.name)) paths.set(inner.name, { type: inner, wrap: into })
      for (const possible of isAbstractType(inner) ? schema.getPossibleTypes(inner) : [])
        if (!paths.has(possible.name))
          paths.set(possible.name, {
            type: possible,
            wrap: (selection) => into(`... on ${possible.name} { ${selection} }`),
          })
    }
  }
  return paths
}
const order = (name: string) => (name === 'flow' ? 0 : name === 'messages' ? 1 : 2)

/** A query for each declared field that a query can reach, and the query that it adds the field to. */
function* fieldQueries() {
  for (const [name, { type, wrap }] of pathsFromQuery())
    for (const field of declaredFields(type))
      yield {
        name: `${name}.${field.name}`,
        without: wrap('__typename'),
        query: wrap(`__typename ${field.name}${args[`${type.name}.${field.name}`] ?? ''}${rest(field)}`),
      }
}

/** The fields of a type without those of its interfaces. */
function declaredFields(type: GraphQLNamedType): GraphQLField<unknown, unknown>[] {
  if (!isObjectType(type) && !isInterfaceType(type)) return []
  const inherited = new Set(type.getInterfaces().flatMap((each) => Object.keys(each.getFields())))
  return Object.values(type.getFields()).filter(({ name }) => name === 'id' || !inherited.has(name))
}

function rest(field: GraphQLField<unknown, unknown>): string {
  const type = getNamedType(field.type)
  if (isLeafType(type)) return ''
  if (type.name === 'PageInfo') return ' { hasNextPage hasPreviousPage }'
  return type.name.endsWith('Connection') && !isListType(getNullableType(field.type))
    ? ' { nodes { __typename } pageInfo { hasNextPage hasPreviousPage } }'
    : ' { __typename }'
}

test('each field makes no more calls to the upstream than it declares', async () => {
  const token = await app.backend.token('Ada')
  const costOf = async (query: string) =>
    (await post(app.url, { query, extensions: { cost: true } }, token, aliceHeaders)).extensions?.['cost']
  const wrong: string[] = []
  const called = new Set<string>()
  for (const { name, without, query } of fieldQueries()) {
    const before = await costOf(without)
    const cost = await costOf(query)
    if (cost.actual > cost.predicted || cost.actual - before.actual > cost.predicted - before.predicted)
      wrong.push(`${name}: ${JSON.stringify({ before, cost })}`)
    if (cost.actual > before.actual) called.add(name)
  }
  expect(wrong).toEqual([])
  expect(called.size).toBeGreaterThan(20)
}, 120_000)

test('a value that changes within an hour although nothing happens is marked volatile', async () => {
  const queries = [...fieldQueries()]
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const answersOf = async (each: typeof queries) => {
    const answers: string[] = []
    for (const { query } of each) answers.push(JSON.stringify(await app.graphql('Ada', query)))
    return answers
  }
  const first = await answersOf(queries)
  vi.setSystemTime(Date.now() + 3_600_000)
  const second = await answersOf(queries)
  const changed = queries.filter((_, index) => first[index] !== second[index])
  // A new signed URL each time; the old one is valid for longer than a response is cached.
  const isSigned = (name: string) => /^(File|Thumbnail)\.url$/.test(name)
  const isMarked = (query: string) => measureDocument(schema, parse(query), {}, defaultLimits).isVolatile
  const unmarked = changed.filter(({ name, query }) => !isSigned(name) && !isMarked(query))
  expect(unmarked.map(({ name }) => name)).toEqual([])
  expect(changed.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['RateLimit.resetsAt', 'FlowActivity.since']),
  )
}, 120_000)

const isSame = (field: GraphQLField<unknown, unknown>) => sharingOf(field) === 'same'
const values = { Int: ['3'], String: ['"release"'], DateTime: ['"2020-01-01T00:00:00.000Z"'] }

test('fields that are the same for all viewers are the same for two members of a flow', async () => {
  const options = { schema, values, depth: 3, selects: isSame }
  const selected = new Set<string>()
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = createRandom(seed)
    const [message, thread] = ['Message', 'Thread'].map((type) => generateSelection(options, type, random))
    for (const [name] of `${message} ${thread}`.matchAll(/(?<=: )\w+/g)) selected.add(name)
    const query = `{ flow(by: { path: "example/main" }) { messages(last: 100) { nodes ${message} } threads(first: 50) { nodes ${thread} } } }`
    const [ada, ben] = await Promise.all([app.graphql('Ada', query), app.graphql('Ben', query)])
    expect(ada.errors, query).toBeUndefined()
    expect(JSON.stringify(ben), query).toBe(JSON.stringify(ada))
  }
  expect(selected.size).toBeGreaterThan(80)
})

test('an event executed for all is the same as for each member alone', async () => {
  const options = { schema, values, depth: 3, selects: isSame }
  const selections = Array.from({ length: 10 }, (_, seed) =>
    generateSelection(options, 'FlowEvent', createRandom(seed)),
  )
  const subscribe = async (nick: 'Ada' | 'Ben', selection: string) => {
    const client = openSubscription(
      socketClient(app.url, await app.backend.token(nick)),
      `subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) ${selection} }`,
    )
    onTestFinished(client.close)
    return client
  }
  const readers = await Promise.all(
    selections.map(async (selection) => {
      // One field that depends on the viewer makes the execution the viewer's own.
      const own = selection.replace('{', '{ own: conversation { id } ')
      return Promise.all([
        subscribe('Ada', selection),
        subscribe('Ben', selection),
        subscribe('Ada', own),
        subscribe('Ben', own),
      ])
    }),
  )
  await eventually(() => liveMembers(app) === selections.length * 4)
  expect(app.state().live.groups.some(({ isShared, members }) => isShared && members === 2)).toBe(true)
  const ada = app.backend.as('Ada')
  const messages = '/flows/example/main/messages'
  const { json } = await ada('POST', messages, {
    event: 'message',
    content: 'Look: https://example.com #release @Ben',
  })
  await ada('PUT', `${messages}/${json.id}`, { content: 'changed', tags: ['other'] })
  await app.graphql(
    'Ben',
    'mutation ($id: ID!) { addReaction(input: { messageId: $id, emoji: "thumbsup" }) { __typename } }',
    {
      id: Buffer.from(`Message:${json.flow}:${json.id}`).toString('base64url'),
    },
  )
  await app.graphql('Ben', 'mutation { setTyping(input: { flow: { path: "example/main" } }) { __typename } }')
  await ada('POST', messages, { event: 'status', content: 'busy' })
  await ada('DELETE', `${messages}/${json.id}`)
  const events = 5
  for (const [index, group] of readers.entries())
    for (let count = 0; count < events; count += 1) {
      const [first, ...others] = await Promise.all(
        group.map(async (reader) => {
          const result = await reader.next()
          delete result?.data?.flowEvents.own
          return JSON.stringify(result)
        }),
      )
      expect(first).toContain('"data"')
      for (const other of others) expect(other, selections[index]).toBe(first)
    }
})
