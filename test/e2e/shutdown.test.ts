import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic, makeFolder } from '../support/backend.ts'
import { run, runGateway } from '../support/process.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

const query =
  '{ flow(by: { path: "example/main" }) { name messages(last: 20) { nodes { id author { name } } } } }'
const headers = (token: string) => ({ 'content-type': 'application/json', authorization: basic(token) })

test('SIGTERM under load: all requests get responses, 500 sockets are told when to reconnect and are closed one by one, and the exit code is 0', async () => {
  const gateway = await runGateway(await makeFolder(), {
    MAX_CONNECTIONS_PER_PRINCIPAL: '0',
    REQUESTS_PER_MINUTE: '0',
    CALLS_PER_MINUTE: '0',
  })
  const ends: { code: number; at: number; heard: string }[] = []
  const sockets = await Promise.all(
    Array.from({ length: 500 }, async () => {
      const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
      let heard = ''
      socket.on('message', (data) => {
        heard = String(data)
      })
      socket.on('close', (code) => ends.push({ code, at: Date.now(), heard }))
      await once(socket, 'open')
      socket.send(
        JSON.stringify({ type: 'connection_init', payload: { Authorization: basic(gateway.token) } }),
      )
      const subscription =
        'subscription { flowEvents(input: { includeStatus: true }) { cursor ... on StreamStatus { state retryWithinMs } } }'
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: subscription } }))
      return socket
    }),
  )
  await expect
    .poll(async () =>
      (await (await fetch(`${gateway.url}/metrics`)).text()).includes('subscriptions_live 500'),
    )
    .toBe(true)

  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  let answered = 0
  const failures: string[] = []
  const ask = () =>
    new Promise<boolean>((resolve) => {
      const asking = request(
        `${gateway.url}/graphql`,
        { agent, method: 'POST', headers: headers(gateway.token) },
        (response) => {
          response.resume()
          response.on('end', () => {
            if (response.statusCode === 200) answered += 1
            else failures.push(`status ${response.statusCode}`)
            // Told that the line ends, a balancer sends what comes next to somebody else.
            resolve(response.headers.connection !== 'close')
          })
          response.on('error', (error) => failures.push(error.message))
        },
      )
      asking.on('error', (error: NodeJS.ErrnoException) => {
        failures.push(String(error.code))
        resolve(false)
      })
      asking.end(JSON.stringify({ query }))
    })
  const workers = Array.from({ length: 16 }, async () => {
    while (await ask());
  })
  await expect.poll(() => answered).toBeGreaterThan(50)
  const begun = Date.now()
  gateway.child.kill('SIGTERM')
  expect(await gateway.exited).toBe(0)
  expect(Date.now() - begun).toBeLessThan(10_000)
  await Promise.all(workers)
  expect(failures).toEqual([])
  expect(ends.map(({ code }) => code)).toEqual(sockets.map(() => 1001))
  for (const { heard } of ends) expect(heard).toContain('"retryWithinMs":5000')
  // Not all at once: they would all come back at once.
  const times = ends.map(({ at }) => at)
  expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(200)
})

test('an upstream that never answers keeps the gateway from stopping for no longer than it may', async () => {
  const upstream = await startScriptedUpstream((request) => void request.resume())
  const gateway = run(['src/main.ts', 'serve'], { PORT: '0', FLOWDOCK_API_URL: upstream.url })
  const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
  const asking = fetch(`${url}/graphql`, {
    method: 'POST',
    headers: headers('x'),
    body: JSON.stringify({ query: '{ viewer { nick } }' }),
  }).catch((error: Error) => error)
  await expect.poll(() => upstream.requests.length).toBeGreaterThan(0)
  const begun = Date.now()
  gateway.child.kill('SIGTERM')
  expect(await gateway.exited).toBe(0)
  expect(Date.now() - begun).toBeLessThan(10_000)
  await asking
})

test('a second signal ends it at once', async () => {
  const upstream = await startScriptedUpstream((request) => void request.resume())
  const gateway = run(['src/main.ts', 'serve'], { PORT: '0', FLOWDOCK_API_URL: upstream.url })
  const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
  void fetch(`${url}/graphql`, {
    method: 'POST',
    headers: headers('x'),
    body: JSON.stringify({ query: '{ viewer { nick } }' }),
  }).catch(() => undefined)
  await expect.poll(() => upstream.requests.length).toBeGreaterThan(0)
  gateway.child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 50))
  const begun = Date.now()
  gateway.child.kill('SIGTERM')
  expect(await gateway.exited).toBe(1)
  // Requests in flight have five seconds otherwise.
  expect(Date.now() - begun).toBeLessThan(4000)
})
