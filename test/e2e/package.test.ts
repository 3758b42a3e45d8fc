import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build as bundleWithEsbuild } from 'esbuild'
import { build as bundleWithVite } from 'vite'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { liveMembers, post, startTestApp } from '../support/app.ts'
import { makeFolder } from '../support/backend.ts'
import { chromiumPath, openBrowser } from '../support/browser.ts'
import { certificate } from '../support/certificate.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { readDemoToken, root, run } from '../support/process.ts'

const execute = promisify(execFile)
let packed: { readonly file: string; readonly names: readonly string[] }

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'packed-'))
  const { stdout } = await execute('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root })
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n')))
  packed = { file: join(folder, filename), names: files.map(({ path }: { path: string }) => path) }
}, 300_000)
afterAll(() => rm(dirname(packed.file), { recursive: true }))

/** A project in which the package is installed and nothing else. */
async function makeProject(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await makeFolder()
  const installed = join(folder, 'node_modules/flowdock-gateway')
  await mkdir(installed, { recursive: true })
  await execute('tar', ['-xzf', packed.file, '--strip-components=1', '-C', installed])
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files }))
    await writeFile(join(folder, name), text)
  return folder
}

test.each([
  ['installed elsewhere', []],
  ['installed without what is optional', ['--omit=optional']],
])(
  'the packed package, %s, starts the server',
  async (_, flags) => {
    const folder = await makeFolder()
    const { names } = packed
    for (const name of ['worker', 'password-worker']) expect(names).toContain(`dist/backend/${name}.js`)
    expect(names).toContain('assets/graphiql/manifest.json')
    expect(names.filter((name: string) => /^(src|test|data)\//.test(name))).toEqual([])

    await execute('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...flags, packed.file], {
      cwd: folder,
    })
    const collector = createServer((_, reply) => reply.end()).listen(0, '127.0.0.1')
    onTestFinished(() => void collector.close())
    await once(collector, 'listening')
    const traces = once(collector, 'request')
    const gateway = run([join(folder, 'node_modules/.bin/flowdock-gateway')], {
      PORT: '0',
      BACKEND_PORT: '0',
      DATA_DIR: join(folder, 'data'),
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      // The folder of other tests is not used.
      NODE_COMPILE_CACHE: '',
    })
    const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
    const token = await readDemoToken(join(folder, 'data'))
    expect(await post(url, { query: '{ viewer { nick } }' }, token)).toEqual({
      data: { viewer: { nick: 'Ada' } },
    })
    const page = await (await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })).text()
    const [, script = ''] = /src="([^"]+)"/.exec(page) ?? []
    expect((await fetch(url + script)).status).toBe(200)
    gateway.child.kill('SIGTERM')
    expect(await gateway.exited).toBe(0)
    // For the next start.
    const compiled = join(folder, 'node_modules/flowdock-gateway/node_modules/.cache/compiled')
    expect(await readdir(compiled, { recursive: true })).toContainEqual(
      expect.stringMatching(/\/serve\.cjs\.code$/),
    )
    const [request] = await traces
    expect(request.url).toBe('/v1/traces')
  },
  300_000,
)

test('the packed package has no more of the package.json of others than names and versions', async () => {
  const folder = await makeProject({})
  const installed = join(folder, 'node_modules/flowdock-gateway')
  const files = packed.names.filter((name) => /^dist\/.*\.c?js$/.test(name))
  expect(files).toContainEqual(expect.stringMatching(/\/mqtt-client-\w+\.js$/))
  for (const file of files)
    expect(await readFile(join(installed, file), 'utf8')).not.toContain('devDependencies')
})

/** Uses everything that is exported, with the types that it has. */
const consumer = `
import { type Config, ConfigError, type RunningApp, readConfig, startApp } from 'flowdock-gateway'
import { createLiveClient, type LiveEvent, LiveError } from 'flowdock-gateway/client'
import { createLiveLink } from 'flowdock-gateway/client/apollo'
import { createLiveExchange } from 'flowdock-gateway/client/urql'

const config: Config = readConfig({ PORT: '0' })
const app: RunningApp = await startApp(config)
const { url }: { url: string } = app
await app.close()

interface Event extends LiveEvent { readonly message?: { readonly content: string } }
const client = createLiveClient({ url, token: 'x', onRetry: (reason, delayMs) => [reason.length, delayMs] })
for await (const event of client.listen<Event>({ query: 'subscription { x }' })) {
  const content: string | undefined = event.message?.content
  // @ts-expect-error there is no such member, so the types are not "any"
  event.nothing
  if (content === '') client.close()
}
class Link { constructor(readonly client: { subscribe(request: { query: string }, sink: { next(result: unknown): void, error(reason: unknown): void, complete(): void }): () => void }) {} }
export const link: Link = createLiveLink(client, Link)
export const exchange: string = createLiveExchange(client, ({ forwardSubscription }) => typeof forwardSubscription)
export const isKnown = (error: unknown): boolean => error instanceof LiveError || error instanceof ConfigError
`

