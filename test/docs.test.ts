import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildSchema, parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listSettings } from '../src/config.ts'
import { errorCodes } from '../src/errors.ts'
import { defaultLimits } from '../src/graphql/document-limits.ts'
import { startTestApp, type TestApp } from './support/app.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFile(join(root, path), 'utf8')
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'bench/README.md',
  ...(await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
]

/** The rows of every table whose first cell is code: what is in it, and the cells after it. */
async function rows(page: string): Promise<Map<string, string[]>> {
  const matches = (await read(page)).matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)
  return new Map(
    [...matches].map((match) => [match[1] ?? '', (match[2] ?? '').split(' | ').map((cell) => cell.trim())]),
  )
}

test('docs/configuration.md lists the settings there are, with their defaults', async () => {
  const documented = [...(await rows('docs/configuration.md'))].filter(([name]) =>
    /^[A-Z][A-Z0-9_]+$/.test(name),
  )
  expect(documented.map(([name, [fallback = '']]) => [name, fallback.replaceAll('`', '')])).toEqual(
    listSettings().map((setting) => [setting.name, setting.default ?? '']),
  )
})

test('docs/errors.md lists the codes there are', async () => {
  expect([...(await rows('docs/errors.md')).keys()]).toEqual([...errorCodes])
})

test('docs/limits.md lists the limits there are', async () => {
  const documented = [...(await rows('docs/limits.md'))].filter(([name]) => name.startsWith('max'))
  expect(Object.fromEntries(documented.map(([name, [value]]) => [name, Number(value)]))).toEqual(
    defaultLimits,
  )
})

describe('every GraphQL snippet fits the schema', () => {
  test.each(pages)('%s', async (page) => {
    const schema = buildSchema(await read('schema.graphql'))
    for (const [, snippet = ''] of (await read(page)).matchAll(/```graphql\n([\s\S]+?)```/g))
      expect(validate(schema, parse(snippet)), snippet).toEqual([])
  })
})

describe('the JSON of every command is JSON, and its query fits the schema', () => {
  test.each(pages)('%s', async (page) => {
    const schema = buildSchema(await read('schema.graphql'))
    for (const [, commands = ''] of (await read(page)).matchAll(/```sh[^\n]*\n([\s\S]+?)```/g))
      for (const [, quoted, here] of commands.matchAll(/'(\{[^']*)'|<<'JSON'\n([\s\S]+?)\nJSON/g)) {
        const { query } = JSON.parse(quoted ?? here ?? '')
        if (query !== undefined) expect(validate(schema, parse(query)), query).toEqual([])
      }
  })
})

test('commands are written as they work in a clone, with a sentence that says how they read for the package', async () => {
  for (const page of pages) {
    const text = (await read(page)).replaceAll('\n', ' ')
    expect(text, page).not.toMatch(/npx flowdock-gateway/)
    if (text.includes('npx node src/main.ts'))
      expect(text, page).toContain('write `flowdock-gateway` in place of `npx node src/main.ts`')
  }
})

describe('every link leads somewhere', () => {
  test.each(pages)('%s', async (page) => {
    const links = [...(await read(page)).matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? '')
    for (const link of links)
      await expect(readFile(join(root, page, '..', link)), link).resolves.toBeDefined()
  })
})

test('the dashboard and the alerts know no figure but those there are', async () => {
  const app = await startTestApp()
  const metrics = await (await fetch(`${app.url}/metrics`)).text()
  await app.close()
  const known = new Set([...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
  for (const file of ['docs/operations/dashboard.json', 'docs/operations/alerts.yml']) {
    const names = (await read(file)).match(/\b(flowdock_gateway|nodejs|process)_\w+/g) ?? []
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) expect(known, file).toContain(name.replace(/_bucket$/, ''))
  }
})

test('the alert and the panel of the event loop take its longest delay, because percentiles miss long ones', async () => {
  for (const file of ['docs/operations/dashboard.json', 'docs/operations/alerts.yml'])
    expect((await read(file)).match(/nodejs_eventloop_lag_\w+/g), file).toEqual([
      'nodejs_eventloop_lag_max_seconds',
    ])
})

test('each figure that says how live queries are doing has a panel', async () => {
  const expressions = [...(await read('docs/operations/dashboard.json')).matchAll(/"expr": "(.+)",?$/gm)]
  const shown = expressions.flatMap(([, text = '']) => text.match(/flowdock_gateway_\w+/g) ?? [])
  const figures = [
    ...[
      'subscriptions',
      'subscriptions_live',
      'subscription_groups',
      'subscription_ends_total',
      'waiting_bytes',
    ],
    ...['deliveries_total', 'event_age_seconds_bucket', 'event_position', 'event_log_events'],
    ...['upstream_streams', 'upstream_streams_opening', 'upstream_stream_subscriptions'],
    ...[
      'principals',
      'principals_waiting',
      'proofs_waiting',
      'subscriptions_waiting',
      'subscriptions_replaying',
    ],
  ]
  for (const figure of figures) expect(shown).toContain(`flowdock_gateway_${figure}`)
})

describe('the README', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp()
  })
  afterAll(() => app.close())

  test('shows a first query, and the answer it has', async () => {
    const readme = await read('README.md')
    const [, query = ''] = /```graphql\n([\s\S]+?)```/.exec(readme) ?? []
    const [, answer = ''] = /```json\n([\s\S]+?)```/.exec(readme) ?? []
    expect(await app.graphql('Ada', query)).toEqual(JSON.parse(answer))
  })
})
