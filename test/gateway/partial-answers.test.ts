import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import {
  openSubscription,
  post,
  socketClient,
  startTestApp,
  type TestApp,
  testConfig,
} from '../support/app.ts'
import { basic } from '../support/backend.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

/** A gateway behind a proxy that a test can change. @param change what a JSON text becomes; undefined cuts the connection */
async function startChanged(change: (path: string, text: string) => string | undefined) {
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? ''
    const target = new URL(path, app.backend.url)
    const asked = forward(target, { method: incoming.method, headers: incoming.headers }, (answer) => {
      if (path.startsWith('/stream')) {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
        return
      }
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const text = change(path, Buffer.concat(chunks).toString())
        if (text === undefined) return void outgoing.destroy()
        const { 'content-length': _, ...headers } = answer.headers
        outgoing.writeHead(answer.statusCode ?? 502, headers)
        outgoing.end(text)
      })
    })
    asked.on('error', () => outgoing.destroy())
    outgoing.on('close', () => asked.destroy())
    incoming.pipe(asked)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gateway = await startApp(testConfig(url), { log: createLogger('silent') })
  onTestFinished(async () => {
    await gateway.close()
    server.closeAllConnections()
    server.close()
  })
  const token = await app.backend.token('Ada')
  return { url: gateway.url, token, ask: (query: string) => post(gateway.url, { query }, token) }
}

