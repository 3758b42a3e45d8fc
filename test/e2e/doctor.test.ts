import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { doctor } from '../../src/cli/doctor.ts'
import { startTestApp, type TestApp } from '../support/app.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

interface ProxyHabits {
  /** Answers are kept until they end. */
  readonly buffers?: boolean
  /** WebSockets are not passed on. */
  readonly refusesUpgrades?: boolean
  readonly withoutHeaders?: readonly string[]
  readonly withHeaders?: Readonly<Record<string, string>>
  readonly addsToAnswers?: Readonly<Record<string, string>>
  readonly refusesMethods?: readonly string[]
  /** A header of requests, as if another gateway than that of the stream received them. */
  readonly changesStreamToken?: boolean
}

/** A proxy as people set them up. */
async function startProxy(habits: ProxyHabits): Promise<string> {
  const target = new URL(app.url)
  const headersOf = ({ headers }: IncomingMessage) => {
    const passed = { ...headers, ...habits.withHeaders }
    for (const name of habits.withoutHeaders ?? []) delete passed[name]
    if (habits.changesStreamToken === true && passed['x-graphql-event-stream-token'] !== undefined)
      passed['x-graphql-event-stream-token'] = 'of-another-gateway'
    return passed
  }
  const pass = (asked: IncomingMessage, response: ServerResponse) => {
    // These are of one line alone, as proxies know.
    for (const name of ['connection', 'upgrade']) delete asked.headers[name]
    if (habits.refusesMethods?.includes(asked.method ?? '')) return void response.writeHead(403).end('<html>')
    const passing = request(
      {
        host: target.hostname,
        port: target.port,
        path: asked.url,
        method: asked.method,
        headers: headersOf(asked),
      },
      async (answer) => {
        response.on('close', () => answer.destroy())
        const head = { ...answer.headers, ...habits.addsToAnswers }
        if (habits.buffers !== true) return void answer.pipe(response.writeHead(answer.statusCode ?? 0, head))
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        await new Promise((resolve) => answer.on('close', resolve))
        response.writeHead(answer.statusCode ?? 0, head).end(Buffer.concat(chunks))
      },
    )
    passing.on('error', () => response.destroy())
    asked.pipe(passing)
  }
  const proxy = createServer(pass)
  if (habits.refusesUpgrades !== true)
    proxy.on('upgrade', (asked, socket) => {
      const upstream = connect(Number(target.port), target.hostname)
      const lines = Object.entries(headersOf(asked)).map(([name, value]) => `${name}: ${value}`)
      upstream.write(`GET ${asked.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      upstream.pipe(socket).pipe(upstream)
      for (const each of [upstream, socket]) each.on('error', () => undefined)
    })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
}

async function examine(
  url: string,
  environment = {},
): Promise<{ code: number; problems: [string, string][]; warnings: [string, string][] }> {
  let printed = ''
  const code = await doctor([url, '--json'], environment, (text) => {
    printed += text
  })
  const findings = JSON.parse(printed) as { check: string; status: string; found: string; advice: string }[]
  const withStatus = (wanted: string) =>
    findings
      .filter(({ status }) => status === wanted)
      .map(({ check, found, advice }): [string, string] => [check, `${found} ${advice}`])
  return { code, problems: withStatus('problem'), warnings: withStatus('warning') }
}

test('a healthy gateway has no problems, and checks that need a token are left out', async () => {
  expect(await examine(app.url)).toEqual({ code: 0, problems: [], warnings: [] })
  const printed: string[] = []
  const environment = { DOCTOR_TOKEN: await app.backend.token('Ada') }
  expect(await doctor([app.url], environment, (text) => printed.push(text))).toBe(0)
  expect(printed.at(-1)).toContain('11 checks, 0 problems, 0 warnings')
  expect(printed.join('\n')).toContain('ok       who you are: Ada, in')
  expect(printed.join('\n')).toContain('ok       resuming from a cursor')
  expect(printed.join('\n')).not.toContain(environment.DOCTOR_TOKEN)
})

test.each<[string, ProxyHabits, [string, string][]]>([
  ['changes nothing', {}, []],
  ['buffers responses', { buffers: true }, [['event streams', 'turn buffering off']]],
  [
    'does not pass WebSockets on',
    { refusesUpgrades: true },
    [['WebSocket', 'pass on Upgrade and Connection']],
  ],
  ['removes Origin', { withoutHeaders: ['origin'] }, [['pages of other origins', 'pass on Origin']]],
  [
    'allows every page',
    { addsToAnswers: { 'access-control-allow-origin': '*' } },
    [['pages of other origins', 'no Access-Control headers of its own']],
  ],
  ['changes Host', { withHeaders: { host: 'gateway.internal' } }, [['reachable', 'ALLOWED_HOSTS']]],
  ['passes on GET and POST alone', { refusesMethods: ['PUT', 'DELETE'] }, [['event streams', 'pass on PUT']]],
  [
    'removes Content-Type',
    { withoutHeaders: ['content-type'] },
    [['GraphQL over HTTP', 'A proxy may have sent it']],
  ],
  [
    'refuses GET',
    { addsToAnswers: {}, refusesMethods: ['GET'] },
    [['reachable', 'does not pass on the path']],
  ],
])('behind a proxy that %s, the check that fails says so', async (_, habits, expected) => {
  const { code, problems } = await examine(await startProxy(habits))
  expect(code).toBe(expected.length > 0 ? 1 : 0)
  for (const [check, advice] of expected)
    expect(problems.find(([name]) => name === check)?.[1]).toContain(advice)
  if (expected.length === 0) expect(problems).toEqual([])
})

test('behind a balancer of gateways that do not know each other, the event streams of several operations are named', async () => {
  const { code, problems, warnings } = await examine(await startProxy({ changesStreamToken: true }))
  expect([code, problems]).toEqual([0, []])
  expect(warnings).toEqual([['event streams', expect.stringContaining('set INTERNAL_URL at each')]])
})

test('an upstream that is not there, an invalid token and an invalid URL are reported', async () => {
  const alone = await startTestApp({ upstreamUrl: 'http://127.0.0.1:9' })
  onTestFinished(alone.close)
  expect((await examine(alone.url)).problems.map(([check]) => check)).toEqual(['ready'])
  expect((await examine(app.url, { DOCTOR_TOKEN: 'nobody' })).problems.map(([check]) => check)).toContain(
    'who you are',
  )
  expect((await examine('http://127.0.0.1:9')).problems.map(([check]) => check)).toEqual(['reachable'])
  await expect(doctor(['nonsense'], {}, () => undefined)).rejects.toThrow('Expected one URL')
})