describe('the types of the package', () => {
  test.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])(
    'are whole under strict, module %s, resolution %s, with no other package installed',
    async (module, moduleResolution) => {
      const folder = await makeProject({
        'consumer.ts': consumer,
        'tsconfig.json': JSON.stringify({
          compilerOptions: {
            ...{ module, moduleResolution, target: 'es2022', strict: true, noEmit: true },
            ...{ skipLibCheck: false, types: [], exactOptionalPropertyTypes: true },
          },
          files: ['consumer.ts'],
        }),
      })
      const { stdout } = await execute(join(root, 'node_modules/.bin/tsc'), ['-p', folder]).catch(
        (error: { stdout: string }) => error,
      )
      expect(stdout).toBe('')
    },
    300_000,
  )

  test('are only those that can be imported', () => {
    const types = packed.names.filter((name) => /^dist\/.*\.d\.ts$/.test(name))
    expect(types.sort()).toEqual([
      'dist/client/apollo.d.ts',
      'dist/client/index.d.ts',
      'dist/client/urql.d.ts',
      'dist/config.d.ts',
      'dist/index.d.ts',
      'dist/secret.d.ts',
    ])
  })
})

test('another program starts the gateway with the settings it reads', async () => {
  const folder = await makeProject({
    'start.js': `
      import { ConfigError, readConfig, startApp } from 'flowdock-gateway'
      import { createLiveLink } from 'flowdock-gateway/client/apollo'
      import { createLiveExchange } from 'flowdock-gateway/client/urql'
      import possibleTypes from 'flowdock-gateway/possible-types.json' with { type: 'json' }
      if (![typeof createLiveLink, typeof createLiveExchange].every((type) => type === 'function')) throw new Error('no functions')
      if (!possibleTypes.UserError.includes('NotFound')) throw new Error('no possible types')
      try { readConfig({ PORT: 'x' }) } catch (error) { if (!(error instanceof ConfigError)) throw error }
      const app = await startApp(readConfig({ PORT: '0', BACKEND_PORT: '0', DATA_DIR: process.argv[2], LOG_LEVEL: 'error' }))
      const response = await fetch(app.url + '/health/live')
      await app.close()
      console.log(response.status)`,
  })
  const program = run([join(folder, 'start.js'), join(folder, 'data')])
  expect(await program.exited).toBe(0)
  expect(program.output.stdout).toBe('200\n')
})

describe('a start of the package', () => {
  /** Serves one user over TLS. */
  async function startUpstream(
    protocol: 'HTTP/1.1' | 'HTTP/2',
  ): Promise<{ url: string; requests: string[] }> {
    const requests: string[] = []
    const answer = (
      request: IncomingMessage | Http2ServerRequest,
      response: ServerResponse | Http2ServerResponse,
    ) => {
      requests.push(`${request.httpVersion} ${request.url}`)
      response.setHeader('content-type', 'application/json')
      response.end('{"id":1,"nick":"Ada","name":"Ada Byron","email":"ada@team.example"}')
    }
    const server =
      protocol === 'HTTP/2' ? createSecureServer(certificate, answer) : createHttpsServer(certificate, answer)
    server.listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
  }

  test.each([
    ['HTTP/1.1', '1.1'],
    ['HTTP/2', '2.0'],
  ] as const)(
    'loads what an upstream with TLS and %s needs with the first call to it',
    async (protocol, version) => {
      const folder = await makeProject({
        'certificate.pem': certificate.cert,
        'start.js': `
          import { readConfig, startApp } from 'flowdock-gateway'
          const loaded = (name) => process.moduleLoadList.includes('NativeModule ' + name)
          const rare = ['http2', 'https', 'internal/deps/undici/undici', 'internal/fs/promises', 'tls', 'zlib']
          const app = await startApp(readConfig({ PORT: '0', FLOWDOCK_API_URL: process.argv[2], NODE_ENV: 'production' }))
          const ask = async (query) => {
            const { request } = process.getBuiltinModule('node:http')
            const headers = { authorization: 'Basic ' + btoa('token:'), 'content-type': 'application/json' }
            const answer = await new Promise((resolve) => request(app.url + '/graphql', { method: 'POST', headers }, resolve).end(JSON.stringify({ query })))
            return (await answer.toArray()).join('')
          }
          const first = await ask('{ __typename }')
          const atStart = rare.filter(loaded)
          console.log(JSON.stringify({ first, atStart, second: await ask('{ viewer { nick } }'), later: rare.filter(loaded) }))
          await app.close()`,
      })
      const upstream = await startUpstream(protocol)
      const program = run([join(folder, 'start.js'), upstream.url], {
        NODE_EXTRA_CA_CERTS: join(folder, 'certificate.pem'),
      })
      expect(await program.exited).toBe(0)
      const { later, ...rest } = JSON.parse(program.output.stdout)
      expect(rest).toEqual({
        first: '{"data":{"__typename":"Query"}}',
        atStart: [],
        second: '{"data":{"viewer":{"nick":"Ada"}}}',
      })
      expect(later).toContain('tls')
      expect(upstream.requests).toEqual([`${version} /user`])
    },
    60_000,
  )

  test('reads files of ASCII, which V8 stores in half of the memory', async () => {
    const folder = await makeProject({})
    const dist = join(folder, 'node_modules/flowdock-gateway/dist')
    const read = new Set<string>()
    const collect = async (file: string): Promise<void> => {
      if (read.has(file)) return
      read.add(file)
      const text = await readFile(file, 'latin1')
      const imported = [...text.matchAll(/(?:from|import)"(\.[^"]+)"/g)].map(([, path = '']) => path)
      for (const path of imported) await collect(join(dirname(file), path))
    }
    await collect(join(dist, 'cli/serve.cjs'))
    await collect(join(dist, 'index.js'))
    expect(read.size).toBeGreaterThan(2)
    for (const file of read) expect(await readFile(file, 'latin1')).not.toMatch(/[\x80-\xff]/)
  })
})

