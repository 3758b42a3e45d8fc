import fc from 'fast-check'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { schema } from '../../src/schema/index.ts'
import { post, startTestApp, type TestApp, testConfig } from '../support/app.ts'
import { basic, type Nick } from '../support/backend.ts'
import { createRandom, demoLiterals, generateQuery, type Literals } from '../support/query-generator.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/** Two gateways of one backend. One shares what equal bodies have in common, frozen, and the other parses and decodes each body. */
let sharing: TestApp
let parsing: TestApp
let shared = 0
let values: Literals

beforeAll(async () => {
  sharing = await startTestApp({
    equalBodies: {
      onShared(value) {
        shared += 1
        deepFreeze(value)
      },
    },
  })
  parsing = await startTestApp({ upstreamUrl: sharing.backend.url, equalBodies: { maxBytes: 1 } })
  values = await demoLiterals(sharing.backend)
})
afterAll(async () => {
  await parsing.close()
  await sharing.close()
})

test('generated queries of several people have the responses that they have without shared bodies, and change nothing shared', async () => {
  const people: readonly Nick[] = ['Ada', 'Ben', 'Cleo']
  const tokens = await Promise.all(people.map((nick) => sharing.backend.token(nick)))
  // Addresses of files have tickets of their own, and what is counted up to now ends a moment later.
  const plain = (value: unknown) =>
    JSON.stringify(value)
      .replaceAll(/\/files\/[\w-]+\//g, '/files/')
      .replaceAll(/(\d\d:\d\d):\d\d\.\d{3}Z/g, '$1Z')
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const query = generateQuery({ schema, values, depth: 5 }, createRandom(seed))
      const token = tokens[Math.abs(seed) % tokens.length]
      const [a, b] = await Promise.all([sharing, parsing].map(({ url }) => post(url, { query }, token)))
      expect(plain({ ...a, errors: undefined }), query).toBe(plain({ ...b, errors: undefined }))
      for (const { extensions } of a?.errors ?? [])
        expect(extensions?.['code'], query).not.toBe('INTERNAL_SERVER_ERROR')
      expect(a?.errors === undefined, query).toBe(b?.errors === undefined)
    }),
    { numRuns: Number(process.env['RUNS'] ?? 300) },
  )
  expect(shared).toBeGreaterThan(20)
})

test('each person gets the body of their own credential, and nothing once it is refused', async () => {
  const flow = (id: string, name: string) => ({
    ...{
      id,
      name,
      parameterized_name: 'main',
      organization: { id: 1, name: 'Acme', parameterized_name: 'acme' },
    },
  })
  const refused = new Set<string>()
  const upstream = await startScriptedUpstream(({ headers: { authorization = '' } }, response) => {
    if (refused.has(authorization)) answerJson(response, 403, { message: 'Access denied' })
    else answerJson(response, 200, [flow('f1', authorization === 'Bearer c' ? 'Mein' : 'Main')])
  })
  const app = await startApp(testConfig(upstream.url))
  onTestFinished(app.close)
  const names = async (token: string) => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ flows(first: 1) { nodes { name } } }' }),
    })
    const { data, errors } = (await response.json()) as Awaited<ReturnType<typeof post>>
    return data?.flows?.nodes[0].name ?? errors?.[0]?.extensions?.['code']
  }
  const everybody = async () => [await names('a'), await names('b'), await names('c')]
  for (let round = 0; round < 5; round += 1) expect(await everybody()).toEqual(['Main', 'Main', 'Mein'])
  refused.add('Bearer b')
  expect(await everybody()).toEqual(['Main', 'FORBIDDEN', 'Mein'])
})

test('nothing of a message that one person may read comes into the messages of another', async () => {
  const message = (id: number, title: string) => ({
    ...{ id, event: 'message', flow: 'f1', content: `message ${id} ${'x'.repeat(100)}`, sent: id, user: '1' },
    ...{ thread_id: 'thread', thread: { id: 'thread', title } },
  })
  const common = Array.from({ length: 20 }, (_, index) => message(index + 10, 'Open'))
  const organization = { id: 1, name: 'Acme', parameterized_name: 'acme' }
  const flow = { id: 'f1', name: 'Main', parameterized_name: 'main', organization, users: [] }
  let latest = 100
  const upstream = await startScriptedUpstream(({ url, headers: { authorization } }, response) => {
    const messages =
      authorization === basic('a')
        ? [message(1, 'Secret'), ...common]
        : [...common, message(++latest, 'Open')]
    answerJson(response, 200, url?.includes('/messages') ? messages : flow)
  })
  const app = await startApp(testConfig(upstream.url))
  onTestFinished(app.close)
  const query = '{ flow(by: { path: "acme/main" }) { messages(last: 21) { nodes { thread { title } } } } }'
  const titles = async (token: string) => {
    const { data } = await post(app.url, { query }, token)
    return data?.flow.messages.nodes.map(({ thread }: { thread: { title: string } }) => thread.title)
  }
  for (let round = 0; round < 5; round += 1) {
    expect((await titles('a'))?.[0]).toBe('Secret')
    expect(await titles('b')).toEqual(Array(21).fill('Open'))
  }
})

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
}
