import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { eventually, openSubscription, post, socketClient } from '../support/app.ts'
import { makeFolder } from '../support/backend.ts'
import { run, runGateway } from '../support/process.ts'

test('the gateway starts on nothing, and what it prints works as printed', async () => {
  const dataDir = join(await makeFolder(), 'made/on/first/start')
  const gateway = await runGateway(dataDir)
  expect(await post(gateway.url, { query: '{ viewer { nick } }' }, gateway.token)).toEqual({
    data: { viewer: { nick: 'Ada' } },
  })
  const [, body = ''] = await gateway.until(/-d '(\{.*\})'/)
  const printed = await post(gateway.url, JSON.parse(body), gateway.token)
  expect(printed.errors).toBeUndefined()
  expect(printed.data.flows.nodes.length).toBeGreaterThan(2)
  expect(gateway.output.stderr).toBe('')
})

test('what it prints has no token in it where that is no terminal; a file has, and the page for its key', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const path = join(dataDir, 'demo-token')
  expect(gateway.output.stdout).toContain(`Ada's token is in ${path}.`)
  expect(gateway.output.stdout).not.toContain(gateway.token)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const page = async () => (await fetch(gateway.pageUrl, { headers: { accept: 'text/html' } })).text()
  expect(await page()).toContain(btoa(`${gateway.token}:`))
})

test('in production it prints no token and no key', async () => {
  const FLOWDOCK_DEMO_TOKEN = 'ab'.repeat(16)
  const gateway = await runGateway(await makeFolder(), { NODE_ENV: 'production', FLOWDOCK_DEMO_TOKEN })
  expect(gateway.pageUrl).toBe(`${gateway.url}/graphql`)
  expect(gateway.output.stdout).not.toMatch(/token|key|Ada/i)
  expect(gateway.output.stdout).not.toContain(FLOWDOCK_DEMO_TOKEN)
})

test('a password in an address is refused at the start, and not printed', async () => {
  const gateway = run(['src/main.ts'], { FLOWDOCK_API_URL: 'https://ada:hunter2@api.team.example' })
  expect(await gateway.exited).toBe(1)
  expect(gateway.output.stderr).toContain('FLOWDOCK_API_URL')
  expect(gateway.output.stdout + gateway.output.stderr).not.toContain('hunter2')
})

test('the demo token stays the same over restarts, unless another is set', async () => {
  const dataDir = await makeFolder()
  const first = await runGateway(dataDir)
  first.child.kill('SIGTERM')
  expect(await first.exited).toBe(0)
  expect((await runGateway(dataDir)).token).toBe(first.token)
})

test('a start uses the code that the start before has compiled', async () => {
  const dataDir = await makeFolder()
  const settings = { NODE_COMPILE_CACHE: await makeFolder(), NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }
  const start = async () => {
    const gateway = await runGateway(dataDir, settings)
    gateway.child.kill('SIGTERM')
    expect(await gateway.exited).toBe(0)
    return gateway.output.stderr
  }
  expect(await start()).toContain('was not initialized')
  const next = await start()
  expect(next).toContain('was accepted')
  expect(next).not.toContain('was rejected')
  expect(next).not.toContain('was not initialized')
})

test('SIGTERM answers what is in flight, closes sockets for going away, and exits 0', async () => {
  const gateway = await runGateway(await makeFolder())
  const client = socketClient(gateway.url, gateway.token)
  const closed = new Promise<{ code: number }>((resolve) =>
    client.on('closed', (event) => resolve(event as { code: number })),
  )
  const live = openSubscription(client, 'subscription { flowEvents(input: {}) { cursor } }')
  const next = live.next().catch((error: { code?: number }) => error)
  const connected = new Promise<void>((resolve) => client.on('connected', () => resolve()))
  await connected
  const answers = Array.from({ length: 20 }, () =>
    post(
      gateway.url,
      { query: '{ flows { nodes { messages(last: 30) { nodes { id author { name } } } } } }' },
      gateway.token,
    ),
  )
  await Promise.race(answers)
  gateway.child.kill('SIGTERM')
  for (const answer of await Promise.all(answers)) expect(answer.errors).toBeUndefined()
  expect((await closed).code).toBe(1001)
  expect(await gateway.exited).toBe(0)
  await next
})

test('it is ready while its backend can store, and says so again once it can', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const incoming = join(dataDir, 'files', 'incoming')
  const becomes = (status: number) =>
    eventually(async () => (await fetch(`${gateway.url}/health/ready`)).status === status)
  await becomes(200)
  await rename(incoming, `${incoming}-gone`)
  await becomes(503)
  expect(await post(gateway.url, { query: '{ viewer { nick } }' }, gateway.token)).toEqual({
    data: { viewer: { nick: 'Ada' } },
  })
  await rename(`${incoming}-gone`, incoming)
  await becomes(200)
})