describe('a part of a response that cannot be decoded', () => {
  test('a source without URL in an embedded thread is null with an error, and the list is there', async () => {
    const { ask } = await startChanged((path, text) =>
      path.includes('/messages') || path.includes('/threads')
        ? text.replaceAll(/"url":"[^"]*\/sources\/\d+",/g, '')
        : text,
    )
    const query = (list: string) =>
      ask(`{ flow(by: { path: "example/engineering" }) { ${list} } }`).then(({ data, errors = [] }) => ({
        nodes: Object.values(data.flow as Record<string, { nodes: unknown[] }>)[0]?.nodes ?? [],
        errors,
      }))
    const whole = await app.graphql(
      'Ada',
      '{ flow(by: { path: "example/engineering" }) { messages(last: 50) { nodes { databaseId thread { source { name } } } } } }',
    )
    const sourced = whole.data.flow.messages.nodes.filter(
      ({ thread }: { thread: { source: unknown } | null }) => thread?.source != null,
    )
    expect(sourced.length).toBeGreaterThan(0)

    const messages = await query(
      'messages(last: 50) { nodes { databaseId thread { title source { name } } } }',
    )
    expect(messages.nodes).toHaveLength(whole.data.flow.messages.nodes.length)
    expect(messages.errors).toHaveLength(sourced.length)
    expect(messages.errors[0]).toMatchObject({
      path: ['flow', 'messages', 'nodes', expect.any(Number), 'thread', 'source'],
      extensions: { code: 'UPSTREAM_INVALID' },
    })
    const threads = await query('threads(first: 50) { nodes { title source { name } } }')
    expect(threads.nodes.length).toBeGreaterThan(0)
    expect(threads.errors[0]).toMatchObject({
      path: ['flow', 'threads', 'nodes', expect.any(Number), 'source'],
    })
  })

  test('a status without color is, too', async () => {
    const { ask } = await startChanged((_, text) =>
      text.replaceAll(/"status":\{"color":"\w+",/g, '"status":{'),
    )
    const { data, errors = [] } = await ask(
      '{ flow(by: { path: "example/engineering" }) { threads(first: 50) { nodes { title status { value } } } } }',
    )
    expect(data.flow.threads.nodes.length).toBeGreaterThan(0)
    expect(errors.length).toBeGreaterThan(0)
    for (const { path } of errors) expect(path?.at(-1)).toBe('status')
  })
})

describe('an item of a list that cannot be decoded', () => {
  /** Takes a member away from one object of a response. */
  const without = (member: string, match: (object: Record<string, unknown>) => boolean) => (text: string) =>
    JSON.stringify(
      JSON.parse(text, (_, value) => {
        if (typeof value !== 'object' || value === null || !match(value)) return value
        const { [member]: _left, ...rest } = value
        return rest
      }),
    )

  test.each<[string, RegExp, string, (object: Record<string, unknown>) => boolean, string, string]>([
    [
      'flows',
      /^\/flows\/?(\?|$)/,
      'name',
      ({ parameterized_name }) => parameterized_name === 'engineering',
      '{ list: flows { nodes { key: path } } }',
      'example/engineering',
    ],
    [
      'the users of an organization',
      /\/users(\?|$)/,
      'nick',
      ({ nick }) => nick === 'Ben',
      '{ organizations { nodes { list: users { nodes { user { key: nick } } } } } }',
      'Ben',
    ],
    [
      'the users of a flow',
      /\/users(\?|$)|^\/flows\/example\/main(\?|$)/,
      'nick',
      ({ nick }) => nick === 'Ben',
      '{ flow(by: { path: "example/main" }) { list: users { nodes { user { key: nick } } } } }',
      'Ben',
    ],
    [
      'threads',
      /\/threads(\?|$)/,
      'id',
      ({ title }) => title === 'left out',
      '{ flow(by: { path: "example/main" }) { list: threads(first: 50) { nodes { key: title } } } }',
      'left out',
    ],
    [
      'sources',
      /\/sources(\?|$)/,
      'url',
      ({ name }) => name === 'left out',
      '{ flow(by: { path: "example/main" }) { list: sources { nodes { key: name } } } }',
      'left out',
    ],
  ])('is left out of %s, and an error says so', async (_, path, member, match, query, key) => {
    await app.backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'left out' })
    await app.backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'kept' })
    await app.backend.as('Ada')('POST', '/flows/example/main/threads', { title: 'left out' })
    await app.backend.as('Ada')('POST', '/flows/example/main/threads', { title: 'kept' })
    const take = without(member, match)
    const { ask } = await startChanged((at, text) => (path.test(at) ? take(text) : text))
    const keys = (data: unknown) =>
      [...JSON.stringify(data).matchAll(/"key":"([^"]*)"/g)].map(([, each]) => each)
    const whole = await app.graphql('Ada', query)
    const { data, errors } = await ask(query)
    expect(keys(whole.data)).toContain(key)
    expect(keys(data)).toEqual(keys(whole.data).filter((each) => each !== key))
    expect(errors).toMatchObject([
      { message: expect.stringContaining('A list is incomplete'), extensions: { code: 'UPSTREAM_INVALID' } },
    ])
  })

  test('does not end the pages of messages, whatever their size', async () => {
    for (let index = 0; index < 12; index += 1)
      await app.backend.as('Ada')('POST', '/flows/example/main/messages', {
        event: 'message',
        content: `item ${index}`,
      })
    const take = without('sent', ({ content }) => content === 'item 3' || content === 'item 7')
    const { ask } = await startChanged((path, text) => (path.includes('/messages') ? take(text) : text))
    const read = async (args: string) => {
      const { data, errors = [] } = await ask(
        `{ flow(by: { path: "example/main" }) { messages(${args}) {
          nodes { ... on ChatMessage { content } } pageInfo { hasPreviousPage startCursor } } } }`,
      )
      for (const { extensions } of errors) expect(extensions?.['code']).toBe('UPSTREAM_INVALID')
      const { nodes, pageInfo } = data.flow.messages
      return { ...pageInfo, contents: nodes.map(({ content }: { content?: string }) => content) }
    }
    const expected = [0, 1, 2, 4, 5, 6, 8, 9, 10, 11].map((index) => `item ${index}`)
    for (const size of [1, 2, 3, 7]) {
      const contents: string[] = []
      for (let cursor = ''; !contents.includes('item 0'); ) {
        const page = await read(`last: ${size}${cursor}`)
        contents.unshift(...page.contents)
        expect(page.hasPreviousPage).toBe(true)
        cursor = `, before: "${page.startCursor}"`
      }
      expect(contents.filter((content) => content?.startsWith('item'))).toEqual(expected)
    }
  })

  test('is a gap for a subscription that resumes from a list', async () => {
    const say = (content: string) =>
      app.backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content })
    const before = await app.graphql(
      'Ada',
      '{ flow(by: { path: "example/main" }) { messages(last: 1) { edges { cursor } } } }',
    )
    await say('one')
    await say('cannot be decoded')
    await say('three')
    const take = without('sent', ({ content }) => content === 'cannot be decoded')
    const { url, token } = await startChanged((path, text) =>
      path.includes('/messages') ? take(text) : text,
    )
    // Without the offset of the log, the subscription begins with the list.
    const [id] = Buffer.from(before.data.flow.messages.edges[0].cursor, 'base64url').toString().split('@')
    const subscription = openSubscription(
      socketClient(url, token),
      `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after, kinds: [MESSAGE_ADDED] }) {
        ... on MessageAdded { message { ... on ChatMessage { content } } } ... on Gap { reason } } }`,
      { after: Buffer.from(id ?? '').toString('base64url') },
    )
    onTestFinished(subscription.close)
    const events = [await subscription.next(), await subscription.next(), await subscription.next()]
    expect(events.map((event) => event?.data.flowEvents)).toEqual([
      { reason: 'UNREADABLE' },
      { message: { content: 'one' } },
      { message: { content: 'three' } },
    ])
  })

  test('fails its list when no other item can be decoded either', async () => {
    const { ask } = await startChanged((path, text) =>
      /^\/organizations(\?|$)/.test(path) ? text.replaceAll('"parameterized_name"', '"slug"') : text,
    )
    const { data, errors } = await ask('{ organizations { nodes { slug } } }')
    expect(data).toBeNull()
    expect(errors).toMatchObject([{ path: ['organizations'], extensions: { code: 'UPSTREAM_INVALID' } }])
  })
})

