import type { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { startBackend } from '../../src/backend/index.ts'
import { readConfig } from '../../src/config.ts'
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
  await expect.poll(() => newest().catch(() => []), { timeout: 15_000 }).toMatchObject([{ content: 'kept' }])
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
    .poll(async () => (await send('after')).data?.sendMessage?.__typename, { timeout: 15_000 })
    .toBe('SendMessagePayload')
  await hear('after')
  expect(heard).toEqual(['before', 'after'])
})
