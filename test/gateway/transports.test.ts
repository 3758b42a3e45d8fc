import { request } from 'node:http'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { defaultLimits } from '../../src/graphql/document-limits.ts'
import {
  executeOverSocket,
  openSubscription,
  post,
  type Result,
  startTestApp,
  type TestApp,
} from '../support/app.ts'
import { basic } from '../support/backend.ts'

let app: TestApp
let token: string

beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
})
afterAll(() => app.close())

type Execute = (query: string, variables?: Record<string, unknown>, token?: string) => Promise<Result>

/** The same operation over each transport. */
const transports: [string, Execute][] = [
  ['POST', (query, variables, as = token) => post(app.url, { query, variables }, as)],
  [
    'GET',
    async (query, variables = {}, as = token) => {
      const search = new URLSearchParams({ query, variables: JSON.stringify(variables) })
      const response = await fetch(`${app.url}/graphql?${search}`, {
        headers: { authorization: basic(as), accept: 'application/json' },
      })
      return (await response.json()) as Result
    },
  ],
  ['WebSocket', (query, variables, as = token) => executeOverSocket(app.url, as, query, variables)],
]

/** `depth` levels: `flow { thread { flow { thread …`. */
function nested(depth: number, level = 1): string {
  if (level === depth) return '{ id }'
  const field =
    level === 1 ? 'flow(by: { path: "example/main" })' : level % 2 === 0 ? 'thread(databaseId: "x")' : 'flow'
  return `{ ${field} ${nested(depth, level + 1)} }`
}

const fragments = (count: number) =>
  `{ viewer { ...F0 } } ${Array.from({ length: count }, (_, index) => `fragment F${index} on User { a: nick ...F${index + 1} ...F${index + 1} }`).join(' ')} fragment F${count} on User { nick }`

test.each([
  [undefined, 'Expected operationName to name one of the operations of the document, got none'],
  ['C', 'Expected operationName to name an operation of the document, got "C"'],
])('the error for the operation name %s says what was got', async (operationName, message) => {
  const query = 'query A { viewer { nick } } query B { viewer { nick } }'
  const { errors } = await post(app.url, { query, operationName }, token)
  expect(errors).toMatchObject([{ message, extensions: { code: 'BAD_USER_INPUT' } }])
})