test('another Flowdock-compatible server can be its upstream', async () => {
  const backend = run(['src/main.ts', 'backend'], {
    BACKEND_PORT: '0',
    PORT: '1',
    DATA_DIR: await makeFolder(),
    FLOWDOCK_DEMO_TOKEN: 'ab'.repeat(16),
  })
  const [, restUrl = ''] = await backend.until(/Flowdock API (http:\S+)/)
  const gateway = run(['src/main.ts'], { PORT: '0', FLOWDOCK_API_URL: restUrl })
  const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
  expect(await post(url, { query: '{ viewer { nick } }' }, 'ab'.repeat(16))).toEqual({
    data: { viewer: { nick: 'Ada' } },
  })
  expect(gateway.output.stdout).not.toContain('token')
})

test('the backend alone prints the URL of flowthings, and another gateway can use it', async () => {
  const token = 'ab'.repeat(16)
  const backend = run(['src/main.ts', 'backend'], {
    ...{ BACKEND_PORT: '0', PORT: '1', FLOWTHINGS_PORT: '0', DATA_DIR: await makeFolder() },
    ...{ FLOWDOCK_DEMO_TOKEN: token, FLOWTHINGS_DEMO_TOKEN: token },
  })
  const [, restUrl = ''] = await backend.until(/Flowdock API (http:\S+)/)
  const [, thingsUrl = ''] = await backend.until(/flowthings {3}(http:\S+)\/v0\.1\/ACCOUNT/)
  expect(backend.output.stdout).not.toContain(token)
  const gateway = run(['src/main.ts'], {
    ...{ PORT: '0', FLOWDOCK_API_URL: restUrl, FLOWTHINGS_API_URL: thingsUrl },
  })
  const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-auth-account': 'demo', 'x-auth-token': token },
    body: JSON.stringify({ query: '{ thingsIdentity { name } }' }),
  })
  expect(await response.json()).toEqual({ data: { thingsIdentity: { name: 'demo' } } })
})

test('a backend without flowthings prints no URL of it', async () => {
  const backend = run(['src/main.ts', 'backend'], { BACKEND_PORT: '0', DATA_DIR: await makeFolder() })
  await backend.until(/Streaming .*\n/)
  expect(backend.output.stdout).not.toContain('flowthings')
})

test('a wrong configuration stops the start with one message that names everything', async () => {
  const wrong = run(['src/main.ts'], {
    PORT: 'http',
    FLOWDOCK_DEMO_TOKEN: 'secret',
    FLOWDOCK_STREAM_URL: 'http://x',
    FLOWDOK_API: 'x',
    FLOWDOCK_TYPO: '1',
    LOG_LEVEL: 'loud',
  })
  expect(await wrong.exited).toBe(1)
  expect(wrong.output.stdout).toBe('')
  for (const name of ['PORT=', 'FLOWDOCK_DEMO_TOKEN', 'FLOWDOCK_STREAM_URL', 'FLOWDOCK_TYPO', 'LOG_LEVEL'])
    expect(wrong.output.stderr).toContain(name)
  expect(wrong.output.stderr).not.toMatch(/\n {4}at /)
})

test('a port in use is reported with its address', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void taken.close())
  const { port } = taken.address() as AddressInfo
  for (const [name, other] of [
    ['PORT', 'BACKEND_PORT'],
    ['BACKEND_PORT', 'PORT'],
  ] as const) {
    const blocked = run(['src/main.ts'], { [name]: String(port), [other]: '0', DATA_DIR: await makeFolder() })
    expect(await blocked.exited).toBe(1)
    expect(blocked.output.stderr).toBe(
      `Cannot listen on 127.0.0.1:${port}: the port is in use. Stop what uses it, or set PORT, BACKEND_PORT or FLOWTHINGS_PORT\n`,
    )
  }
})

test('a DATA_DIR that cannot be used is named', async () => {
  const folder = await makeFolder()
  await writeFile(join(folder, 'file'), '')
  await mkdir(join(folder, 'broken'))
  await writeFile(
    join(folder, 'broken/flowdock.db'),
    'this is no database, but longer than a header of one would be'.repeat(40),
  )
  for (const dataDir of [join(folder, 'file'), join(folder, 'broken'), '/proc/nothing']) {
    const blocked = run(['src/main.ts'], { PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir })
    expect(await blocked.exited).toBe(1)
    expect(blocked.output.stderr).toMatch(new RegExp(`^Cannot use DATA_DIR "${dataDir}": .+\n$`))
  }
  expect(await readFile(join(folder, 'broken/flowdock.db'), 'utf8')).toContain('this is no database')
  await chmod(folder, 0o700)
})

test.each(['serve', 'backend'])('%s refuses arguments in place of ignoring them', async (command) => {
  const wrong = run(['src/main.ts', command, '--port', '5000'], { PORT: '0', BACKEND_PORT: '0' })
  expect(await wrong.exited).toBe(1)
  expect(wrong.output.stderr).toContain(`Unexpected argument '--port' of ${command}: settings come from`)
})

test('an unknown command lists the commands', async () => {
  const wrong = run(['src/main.ts', 'sevre'])
  expect(await wrong.exited).toBe(2)
  expect(wrong.output.stderr).toContain('There is no command "sevre"')
  const help = run(['src/main.ts', 'help'])
  expect(await help.exited).toBe(0)
  expect(help.output.stdout).toContain('print-schema')
})
