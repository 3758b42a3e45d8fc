import fc from 'fast-check'
import { parse, validate } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { errorCodes } from '../../src/errors.ts'
import { schema } from '../../src/schema/index.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { createRandom, generateQuery } from '../support/query-generator.ts'

let app: TestApp
const globalId = (type: string, key: string | number) => Buffer.from(`${type}:${key}`).toString('base64url')
/** What is put into the arguments of generated queries: what is there, and what is not. */
const values: Record<string, string[]> = {
  Int: ['1', '3', '100', '0', '-1', '101', '7'],
  Boolean: ['true', 'false'],
  String: ['"release"', '"example/main"', '"https://www.flowdock.com/app/example/main"', '"nonsense"', '""'],
  DateTime: ['"2020-01-01T00:00:00.000Z"', '"2030-01-01T00:00:00.000Z"'],
  ID: [],
  FlowBy: ['{ path: "example/main" }', '{ path: "example/engineering" }', '{ path: "example/nowhere" }'],
}

/** As REST tells it. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of every shape
let rest: (path: string) => Promise<any>

beforeAll(async () => {
  app = await startTestApp()
  rest = async (path) => (await app.backend.as('Ada')('GET', path)).json
  const flow = await rest('/flows/example/engineering')
  const [thread] = await rest('/flows/example/engineering/threads')
  values['ID']?.push(
    ...[
      globalId('User', 2),
      globalId('User', 99),
      globalId('Flow', flow.id),
      globalId('Organization', 1),
    ].map((id) => JSON.stringify(id)),
    ...[globalId('Message', `${flow.id}:3`), globalId('Thread', `${flow.id}:${thread.id}`)].map((id) =>
      JSON.stringify(id),
    ),
    ...[globalId('PrivateConversation', 2), globalId('Source', 'example/engineering:1')].map((id) =>
      JSON.stringify(id),
    ),
    ...['"nonsense"', JSON.stringify(flow.id), JSON.stringify(thread.id)],
  )
})
afterAll(() => app.close())

test('each valid query has a response with data, or a documented code', async () => {
  const allowed = errorCodes.filter((code) => !/INTERNAL|LEFT|PARSE|VALIDATION|UPSTREAM/.test(code))
  let answered = 0
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const query = generateQuery({ schema, values, depth: 5 }, createRandom(seed))
      expect(validate(schema, parse(query)), query).toEqual([])
      const { data, errors = [] } = await app.graphql('Ada', query)
      for (const error of errors)
        expect(allowed, `${query}\n${error.message}`).toContain(error.extensions?.['code'])
      if (data != null) answered += 1
    }),
    { numRuns: 400 },
  )
  // Most of them get somewhere.
  expect(answered).toBeGreaterThan(150)
})

type Json = Record<string, unknown>
const time = (value: unknown) => (value == null ? null : new Date(value as string | number).toISOString())
const isString = (value: unknown) => (typeof value === 'string' ? value : null)

/** What each field of a type says, read straight from REST. */
const readings: Record<string, Record<string, (json: Json) => unknown>> = {
  User: {
    databaseId: ({ id }) => id,
    nick: ({ nick }) => nick,
    name: ({ name }) => name,
    email: ({ email }) => email,
    avatarUrl: ({ avatar }) => avatar,
    websiteUrl: ({ website }) => website,
    id: ({ id }) => globalId('User', id as number),
    url: ({ id }) => `${app.backend.url}/users/${id}`,
  },
  Flow: {
    databaseId: ({ id }) => id,
    name: ({ name }) => name,
    slug: (json) => json['parameterized_name'],
    description: ({ description }) => description,
    email: ({ email }) => email,
    access: (json) => String(json['access_mode']).toUpperCase(),
    isOpen: ({ open }) => open,
    viewerIsMember: ({ joined }) => joined,
    viewerIsAdmin: (json) => json['flow_admin'],
    unreadMentions: (json) => json['unread_mentions'],
    lastMessageAt: (json) => time(json['last_message_at']),
    pushToken: (json) => json['api_token'],
    joinUrl: (json) => json['join_url'] ?? null,
    url: ({ url }) => url,
    webUrl: (json) => json['web_url'],
  },
  Message: {
    databaseId: ({ id }) => id,
    event: ({ event }) => event,
    tags: ({ tags }) => tags,
    uuid: ({ uuid }) => uuid ?? null,
    externalUserName: (json) => json['external_user_name'] ?? null,
    sentAt: ({ sent }) => time(sent),
    editedAt: ({ edited }) => time(edited),
    externalUrl: (json) => json['external_url'] ?? null,
    id: ({ id, flow }) => globalId('Message', `${flow}:${id}`),
    url: ({ id }) => `${app.backend.url}/flows/example/engineering/messages/${id}`,
  },
  Thread: {
    databaseId: ({ id }) => id,
    title: ({ title }) => title,
    body: ({ body }) => isString(body),
    externalUrl: (json) => isString(json['external_url']),
    activityCount: ({ activities }) => activities,
    internalCommentCount: (json) => json['internal_comments'],
    externalCommentCount: (json) => json['external_comments'],
    createdAt: (json) => time(json['created_at']),
    updatedAt: (json) => time(json['updated_at']),
  },
}

test('generated selections say what a straight reading of REST says', async () => {
  const [user, flow, messages, threads] = await Promise.all([
    rest('/users/2'),
    rest('/flows/example/engineering'),
    rest('/flows/example/engineering/messages?limit=100'),
    rest('/flows/example/engineering/threads'),
  ])
  const names = (type: string) => Object.keys(readings[type] ?? {})
  const subset = (type: string) => fc.subarray(names(type), { minLength: 1 })
  const expected = (type: string, fields: string[], json: Json) =>
    Object.fromEntries(fields.map((field) => [field, readings[type]?.[field]?.(json)]))
  await fc.assert(
    fc.asyncProperty(
      subset('User'),
      subset('Flow'),
      subset('Message'),
      subset('Thread'),
      fc.integer({ min: 1, max: 20 }),
      async (userFields, flowFields, messageFields, threadFields, size) => {
        const { data, errors } = await app.graphql(
          'Ada',
          `{ node(id: "${globalId('User', 2)}") { ... on User { ${userFields.join(' ')} } }
            flow(by: { path: "example/engineering" }) { ${flowFields.join(' ')}
              messages(last: ${size}) { nodes { ${messageFields.join(' ')} } }
              threads(first: ${size}) { nodes { ${threadFields.join(' ')} } } } }`,
        )
        expect(errors).toBeUndefined()
        expect(data.node).toEqual(expected('User', userFields, user))
        const { messages: page, threads: threadPage, ...rest } = data.flow
        expect(rest).toEqual(expected('Flow', flowFields, flow))
        expect(page.nodes).toEqual(
          messages.slice(-size).map((json: Json) => expected('Message', messageFields, json)),
        )
        expect(threadPage.nodes).toEqual(
          threads.slice(0, size).map((json: Json) => expected('Thread', threadFields, json)),
        )
      },
    ),
    { numRuns: 60 },
  )
})
