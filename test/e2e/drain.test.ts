import { expect, test } from 'vitest'
import { openSubscription, post, socketClient } from '../support/app.ts'
import { basic, makeFolder } from '../support/backend.ts'
import { run, runGateway } from '../support/process.ts'
import { openRawStream } from '../support/stream.ts'

test('with a delay it is not ready at once, serves on, and then ends sockets and streams one after the other', async () => {
  const settings = { SHUTDOWN_DELAY_SECONDS: '1', SHUTDOWN_DRAIN_SECONDS: '1' }
  const gateway = await runGateway(await makeFolder(), settings)
  const query = 'subscription { flowEvents(input: {}) { cursor } }'
  const closed: number[] = []
  const connect = async () => {
    const client = socketClient(gateway.url, gateway.token)
    client.on('closed', (event) => {
      closed.push(performance.now())
      expect((event as { code: number }).code).toBe(1001)
    })
    const connected = new Promise<void>((resolve) => client.on('connected', () => resolve()))
    openSubscription(client, query)
      .next()
      .catch(() => undefined)
    await connected
  }
  for (let count = 0; count < 10; count += 1) await connect()
  const stream = await openRawStream(`${gateway.url}/graphql?${new URLSearchParams({ query })}`, {
    accept: 'text/event-stream',
    authorization: basic(gateway.token),
  })
  await stream.until(/^:/)

  gateway.child.kill('SIGTERM')
  const ready = async (url: string) => (await fetch(`${url}/health/ready`)).status
  await expect.poll(() => ready(gateway.url), { interval: 5 }).toBe(503)
  expect(await ready(gateway.restUrl)).toBe(503)
  // What balancers still send here is served.
  expect((await post(gateway.url, { query: '{ viewer { nick } }' }, gateway.token)).data).toEqual({
    viewer: { nick: 'Ada' },
  })
  await connect()
  expect(closed).toEqual([])
  expect(await gateway.exited).toBe(0)
  await expect.poll(() => closed.length).toBe(11)
  // Evenly over a second; timers are late, and never early.
  expect((closed.at(-1) ?? 0) - (closed[0] ?? 0)).toBeGreaterThan(800)
  stream.close()
})

test('a backend alone is not ready at once, and serves on for the delay', async () => {
  const dataDir = await makeFolder()
  const backend = run(['src/main.ts', 'backend'], {
    ...{ DATA_DIR: dataDir, BACKEND_PORT: '0', SHUTDOWN_DELAY_SECONDS: '1' },
  })
  const [, url = ''] = await backend.until(/Flowdock API (http:\S+)/)
  expect((await fetch(`${url}/health/ready`)).status).toBe(200)
  backend.child.kill('SIGTERM')
  await expect.poll(async () => (await fetch(`${url}/health/ready`)).status, { interval: 5 }).toBe(503)
  expect((await fetch(`${url}/user`)).status).toBe(401)
  expect(await backend.exited).toBe(0)
})
