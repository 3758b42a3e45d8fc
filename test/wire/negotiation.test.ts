import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { negotiate } from '../../src/server/negotiation.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

/* [spec] RFC 9110, 12.5.1; [spec] GraphQL over HTTP, "Response" */

let app: TestApp
let authorization: string

beforeAll(async () => {
  app = await startTestApp()
  authorization = basic(await app.backend.token('Ada'))
})
afterAll(() => app.close())

const query = '{ viewer { nick } }'
const documents = {
  query,
  mutation: 'mutation { __typename }',
  subscription: 'subscription { flowEvents(input: {}) { cursor } }',
  'unknown field': '{ nothing }',
  'unknown field, live': 'subscription { nothing }',
  'syntax error': '{',
}
type Kind = keyof typeof documents

interface Response {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** Asks as `fetch` cannot: with no Accept header at all. Reads the response to its end, unless it has none. */
function ask(
  body: object,
  {
    accept,
    method = 'POST',
    isEndless = false,
  }: { accept?: string | undefined; method?: string; isEndless?: boolean },
): Promise<Response> {
  const search = new URLSearchParams(
    Object.entries(body).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  )
  return new Promise((resolve, reject) => {
    const asking = request(
      `${app.url}/graphql${method === 'GET' ? `?${search}` : ''}`,
      {
        method,
        headers: {
          authorization,
          ...(accept === undefined ? {} : { accept }),
          ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
        },
      },
      (response) => {
        let text = ''
        const type = String(response.headers['content-type'])
        const done = () => resolve({ status: response.statusCode ?? 0, type, text })
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', done)
        response.on('error', () => undefined)
        if (!isEndless) return
        done()
        asking.destroy()
      },
    )
    asking.on('error', reject)
    asking.end(method === 'GET' ? undefined : JSON.stringify(body))
  })
}

const json = 'application/json; charset=utf-8'
const graphql = 'application/graphql-response+json; charset=utf-8'
const sse = 'text/event-stream; charset=utf-8'
const multipart = 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
/** Sent by urql with queries and mutations, by some versions with subscriptions, too. */
const urql =
  'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed'
const urqlLive = 'text/event-stream, multipart/mixed'
/** Sent by Apollo Client 4 with queries and mutations, and with subscriptions. */
const apollo = 'application/graphql-response+json,application/json;q=0.9'
const apolloLive = `multipart/mixed;boundary=graphql;subscriptionSpec=1.0,${apollo}`
const axios = 'application/json, text/plain, */*'

describe('the type of a response', () => {
  test.each<[string | undefined, 'GET' | 'POST', Kind, number, string]>([
    [undefined, 'POST', 'query', 200, json],
    [undefined, 'GET', 'query', 200, json],
    ['', 'POST', 'query', 200, json],
    ['*/*', 'POST', 'query', 200, json],
    ['application/*', 'POST', 'query', 200, json],
    ['application/json', 'POST', 'query', 200, json],
    ['application/json; charset=UTF-8', 'POST', 'mutation', 200, json],
    ['application/json; charset="utf-8"', 'POST', 'mutation', 200, json],
    ['Application/JSON', 'GET', 'query', 200, json],
    ['application/graphql-response+json', 'POST', 'mutation', 200, graphql],
    ['application/json;q=0.5, application/graphql-response+json', 'POST', 'query', 200, graphql],
    ['application/graphql-response+json;q=0.5, application/json', 'POST', 'query', 200, json],
    ['application/graphql-response+json;q=0, */*', 'POST', 'query', 200, json],
    ['application/json;q=0, */*', 'POST', 'query', 200, graphql],
    [axios, 'POST', 'query', 200, json],
    [urql, 'POST', 'query', 200, graphql],
    [urql, 'GET', 'query', 200, graphql],
    [urql, 'POST', 'mutation', 200, graphql],
    [urql, 'POST', 'subscription', 200, sse],
    [urql, 'POST', 'unknown field', 400, graphql],
    [urql, 'POST', 'unknown field, live', 200, sse],
    [urqlLive, 'POST', 'subscription', 200, sse],
    [urqlLive, 'POST', 'unknown field, live', 200, sse],
    [apollo, 'POST', 'query', 200, graphql],
    [apollo, 'POST', 'unknown field', 400, graphql],
    [apollo, 'POST', 'subscription', 406, graphql],
    [apolloLive, 'POST', 'subscription', 200, multipart],
    [apolloLive, 'POST', 'unknown field, live', 200, multipart],
    [apolloLive, 'POST', 'query', 200, graphql],
    ['text/event-stream', 'POST', 'query', 200, sse],
    ['text/event-stream', 'GET', 'query', 200, sse],
    ['text/event-stream', 'POST', 'mutation', 200, sse],
    ['text/event-stream', 'POST', 'subscription', 200, sse],
    ['text/event-stream', 'GET', 'subscription', 200, sse],
    ['text/event-stream', 'POST', 'unknown field', 200, sse],
    ['text/event-stream', 'POST', 'syntax error', 200, sse],
    // No operation can be told apart in it, so it is answered as a query is.
    [urql, 'POST', 'syntax error', 400, graphql],
    ['text/*', 'POST', 'subscription', 200, sse],
    ['application/json, text/event-stream', 'POST', 'query', 200, json],
    ['text/event-stream, application/json;q=0.1', 'POST', 'query', 200, json],
    ['application/json, text/event-stream;q=0.1', 'POST', 'subscription', 200, sse],
    ['application/json, text/event-stream;q=0', 'POST', 'query', 200, json],
    ['application/json, text/event-stream;q=0', 'POST', 'subscription', 406, json],
    ['text/event-stream;q=0', 'POST', 'query', 406, json],
    ['text/event-stream;q=0, */*', 'POST', 'query', 200, json],
    ['multipart/mixed;subscriptionSpec="1.0"', 'POST', 'query', 200, multipart],
    ['text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0', 'POST', 'subscription', 200, multipart],
    ['text/event-stream, multipart/mixed;subscriptionSpec=1.0;q=0.5', 'POST', 'subscription', 200, sse],
    ['application/json, multipart/mixed', 'POST', 'subscription', 406, json],
    ['application/json', 'POST', 'subscription', 406, json],
    ['application/json', 'GET', 'subscription', 406, json],
    ['application/graphql-response+json', 'POST', 'subscription', 406, graphql],
    ['*/*', 'POST', 'subscription', 406, json],
    [undefined, 'POST', 'subscription', 406, json],
    [axios, 'POST', 'subscription', 406, json],
    ['application/json', 'GET', 'mutation', 405, json],
    ['text/event-stream', 'GET', 'mutation', 405, json],
    [graphql, 'GET', 'mutation', 405, graphql],
    ['image/png', 'POST', 'query', 406, json],
    ['image/png, */*;q=0.5', 'POST', 'query', 200, json],
    ['nonsense', 'POST', 'query', 406, json],
  ])('to Accept: %s, %s of a %s is %i %s', async (accept, method, kind, status, type) => {
    const isEndless = kind === 'subscription' && status === 200
    const answer = await ask({ query: documents[kind] }, { accept, method, isEndless })
    expect([answer.status, answer.type]).toEqual([status, type])
    if (status === 406 && kind === 'subscription')
      expect(JSON.parse(answer.text).errors[0].message).toContain('text/event-stream')
  })

  test('is none for an Accept header of more than 1,000 characters', async () => {
    expect((await ask({ query }, { accept: `${'a/b, '.repeat(199)}*/*` })).status).toBe(200)
    expect((await ask({ query }, { accept: `${'a/b, '.repeat(200)}*/*` })).status).toBe(406)
  })

  test.each([
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
    ['text/html', true],
    ['text/html;q=0, */*', false],
    ['application/json, text/html;q=0.9', false],
    ['text/html;q=0.9, application/json', false],
    ['*/*', false],
  ])('is the page for a reader who accepts %s: %s', (accept, page) => {
    expect(negotiate(accept).page).toBe(page)
  })
})

describe('a request that fails before it is executed', () => {
  const variables = {
    query: 'query ($n: Int!) { flows(first: $n) { nodes { name } } }',
    variables: { n: 'x' },
  }
  const bodies: [string, object, number, number][] = [
    ['a syntax error', { query: '{' }, 200, 400],
    ['an unknown field', { query: '{ nothing }' }, 200, 400],
    ['a variable of another type', variables, 200, 400],
    ['a missing variable', { query: variables.query }, 200, 400],
    ['an unknown operationName', { query: 'query A { __typename }', operationName: 'B' }, 200, 400],
    ['no operationName', { query: 'query A { __typename } query B { __typename }' }, 200, 400],
    ['a document that is too long', { query: `# ${'x'.repeat(33_000)}\n${query}` }, 200, 400],
    ['a number for the query', { query: 5 }, 400, 400],
    ['no query', { variables: {} }, 400, 400],
    ['variables that are a list', { query, variables: [] }, 400, 400],
    ['variables that are text', { query, variables: '{}' }, 400, 400],
    ['extensions that are a list', { query, extensions: [] }, 400, 400],
  ]
  test.each(bodies)('%s', async (_, body, plain, typed) => {
    const [first, second] = [
      await ask(body, { accept: 'application/json' }),
      await ask(body, { accept: apollo }),
    ]
    expect([first.status, first.type, second.status, second.type]).toEqual([plain, json, typed, graphql])
    for (const { text } of [first, second]) {
      const { data, errors } = JSON.parse(text)
      expect(data).toBeUndefined()
      expect(errors[0].extensions.code).toMatch(/^[A-Z_]+$/)
    }
  })

  test.each(bodies.filter(([, , plain]) => plain === 200))(
    '%s over SSE is delivered and ends',
    async (_, body) => {
      const { status, text } = await ask(body, { accept: 'text/event-stream' })
      expect(status).toBe(200)
      expect(text).toMatch(/event: next\ndata: \{"errors":\[[^\n]+\n\nevent: complete\ndata: \n\n$/)
    },
  )

  test('a subscription over multipart is delivered its errors as a payload', async () => {
    const { status, text } = await ask({ query: 'subscription { nothing }' }, { accept: apolloLive })
    expect(status).toBe(200)
    expect(text).toContain('\r\n\r\n{"payload":{"errors":[{"message":"Cannot query field')
    expect(text).toMatch(/--graphql--\r\n$/)
  })
})

test('an operation name that is blank is none, and so are blank variables of a URL', async () => {
  const blank = { query, operationName: '', variables: '', extensions: '' }
  expect(await ask(blank, { accept: 'application/json', method: 'GET' })).toMatchObject({
    status: 200,
    text: '{"data":{"viewer":{"nick":"Ada"}}}',
  })
  expect((await ask({ query, operationName: '' }, { accept: apollo })).status).toBe(200)
})

test('a hash that is not known is 200 in plain JSON and 400 in the type that has statuses', async () => {
  const sha256Hash = '0'.repeat(64)
  const body = { extensions: { persistedQuery: { version: 1, sha256Hash } } }
  for (const [accept, status] of [
    ['application/json', 200],
    [apollo, 400],
  ] as const) {
    const answer = await ask(body, { accept })
    expect([answer.status, JSON.parse(answer.text).errors[0].extensions.code]).toEqual([
      status,
      'PERSISTED_QUERY_NOT_FOUND',
    ])
  }
})

describe('a principal past its limits', () => {
  test('is refused in the type they accept', async () => {
    const limited = await startTestApp({ settings: { REQUESTS_PER_MINUTE: '1' } })
    const as = basic(await limited.backend.token('Ada'))
    const send = (accept: string) =>
      fetch(`${limited.url}/graphql`, {
        method: 'POST',
        headers: { accept, authorization: as, 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      })
    expect((await send(apollo)).status).toBe(200)
    for (const [accept, type] of [
      [apollo, graphql],
      ['application/json', json],
      ['text/event-stream', json],
    ] as const) {
      const answer = await send(accept)
      expect([answer.status, answer.headers.get('content-type')]).toEqual([429, type])
      expect(await answer.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] })
    }
    await limited.close()
  })

  test('still has their queries answered over SSE, which hold no connection', async () => {
    const limited = await startTestApp({ settings: { MAX_CONNECTIONS_PER_PRINCIPAL: '1' } })
    const as = basic(await limited.backend.token('Ada'))
    const send = (document: string) =>
      fetch(`${limited.url}/graphql`, {
        method: 'POST',
        headers: { accept: 'text/event-stream', authorization: as, 'content-type': 'application/json' },
        body: JSON.stringify({ query: document }),
      })
    const live = await send(documents.subscription)
    expect(live.status).toBe(200)
    expect((await send(documents.subscription)).status).toBe(429)
    expect(await (await send(query)).text()).toContain('"nick":"Ada"')
    await live.body?.cancel()
    await limited.close()
  })
})
