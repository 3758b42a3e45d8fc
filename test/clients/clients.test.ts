import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { keepHouse } from '../../src/backend/admin/retention.ts'
import { liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { makeFolder } from '../support/backend.ts'
import { chromiumPath, openBrowser } from '../support/browser.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { runShell } from '../support/process.ts'
import { type Host, inBrowser, inNode, type OpenDriver } from './hosts.ts'
import { blocks, documentedVersions, makeProject, type Project } from './project.ts'

/*
 * Clients of front ends, in the versions of this folder's lock file, with the code of docs/use-from.md.
 */

interface Library {
  readonly name: string
  /** Transports for live queries, and those of them that resume. */
  readonly transports: readonly string[]
  readonly resumingTransports: readonly string[]
  readonly hosts: readonly ('Node.js' | 'Chromium')[]
}

const both = ['Node.js', 'Chromium'] as const
const libraries: readonly Library[] = [
  { name: 'apollo', transports: ['WebSocket', 'multipart'], resumingTransports: ['WebSocket'], hosts: both },
  { name: 'urql', transports: ['WebSocket', 'SSE'], resumingTransports: ['WebSocket'], hosts: both },
  { name: 'relay', transports: ['WebSocket', 'SSE'], resumingTransports: ['WebSocket'], hosts: both },
  { name: 'graphql-request', transports: [], resumingTransports: [], hosts: both },
  { name: 'codegen', transports: [], resumingTransports: [], hosts: ['Node.js'] },
  { name: 'tada', transports: [], resumingTransports: [], hosts: ['Node.js'] },
]
const protocols = { name: 'protocols', transports: ['WebSocket', 'SSE'], hosts: both } as const

let app: TestApp
let folder: string
let project: Project
let browser: Browser

beforeAll(async () => {
  app = await startTestApp()
  folder = await makeFolder()
  project = await makeProject(folder, app.url)
  if (chromiumPath !== undefined) browser = await openBrowser()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await app.close()
  await rm(folder, { recursive: true })
})

const hosts: Readonly<Record<string, Host>> = { 'Node.js': inNode, Chromium: inBrowser(() => browser) }
// Without a browser there is nothing to try; continuous integration has to have one.
const isAvailable = (host: string) =>
  host !== 'Chromium' || chromiumPath !== undefined || process.env['CI'] === 'true'

async function open(
  library: string,
  host: string,
  { url = app.url, token }: { url?: string; token?: string } = {},
): Promise<OpenDriver> {
  const start = hosts[host] as Host
  const given = token ?? (await app.backend.token('Ada'))
  const opened = await start(project.folder, library, `${url}/graphql`, given)
  onTestFinished(opened.close)
  return opened
}

/** Graphcache warns of this, in development, when it writes a result with fragments that do not match. */
const isUnexpected = (complaint: string) => !complaint.startsWith('Invalid undefined: ')
const say = (content: string) =>
  app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
const patient = { timeout: 15_000 }
const becomesLive = (members: number) => expect.poll(() => liveMembers(app), patient).toBe(members)

describe.each(libraries.flatMap((library) => library.hosts.map((host) => ({ ...library, host }))))(
  '$name in $host',
  ({ name, host, transports, resumingTransports }) => {
    const testHere = test.skipIf(!isAvailable(host))

    testHere('reads, sends, and distinguishes failures', async () => {
      const { driver, complaints } = await open(name, host)
      const content = `from ${name} in ${host}`
      expect(await driver.send('example/main', content)).toEqual({ value: content })
      const flow = await driver.read('example/main')
      expect(flow).toMatchObject({ value: { name: 'Main' } })
      expect(flow).toHaveProperty('value.contents.2', content)
      // Members of the interface UserError, in a union.
      expect(await driver.send('example/main', ' ')).toEqual({
        value: "BAD_USER_INPUT: The content can't be blank",
      })
      expect(await driver.send('example/nothing', 'x')).toHaveProperty(
        'value',
        expect.stringMatching(/^NOT_FOUND: /),
      )
      expect(complaints.filter(isUnexpected)).toEqual([])
      expect(await driver.ask('query Wrong { viewer { nothing } }')).toEqual({
        error: 'GRAPHQL_VALIDATION_FAILED',
      })
    })

    testHere('reports a token that is not valid', async () => {
      const { driver } = await open(name, host, { token: 'f'.repeat(32) })
      expect(await driver.read('example/main')).toEqual({ error: 'UNAUTHENTICATED' })
    })

    for (const transport of transports)
      testHere(`receives live queries over ${transport}`, async () => {
        await becomesLive(0)
        const { driver, complaints } = await open(name, host)
        await driver.listen(transport, 'example/main')
        await becomesLive(1)
        for (const content of ['one', 'two']) await say(content)
        await expect.poll(() => driver.received(), patient).toEqual(['one', 'two'])
        await driver.stop()
        await becomesLive(0)
        expect(complaints.filter(isUnexpected)).toEqual([])
      })

    for (const transport of transports)
      testHere(`reports a live query that is refused over ${transport}`, async () => {
        const { driver } = await open(name, host)
        await driver.listen(transport, 'example/nothing')
        await expect.poll(() => driver.received(), patient).toEqual(['error NOT_FOUND'])
      })

    for (const transport of resumingTransports) {
      testHere(
        `loses and repeats nothing over ${transport} while the gateway is away`,
        async () => {
          await becomesLive(0)
          const proxy = await startFaultProxy(app.url, () => 0)
          onTestFinished(proxy.close)
          const { driver } = await open(name, host, { url: proxy.url })
          await driver.listen(transport, 'example/main')
          await becomesLive(1)
          await say('one')
          await expect.poll(() => driver.received(), patient).toEqual(['one'])
          proxy.refuse('reset')
          expect(proxy.cut()).toBe(true)
          for (const content of ['two', 'three']) await say(content)
          await becomesLive(0)
          await say('four')
          proxy.refuse(undefined)
          await becomesLive(1)
          await say('five')
          await expect.poll(() => driver.received(), patient).toEqual(['one', 'two', 'three', 'four', 'five'])
          await driver.stop()
          await becomesLive(0)
        },
        60_000,
      )

      testHere(
        `receives a gap over ${transport} for events that the backend has dropped`,
        async () => {
          await becomesLive(0)
          const proxy = await startFaultProxy(app.url, () => 0)
          onTestFinished(proxy.close)
          const { driver } = await open(name, host, { url: proxy.url })
          await driver.listen(transport, 'example/main')
          await becomesLive(1)
          await say('one')
          await expect.poll(() => driver.received(), patient).toEqual(['one'])
          proxy.refuse('reset')
          expect(proxy.cut()).toBe(true)
          await say('two')
          await expect.poll(() => app.openStreams, patient).toBe(0)
          await say('dropped')
          await keepHouse(app.backend.log, 30, Date.now() + 31 * 24 * 3600_000)
          proxy.refuse(undefined)
          await becomesLive(1)
          await say('three')
          await expect.poll(() => driver.received(), patient).toEqual(['one', 'Gap FORGOTTEN', 'three'])
          await driver.stop()
          await becomesLive(0)
        },
        60_000,
      )
    }
  },
)

test.each(both)('urql in %s adds the message of an event to the list in its cache', async (host) => {
  if (!isAvailable(host)) return
  await becomesLive(0)
  const { driver, complaints } = await open('urql', host)
  expect(await driver.read('example/main')).toHaveProperty('value.name', 'Main')
  await driver.listen('WebSocket', 'example/main')
  await becomesLive(1)
  for (const content of ['first', 'second']) await say(`${content} of ${host}`)
  await expect
    .poll(() => driver.cached('example/main'), patient)
    .toHaveProperty('value.contents.2', `second of ${host}`)
  expect(await driver.cached('example/main')).toHaveProperty('value.contents.1', `first of ${host}`)
  expect(complaints.filter(isUnexpected)).toEqual([])
  await driver.stop()
  await becomesLive(0)
})

test('Apollo Client drops the fields of a fragment on an interface whose types it does not know', async () => {
  const { driver } = await open('apollo-without-types', 'Node.js')
  expect(await driver.send('example/main', ' ')).toEqual({ value: 'undefined: undefined' })
})

describe.each(protocols.hosts)('graphql-ws and graphql-sse in %s', (host) => {
  for (const transport of protocols.transports)
    test.skipIf(!isAvailable(host))(`receive live queries over ${transport}`, async () => {
      await becomesLive(0)
      const { driver } = await open(protocols.name, host)
      await driver.listen(transport, 'example/main')
      await becomesLive(1)
      await say('one')
      await expect.poll(() => driver.received(), patient).toEqual(['one'])
      await driver.stop()
      await becomesLive(0)
    })
})

describe('the types', () => {
  test('of the code of the page are right, as strict as its tsconfig.json', async () => {
    expect(await project.run('tsc', ['-p', '.'])).toBe('')
  })

  test('of the code of the page are right for the strictest options', async () => {
    const options = ['--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess']
    expect(await project.run('tsc', ['-p', '.', ...options])).toBe('')
  }, 60_000)

  test('of codegen and gql.tada know every field and variable', async () => {
    expect(await project.run('tsc', ['-p', 'drivers'])).toBe('')
  })
})

describe('curl', () => {
  const script = blocks.find(({ name }) => name === 'curl.sh')?.code ?? ''
  const curl = async (lastEventId: string) => {
    const environment = { TOKEN: await app.backend.token('Ada'), LAST_EVENT_ID: lastEventId }
    return runShell(script.replaceAll('http://127.0.0.1:4000', app.url), environment)
  }

  test('prints events, and resumes after one', async () => {
    await becomesLive(0)
    const first = await curl('')
    await becomesLive(1)
    await say('one')
    const [, id = ''] = await first.until(/^id: (.+)\n[\s\S]*"content":"one"/m)
    first.child.kill()
    await first.exited
    await say('two')
    const second = await curl(id)
    const [text] = await second.until(/^[\s\S]*"content":"two"/)
    expect(text).not.toContain('"one"')
  })
})

describe('docs/use-from.md', () => {
  test('names the versions that run here, which are exact', async () => {
    const { dependencies } = await readManifest()
    for (const version of Object.values(dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(documentedVersions.length).toBeGreaterThan(8)
    for (const [name = '', version] of documentedVersions)
      expect([name, dependencies[name]]).toEqual([name, version])
  })

  test('says to install packages that are installed here', async () => {
    const { dependencies } = await readManifest()
    const names = blocks
      .filter(({ language, name }) => language === 'sh' && name === undefined)
      .flatMap(({ code }) => [...code.matchAll(/^npm install (?:--save-dev )?(.+)$/gm)])
      .flatMap(([, list = '']) => list.split(' '))
    expect(names.length).toBeGreaterThan(10)
    for (const name of names) expect([...Object.keys(dependencies), 'flowdock-gateway']).toContain(name)
  })

  test('the lock file of its clients names no registry', async () => {
    const lock = JSON.parse(await readFile(join(import.meta.dirname, 'package-lock.json'), 'utf8'))
    const packages = Object.values<{ resolved?: string }>(lock.packages)
    expect(packages.length).toBeGreaterThan(100)
    expect(packages.filter(({ resolved }) => resolved !== undefined)).toEqual([])
  })
})

async function readManifest(): Promise<{ dependencies: Record<string, string> }> {
  return JSON.parse(await readFile(join(import.meta.dirname, 'package.json'), 'utf8'))
}