describe.each(transports)('over %s', (transport, execute) => {
  test('a query is answered', async () => {
    expect((await execute('{ viewer { nick } }')).data).toEqual({ viewer: { nick: 'Ada' } })
  })

  test('a wrong token has a code', async () => {
    const { data, errors } = await execute('{ viewer { nick } }', {}, '0'.repeat(32))
    expect(data).toBeNull()
    expect(errors).toMatchObject([
      {
        message: 'Cannot read the signed-in user: the credential is not valid',
        path: ['viewer'],
        extensions: { code: 'UNAUTHENTICATED' },
      },
    ])
  })

  test('a syntax error has a code', async () => {
    expect((await execute('{ viewer ')).errors).toMatchObject([
      { extensions: { code: 'GRAPHQL_PARSE_FAILED' } },
    ])
  })

  test('an unknown field has a code', async () => {
    expect((await execute('{ viewer { password } }')).errors).toMatchObject([
      { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
    ])
  })

  test('an ambiguous operation has a code', async () => {
    const { errors } = await execute('query A { viewer { nick } } query B { viewer { nick } }')
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
  })

  test('at most five mistakes are listed', async () => {
    const fields = Array.from({ length: 20 }, (_unused, index) => `x${index}`).join(' ')
    expect((await execute(`{ viewer { ${fields} } }`)).errors).toHaveLength(5)
  })

  const { maxAliases, maxDepth, maxRootFields } = defaultLimits
  const limits: [string, string, string, Record<string, unknown>?][] = [
    ['depth', nested(maxDepth), nested(maxDepth + 1)],
    ['aliases', aliases('viewer', maxRootFields), aliases('__typename', maxAliases + 1)],
    ['root fields', aliases('viewer', maxRootFields), `{ ${'viewer { id } '.repeat(maxRootFields + 1)} }`],
    ['tokens', '{ viewer { nick } }', `{ viewer { ${'nick '.repeat(defaultLimits.maxTokens)} } }`],
    ['bytes', '{ viewer { nick } }', `# ${'x'.repeat(defaultLimits.maxDocumentBytes)}\n{ viewer { nick } }`],
    [
      'directives',
      '{ viewer { nick @include(if: true) } }',
      `{ viewer { nick ${'@include(if: true) '.repeat(51)} } }`,
    ],
    ['nested fragments', fragments(3), fragments(20)],
    [
      'cost by variables',
      'query ($n: Int) { flow(by: { path: "example/main" }) { threads(first: $n) { nodes { id } } } }',
      'query ($n: Int) { flow(by: { path: "example/main" }) { threads(first: $n) { nodes { messages(first: $n) { nodes { thread { messages(first: $n) { nodes { id } } } } } } } } }',
      { n: 100 },
    ],
  ]
  // An address is never as long as the limit of a document: Node answers 431 before.
  const applying = limits.filter(([name]) => transport !== 'GET' || name !== 'bytes')
  test.each(applying)(
    '%s: what is within the limit is executed, what is beyond is refused',
    async (_name, legal, beyond, variables) => {
      const allowed = await execute(legal, variables)
      expect(allowed.errors).toBeUndefined()
      const { data, errors } = await execute(beyond, variables)
      expect(data ?? null).toBeNull()
      expect(errors).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED' } }])
    },
  )
})

function aliases(field: string, count: number): string {
  const body = field === '__typename' ? '' : ' { id }'
  return `{ ${Array.from({ length: count }, (_, index) => `a${index}: ${field}${body}`).join(' ')} }`
}

test('a refused operation leaves the others of its socket alone', async () => {
  const client = createClient({
    url: `${app.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    lazy: false,
    retryAttempts: 0,
    connectionParams: { authorization: basic(token) },
  })
  const run = (query: string) => openSubscription(client, query).next()
  await expect(run('{ viewer ')).rejects.toMatchObject([{ extensions: { code: 'GRAPHQL_PARSE_FAILED' } }])
  await expect(run(fragments(20))).rejects.toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED' } }])
  expect(await run('{ viewer { nick } }')).toMatchObject({ data: { viewer: { nick: 'Ada' } } })
  await client.dispose()
})

describe('requests that never become operations', () => {
  const raw = (
    path: string,
    options: { method?: string; headers?: Record<string, string>; body?: string } = {},
  ) =>
    new Promise<{ status: number; text: string; headers: Record<string, unknown> }>((resolve, reject) => {
      const outgoing = request(
        `${app.url}${path}`,
        { method: options.method ?? 'POST', headers: options.headers ?? {} },
        async (response) => {
          const chunks: Buffer[] = []
          for await (const chunk of response) chunks.push(chunk as Buffer)
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString(),
            headers: response.headers,
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(options.body)
    })
  const json = { 'content-type': 'application/json' }

  test.each<[string, Parameters<typeof raw>[1], number]>([
    ['a Host that is none', { headers: { ...json, host: '[::::' }, body: '{"query":"{__typename}"}' }, 400],
    ['broken JSON', { headers: json, body: '{"query": secret' }, 400],
    ['JSON that is no object', { headers: json, body: '[1]' }, 400],
    ['a body without a query', { headers: json, body: '{"a":1}' }, 400],
    ['a body that is too long', { headers: json, body: `{"query":"${'x'.repeat(1024 * 1024)}"}` }, 413],
    [
      'a form',
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'query={viewer{nick}}' },
      415,
    ],
    ['plain text', { headers: { 'content-type': 'text/plain' }, body: '{"query":"{__typename}"}' }, 415],
    [
      'another site’s page',
      { headers: { ...json, origin: 'https://evil.example' }, body: '{"query":"{__typename}"}' },
      403,
    ],
  ])('%s', async (_, options, status) => {
    const answer = await raw('/graphql', options)
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.text).errors[0].extensions.code).toMatch(/^[A-Z_]+$/)
    expect(answer.text).not.toMatch(/secret|node_modules|\n {4}at /)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  test('a page of the same origin is let in', async () => {
    const answer = await raw('/graphql', {
      headers: { ...json, origin: app.url },
      body: '{"query":"{__typename}"}',
    })
    expect(answer).toMatchObject({ status: 200, text: '{"data":{"__typename":"Query"}}' })
  })

  test('a byte order mark at the start of a body is ignored, as the REST API does', async () => {
    const answer = await raw('/graphql', { headers: json, body: '\ufeff{"query":"{__typename}"}' })
    expect(answer).toMatchObject({ status: 200, text: '{"data":{"__typename":"Query"}}' })
    const sent = await fetch(`${app.backend.url}/flows/example/main/messages`, {
      method: 'POST',
      headers: { ...json, authorization: basic(token) },
      body: '\ufeff{"event":"message","content":"marked"}',
    })
    expect(sent.status).toBe(201)
  })

  test.each([
    ['{__typename}', 'application/json', 200],
    ['{nothing}', 'application/json', 200],
    ['mutation{__typename}', 'application/json', 405],
    ['subscription{messageAdded(input:{}){cursor}}', 'text/event-stream', 200],
  ])('HEAD is GET without a body: %s', async (query, accept, status) => {
    const path = `/graphql?query=${encodeURIComponent(query)}`
    const head = await raw(path, { method: 'HEAD', headers: { accept, authorization: basic(token) } })
    expect([head.status, head.text]).toEqual([status, ''])
    if (accept !== 'application/json') return expect(head.headers['content-type']).toContain(accept)
    const get = await raw(path, { method: 'GET', headers: { accept, authorization: basic(token) } })
    for (const name of ['content-type', 'content-length', 'etag'])
      if (status === 200) expect(head.headers[name]).toBe(get.headers[name])
  })

  test('a mutation by GET is not executed', async () => {
    const answer = await raw(`/graphql?query=${encodeURIComponent('mutation { __typename }')}`, {
      method: 'GET',
      headers: { accept: 'application/json' },
    })
    expect(answer.status).toBe(405)
  })

  test('a socket from another site is refused at the handshake', async () => {
    const status = (origin: string | undefined, path = '/graphql') =>
      new Promise<number>((resolve) => {
        const socket = new WebSocket(
          `${app.url.replace('http', 'ws')}${path}`,
          'graphql-transport-ws',
          origin === undefined ? {} : { origin },
        )
        socket.on('open', () => {
          socket.close()
          resolve(101)
        })
        socket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
        socket.on('error', () => undefined)
      })
    expect(
      await Promise.all([
        status(undefined),
        status(app.url),
        status('https://evil.example'),
        status('null'),
        status(`${app.url}.evil.example`),
        status(undefined, '/other'),
      ]),
    ).toEqual([101, 101, 403, 403, 403, 404])
  })

  test('the rest of the address space is small', async () => {
    expect((await raw('/health/live', { method: 'GET' })).status).toBe(200)
    expect((await raw('/health/ready', { method: 'GET' })).text).toBe('{"status":"ready"}')
    expect((await raw('/schema.graphql', { method: 'GET' })).text).toContain('type Query')
    const possibleTypes = await raw('/possible-types.json', { method: 'GET' })
    expect(possibleTypes.headers['content-type']).toBe('application/json')
    expect(JSON.parse(possibleTypes.text).Message).toContain('ChatMessage')
    expect((await raw('/', { method: 'GET' })).headers['location']).toBe('/graphql')
    expect((await raw('/graphiql/../package.json', { method: 'GET' })).status).toBe(404)
    expect((await raw('/nowhere', { method: 'GET' })).status).toBe(404)
  })
})

test('introspection has the same bytes over every transport, under whatever name', async () => {
  const body = 'IntrospectionOf { __schema { types { name fields { name } } } }'
  const texts: string[] = []
  for (const accept of ['application/json', 'application/json;q=1', 'text/event-stream']) {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { accept, 'content-type': 'application/json' },
      body: JSON.stringify({ query: `query ${texts.length === 0 ? '' : `N${texts.length}`}${body}` }),
    })
    const text = await response.text()
    texts.push(/^data: (\{.*)$/m.exec(text)?.[1] ?? text)
  }
  texts.push(JSON.stringify(await executeOverSocket(app.url, token, `query ${body}`)))
  expect(JSON.parse(texts[0] ?? '').data.__schema.types.length).toBeGreaterThan(50)
  expect(new Set(texts).size).toBe(1)
})