// Without a browser there is nothing to try; continuous integration has to have one.
describe.skipIf(chromiumPath === undefined && process.env['CI'] !== 'true')('the client in a browser', () => {
  const page = `
    import { createLiveClient } from 'flowdock-gateway/client'
    window.contents = []
    const { url, token } = Object.fromEntries(new URLSearchParams(location.search))
    const query = 'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }'
    for await (const { message } of createLiveClient({ url, token }).listen({ query })) window.contents.push(message.content)
  `
  const bundlers: [string, (folder: string) => Promise<unknown>][] = [
    [
      'esbuild',
      (folder) =>
        bundleWithEsbuild({
          ...{ absWorkingDir: folder, entryPoints: ['page.js'], outfile: 'out/page.js' },
          ...{ bundle: true, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'silent' },
        }),
    ],
    [
      'Vite',
      (folder) =>
        bundleWithVite({
          ...{ root: folder, configFile: false, logLevel: 'silent' },
          build: {
            ...{ outDir: 'out', target: 'es2022' },
            rolldownOptions: { input: join(folder, 'page.js'), output: { entryFileNames: 'page.js' } },
          },
        }),
    ],
  ]

  test.each(bundlers)(
    'bundled by %s, on another origin, loses nothing over a cut',
    async (_, bundle) => {
      const folder = await makeProject({ 'page.js': page })
      await bundle(folder)
      const script = await readFile(join(folder, 'out/page.js'))
      const site = createServer((request, response) => {
        const isScript = request.url === '/page.js'
        response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
        response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>')
      }).listen(0, '127.0.0.1')
      await once(site, 'listening')
      const app = await startTestApp()
      const proxy = await startFaultProxy(app.url, () => 0)
      const browser = await openBrowser()
      onTestFinished(async () => {
        await browser.close()
        await proxy.close()
        site.close()
        await app.close()
      })
      const tab = await browser.newPage()
      const problems: string[] = []
      tab.on('pageerror', (error) => problems.push(String(error)))
      const search = new URLSearchParams({
        url: `${proxy.url}/graphql`,
        token: await app.backend.token('Ada'),
      })
      await tab.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/?${search}`)
      await expect.poll(() => liveMembers(app)).toBe(1)
      const say = (content: string) =>
        app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
      const contents = () => tab.evaluate('window.contents')

      await say('one')
      await expect.poll(contents).toEqual(['one'])
      proxy.cut()
      await say('two')
      await say('three')
      await expect.poll(contents).toEqual(['one', 'two', 'three'])
      await expect.poll(() => liveMembers(app)).toBe(1)
      await say('four')
      await expect.poll(contents).toEqual(['one', 'two', 'three', 'four'])
      expect(proxy.cuts).toBe(1)
      expect(problems).toEqual([])
    },
    90_000,
  )
})

test('a checkout starts without its development packages, and says that GraphiQL is not built', async () => {
  const folder = await makeFolder()
  for (const path of [
    'package.json',
    'package-lock.json',
    '.npmrc',
    'src',
    'scripts',
    'examples',
    'schema.graphql',
  ])
    await cp(join(root, path), join(folder, path), { recursive: true })
  await execute('npm', ['ci', '--omit=dev', '--prefer-offline'], { cwd: folder })
  const gateway = run([join(folder, 'src/main.ts'), 'serve'], {
    PORT: '0',
    BACKEND_PORT: '0',
    DATA_DIR: join(folder, 'data'),
  })
  const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
  expect(await post(url, { query: '{ __typename }' })).toEqual({ data: { __typename: 'Query' } })
  const page = await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })
  expect(page.status).toBe(403)
  expect(await page.text()).toContain('install without --omit=dev')
}, 300_000)
