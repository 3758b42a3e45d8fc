import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { openAdministration } from '../../src/backend/admin/administration.ts'
import { schema } from '../../src/schema/index.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { testConfig } from '../support/app.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import {
  createRandom,
  demoLiterals,
  generateSelection,
  type Literals,
  type Random,
} from '../support/query-generator.ts'
import { serviceToken } from '../support/service-token.ts'

/* Generated queries by people with different rights. One gateway returns results again, the other executes each query. */

let backend: TestBackend
let values: Literals
let credentials: (string | undefined)[]
const gateways: { readonly sharing: App; readonly executing: App }[] = []
/** How many results were returned again. */
let found = 0

beforeAll(async () => {
  backend = await startTestBackend({ serviceTokens: [serviceToken] })
  values = await demoLiterals(backend)
  const administration = await openAdministration(backend.location)
  const person = (nick: string, organization: string) =>
    administration.addUser({
      ...{ nick, name: nick, email: `${nick}@example.com`, password: undefined, id: undefined },
      ...{ organization, admin: false },
    })
  await administration.addOrganization('Elsewhere', 'elsewhere')
  await person('Eve', 'example')
  await person('Otto', 'elsewhere')
  const tokenOf = async (nick: string) =>
    String((await administration.addToken(`${nick}@example.com`))['token'])
  credentials = [
    ...[await backend.token('Ada'), await backend.token('Ben'), await backend.token('Cleo')],
    ...[await tokenOf('Eve'), await tokenOf('Otto'), 'nonsense', undefined],
  ]
  await administration.close()
  const log = createLogger('silent')
  const onFound = () => {
    found += 1
  }
  for (const settings of [{ SERVICE_TOKEN: serviceToken }, {}]) {
    const config = testConfig(backend.url, settings)
    gateways.push({
      sharing: await startApp(config, { log, equalResults: { onFound } }),
      executing: await startApp(config, { log, equalResults: { maxCharacters: 1 } }),
    })
  }
})
afterAll(async () => {
  for (const { sharing, executing } of gateways) {
    await sharing.close()
    await executing.close()
  }
  await backend.close()
})

async function ask(app: App, token: string | undefined, body: string): Promise<unknown> {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: basic(token) }),
    },
    body,
  })
  const { data, errors = [] } = (await response.json()) as { data?: unknown; errors?: readonly object[] }
  // They come in the order in which the reads end.
  return { data, errors: errors.map((error) => JSON.stringify(error)).toSorted() }
}

/** What the two gateways do not have in common, and what changes with time. */
const excluded = new Set(['activity', 'fileUrl', 'rateLimit'])
/** Fields whose reads are recorded. A query with any other field is executed for each person. */
const recorded = new Set([
  ...['id', 'databaseId', 'name', 'slug', 'description', 'email', 'access', 'isOpen', 'disabled', 'url'],
  ...['viewerIsMember', 'viewerIsAdmin', 'organization', 'nick', 'avatarUrl', 'websiteUrl', 'user', 'users'],
  ...['nodes', 'edges', 'node', 'cursor', 'pageInfo', 'hasNextPage', 'hasPreviousPage', 'startCursor'],
  ...['endCursor', 'author', 'flow', 'tags', 'hashtags', 'event', 'uuid', 'sentAt', 'editedAt'],
  ...['reactions', 'emoji', 'mentions', 'content', 'text', 'html'],
])

type Pick = <T>(items: readonly T[]) => T

function picker(random: Random): Pick {
  return <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T
}

/** A query for messages of one or two flows. Four of five have recorded fields only. */
function generate(random: Random): string {
  const pick = picker(random)
  const areRecorded = random() < 0.8
  const selects = ({ name }: { name: string }) => !excluded.has(name) && (!areRecorded || recorded.has(name))
  const select = (type: string, depth: number) =>
    generateSelection({ schema, values, depth, selects }, type, random)
  const flow = (alias: string) => {
    const path = pick(['main', 'main', 'engineering', 'closed', 'nowhere'])
    const args = pick(['last: $size', 'first: $size', 'last: 3', 'first: 2', 'last: 100'])
    const condition = pick(['', '', '@include(if: $with)', '@skip(if: $with)'])
    return `${alias}: flow(by: { path: "example/${path}" }) {
      ...${alias}
      messages(${args}) ${condition} ${select('MessageConnection', 4)}
    }`
  }
  const aliases = pick([['a'], ['a'], ['a', 'b']])
  const fragments = aliases.map((alias) => `fragment ${alias} on Flow ${select('Flow', 0)}`)
  const never =
    'never: flow(by: { path: "example/main" }) @skip(if: true) { messages(last: $size) { __typename } }'
  return `query ($size: Int = 4, $with: Boolean = true) {
    ${aliases.map(flow).join(' ')} with: __typename @include(if: $with) ${never}
  } ${fragments.join(' ')}`
}

test('people get the same responses whether or not equal results are returned again', async () => {
  const ada = backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Closed' })
  await ada('POST', '/flows/example/closed/users', { id: 2 })
  await ada('POST', '/flows/example/closed/messages', { event: 'message', content: 'for two' })
  const changes: readonly (() => Promise<unknown>)[] = [
    () => ada('POST', '/flows/example/main/messages', { event: 'message', content: '@Ben: more #news' }),
    () => ada('PUT', '/flows/example/main/users/3', { disabled: true }),
    () => ada('PUT', '/flows/example/main/users/3', { disabled: false }),
    () => backend.as('Ben')('PUT', '/users/2', { nick: `Ben${found}` }),
    () => backend.as('Ben')('PUT', '/flows/example/engineering', { open: found % 2 === 0 }),
    () => ada('POST', '/flows/example/closed/users', { id: 3 }),
    () => ada('PUT', '/flows/example/closed', { description: `Found ${found}` }),
  ]
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = createRandom(seed)
      const pick = picker(random)
      const query = generate(random)
      const others = [{ size: 1 }, { with: false }, { size: null }, { size: 3, with: false }]
      for (const { sharing, executing } of gateways)
        for (const variables of [{}, pick(others)]) {
          const body = JSON.stringify({ query, variables })
          for (const isChanged of [false, true, false]) {
            if (isChanged) await pick(changes)()
            const people = credentials.toSorted(() => random() - 0.5)
            const expected = await Promise.all(people.map((token) => ask(executing, token, body)))
            const inTurn: unknown[] = []
            for (const token of people) inTurn.push(await ask(sharing, token, body))
            expect(inTurn, query).toEqual(expected)
            const atOnce = await Promise.all(people.map((token) => ask(sharing, token, body)))
            expect(atOnce, query).toEqual(expected)
          }
        }
    }),
    { numRuns: Number(process.env['RUNS'] ?? 8), endOnFailure: true },
  )
  expect(found).toBeGreaterThan(0)
})
