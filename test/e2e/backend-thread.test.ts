import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { startBackend } from '../../src/backend/index.ts'
import { readConfig } from '../../src/config.ts'
import type { UpstreamCall } from '../../src/upstream/http.ts'
import { eventually, openSubscription, post, socketClient } from '../support/app.ts'
import { basic, call, makeFolder } from '../support/backend.ts'

/** The threads that are started from now on. */
function watchThreads(): Worker[] {
  const threads: Worker[] = []
  const onThread = (thread: Worker) => threads.push(thread)
  process.on('worker', onThread)
  onTestFinished(() => void process.off('worker', onThread))
  return threads
}

async function start() {
  const threads = watchThreads()
  const errors: string[] = []
  const backend = await startBackend({ host: '127.0.0.1', port: 0, dataDir: await makeFolder() }, (message) =>
    errors.push(message),
  )
  const ada = (method: string, path: string, body?: unknown) =>
    call(backend.url + path, method, { authorization: basic(backend.demoToken ?? '') }, body)
  return { backend, threads, errors, ada }
}

test('a thread that stops by itself is started again at the same address, with all that was acknowledged', async () => {
  const { backend, threads, errors, ada } = await start()
  onTestFinished(backend.close)
  expect(
    (await ada('POST', '/flows/example/main/messages', { event: 'message', content: 'kept' })).status,
  ).toBe(201)
  await threads[0]?.terminate()
  const newest = async () => (await ada('GET', '/flows/example/main/messages?event=message&limit=1')).json
  await expect.poll(() => newest().catch(() => [])).toMatchObject([{ content: 'kept' }])
  expect(errors).toEqual(['The embedded backend stopped; it is started again in 250 ms'])
  expect(threads.length).toBe(2)
})

test('it can be closed while it is started again', async () => {
  const { backend, threads } = await start()
  await threads[0]?.terminate()
  await eventually(() => threads.length === 2)
  await backend.close()
  await expect(fetch(backend.url)).rejects.toThrow('fetch failed')
})

test('it can be closed before it is started again', async () => {
  const { backend, threads } = await start()
  await threads[0]?.terminate()
  await backend.close()
  expect(threads.length).toBe(1)
})

const hangingProgram = new URL('../support/hanging-worker.ts', import.meta.url)

test('a thread that hangs is ended, and started again at the same address', async () => {
  const threads = watchThreads()
  const errors: string[] = []
  const backend = await startBackend(
    { host: '127.0.0.1', port: 0, dataDir: await makeFolder() },
    (message) => errors.push(message),
    () => undefined,
    { program: hangingProgram, checkMs: 50, maxMissed: 40 },
  )
  onTestFinished(backend.close)
  const status = async () => (await fetch(`${backend.url}/health/ready`)).status
  await expect.poll(() => status().catch(() => 0)).toBe(200)
  expect(errors).toEqual([
    'The embedded backend has not responded for 2 s; its thread is ended',
    'The embedded backend stopped; it is started again in 250 ms',
  ])
  expect([threads.length, backend.restarts]).toEqual([2, 1])
})

test('a thread that works is not ended, however short the checks', async () => {
  const threads = watchThreads()
  const errors: string[] = []
  const backend = await startBackend(
    { host: '127.0.0.1', port: 0, dataDir: await makeFolder() },
    (message) => errors.push(message),
    () => undefined,
    { checkMs: 100, maxMissed: 60 },
  )
  let heartbeats = 0
  threads[0]?.on('message', () => {
    heartbeats += 1
  })
  await expect.poll(() => heartbeats).toBeGreaterThan(2)
  await backend.close()
  expect([errors, backend.restarts, threads.length]).toEqual([[], 0, 1])
})

test('it can be closed while its thread hangs', async () => {
  const errors: string[] = []
  const backend = await startBackend(
    { host: '127.0.0.1', port: 0, dataDir: await makeFolder() },
    (message) => errors.push(message),
    () => undefined,
    { program: hangingProgram, closeMs: 100 },
  )
  await backend.close()
  expect([errors, backend.restarts]).toEqual([[], 0])
})