test('live events keep their flow while the REST API of the upstream is down', async () => {
  let isDown = false
  const { url, token } = await startChanged((_, text) => (isDown ? undefined : text))
  const subscription = openSubscription(
    socketClient(url, token),
    `subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) {
      __typename ... on MessageAdded { flow { path name } message { ... on ChatMessage { content } } } } }`,
  )
  onTestFinished(subscription.close)
  const say = (content: string) =>
    app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
  const first = subscription.next()
  const saying = setInterval(() => void say('before'), 50)
  expect((await first)?.data.flowEvents.flow).toEqual({ path: 'example/main', name: 'Main' })
  clearInterval(saying)

  isDown = true
  // Its people change, so the gateway does not trust what it knows and asks again, in vain.
  await app.backend.as('Ben')('PUT', '/users/2', { nick: 'Benjamin' })
  await say('while it is down')
  let event = await subscription.next()
  while (event?.data?.flowEvents.message?.content !== 'while it is down') event = await subscription.next()
  expect(event?.errors).toBeUndefined()
  expect(event?.data.flowEvents.flow).toEqual({ path: 'example/main', name: 'Main' })
  await app.backend.as('Ben')('PUT', '/users/2', { nick: 'Ben' })
})

describe('a search', () => {
  test('is read from either end, in pages of any size', async () => {
    for (let index = 0; index < 7; index += 1)
      await app.backend.as('Ada')(
        'POST',
        `/flows/example/${index % 2 === 0 ? 'main' : 'engineering'}/messages`,
        {
          ...{ event: 'message', content: `quokka ${index}` },
        },
      )
    const read = async (args: string) => {
      const { data, errors } = await app.graphql(
        'Ada',
        `{ search(text: "quokka", ${args}) { nodes { ... on ChatMessage { content } }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
      )
      expect(errors).toBeUndefined()
      const { nodes, pageInfo } = data.search
      return { ...pageInfo, contents: nodes.map(({ content }: { content: string }) => content) }
    }
    const all = Array.from({ length: 7 }, (_, index) => `quokka ${index}`)
    for (const size of [1, 2, 3, 7, 20]) {
      const forward: string[] = []
      for (let cursor = ''; ; ) {
        const page = await read(`first: ${size}${cursor}`)
        expect(page.hasPreviousPage).toBe(cursor !== '')
        forward.push(...page.contents)
        if (!page.hasNextPage) break
        cursor = `, after: "${page.endCursor}"`
      }
      expect(forward).toEqual(all)
      const backward: string[] = []
      for (let cursor = ''; ; ) {
        const page = await read(`last: ${size}${cursor}`)
        expect(page.hasNextPage).toBe(cursor !== '')
        backward.unshift(...page.contents)
        if (!page.hasPreviousPage) break
        cursor = `, before: "${page.startCursor}"`
      }
      expect(backward).toEqual(all)
    }
  })
})

describe('a method that is not served', () => {
  test.each([
    ['PATCH', '/graphql', 'GET, HEAD, POST, PUT, DELETE, OPTIONS'],
    ['POST', '/schema.graphql', 'GET, HEAD'],
    ['POST', '/metrics', 'GET, HEAD'],
    ['DELETE', '/health/ready', 'GET, HEAD'],
    ['POST', `/files/${'a'.repeat(44)}/x.png`, 'GET, HEAD'],
    ['GET', `/uploads/${'a'.repeat(44)}`, 'PUT'],
  ])('%s %s is 405 with all that are', async (method, path, allowed) => {
    const answer = await fetch(app.url + path, { method })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allowed])
  })

  test.each([
    ['DELETE', '/user', 'GET, HEAD, OPTIONS'],
    ['POST', '/flows/example/main/messages/1', 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS'],
    ['PUT', '/v1/stream/flows', 'GET, HEAD, POST, OPTIONS'],
    ['GET', '/oauth/token', 'POST, OPTIONS'],
  ])('%s %s of the REST API is 405 with all that are', async (method, path, allowed) => {
    const authorization = basic(await app.backend.token('Ada'))
    const answer = await fetch(app.backend.url + path, { method, headers: { authorization } })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allowed])
  })

  test('is not reported by the REST API without a credential, unless the path needs none', async () => {
    const statusOf = async (path: string) =>
      (await fetch(app.backend.url + path, { method: 'DELETE' })).status
    expect([await statusOf('/user'), await statusOf('/nowhere'), await statusOf('/oauth/token')]).toEqual([
      401, 401, 405,
    ])
  })
})