test('a live query goes on where it was when the thread is there again', async () => {
  const threads = watchThreads()
  const app = await startApp(
    readConfig({ PORT: '0', BACKEND_PORT: '0', DATA_DIR: await makeFolder(), LOG_LEVEL: 'silent' }),
  )
  onTestFinished(app.close)
  const token = app.demoToken ?? ''
  const send = async (content: string) =>
    post(
      app.url,
      {
        query: `mutation { sendMessage(input: { flow: { path: "example/main" }, content: "${content}", uuid: "${content}" }) { __typename } }`,
      },
      token,
    )
  const live = openSubscription(
    socketClient(app.url, token),
    'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { ... on ChatMessage { content } } } } }',
  )
  onTestFinished(live.close)
  const heard: unknown[] = []
  const hear = async (until: string) => {
    while (heard.at(-1) !== until) {
      const result = await live.next()
      if (result === undefined) throw new Error('The subscription ended')
      const { message } = result.data.messageAdded
      if (message !== undefined) heard.push(message.content)
    }
  }
  const before = hear('before')
  await eventually(() => app.state().live.groups.some(({ members }) => members === 1))
  await send('before')
  await before
  await threads[0]?.terminate()
  await expect
    .poll(async () => (await send('after')).data?.sendMessage?.__typename)
    .toBe('SendMessagePayload')
  await hear('after')
  expect(heard).toEqual(['before', 'after'])
})

describe('the gateway calls its backend over a message port', () => {
  const main =
    '{ flow(by: { path: "example/main" }) { name messages(last: 2) { nodes { author { name } } } } }'

  /** The ports of the connections to a server that are opened from now on. */
  function watchConnections(url: string): unknown[] {
    const connections: unknown[] = []
    const onConnection = (message: unknown) => {
      const { connectParams } = message as { connectParams: { port: string } }
      if (connectParams.port === new URL(url).port) connections.push(connectParams.port)
    }
    subscribe('undici:client:connected', onConnection)
    onTestFinished(() => void unsubscribe('undici:client:connected', onConnection))
    return connections
  }

  async function startServed() {
    const threads = watchThreads()
    const calls: UpstreamCall[] = []
    const app = await startApp(
      readConfig({ PORT: '0', BACKEND_PORT: '0', DATA_DIR: await makeFolder(), LOG_LEVEL: 'silent' }),
      { onUpstreamCall: (call) => calls.push(call) },
    )
    onTestFinished(app.close)
    const query = (text: string) => post(app.url, { query: text }, app.demoToken ?? '')
    return { app, threads, calls, query }
  }

  test('and opens no connection for them', async () => {
    const { app, calls, query } = await startServed()
    await query(main)
    // The service stream has a connection.
    await eventually(() => app.state().serviceStream?.state === 'live')
    const connections = watchConnections(app.restUrl)
    calls.length = 0
    expect((await query(main)).data.flow.name).toBe('Main')
    expect((await fetch(`${app.url}/health/ready`)).status).toBe(200)
    expect(connections).toEqual([])
    expect(calls.filter(({ kind, status }) => kind === 'rest' && status === 200).length).toBeGreaterThan(1)
  })

  test('and over that of the next thread after a restart', async () => {
    const { app, threads, query } = await startServed()
    await query(main)
    await threads[0]?.terminate()
    await expect.poll(async () => (await query(main)).data?.flow?.name).toBe('Main')
    await eventually(() => app.state().serviceStream?.state === 'live')
    const connections = watchConnections(app.restUrl)
    expect((await query(main)).data.flow.name).toBe('Main')
    expect([connections, threads.length]).toEqual([[], 2])
  })

  test('and what it calls while the thread ends fails at once', async () => {
    const { threads, query } = await startServed()
    const send =
      'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "x" }) { __typename } }'
    await query(main)
    const sending = Promise.all(Array.from({ length: 20 }, () => query(send)))
    await threads[0]?.terminate()
    for (const { data, errors } of await sending)
      if (data?.sendMessage == null) expect(errors?.[0]?.extensions?.['code']).toBe('UPSTREAM_UNAVAILABLE')
    await expect
      .poll(async () => (await query(send)).data?.sendMessage?.__typename)
      .toBe('SendMessagePayload')
  })
})
