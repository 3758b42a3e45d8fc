import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { openLiveSource } from '../../src/upstream/flowdock/live-source.ts'
import type { FlowEvent } from '../../src/upstream/flowdock/model.ts'
import { createReconnects } from '../../src/upstream/flowdock/reconnects.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { eventually } from '../support/app.ts'
import { basic, startTestBackend } from '../support/backend.ts'

/** Lets everything through but what does not end, while it is blocked. */
async function startBlockingProxy(target: string) {
  const state = { isBlocked: false, url: '', streams: 0, questions: 0 }
  const open = new Set<() => void>()
  const server = createServer((incoming, response) => {
    const path = incoming.url ?? '/'
    const isEndless = path.startsWith('/stream/') && !path.includes('until=')
    if (isEndless && state.isBlocked) {
      response.writeHead(503).end()
      return
    }
    if (isEndless) {
      state.streams += 1
      const cut = () => response.destroy()
      open.add(cut)
      response.on('close', () => open.delete(cut))
    } else if (path.includes('until=')) state.questions += 1
    const outgoing = forward(
      `${target}${path}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
        answer.on('error', () => response.destroy())
      },
    )
    outgoing.on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return Object.assign(state, {
    block() {
      state.isBlocked = true
      for (const cut of open) cut()
    },
  })
}

test('an upstream whose streams are blocked is asked now and then: all is told, once and in order, and it says so', async () => {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  const proxy = await startBlockingProxy(backend.url)
  const http = createHttp({ deadlineMs: 5000, maxBytes: 1024 * 1024, connections: 8 })
  onTestFinished(() => http.close())
  const credential = parseAuthorization(basic(await backend.token('Ada')))
  if (credential === null) throw new Error('That is no credential')
  const events: FlowEvent[] = []
  const opened = Promise.withResolvers<void>()
  const source = openLiveSource({
    ...{ http, credential, restUrl: proxy.url, streamUrl: `${proxy.url}/stream` },
    ...{ reconnects: createReconnects(1000), pollEveryMs: 50, pollAfter: 2 },
    onOpen: () => opened.resolve(),
    onEvent: (event) => events.push(event),
    onEnd: (error) => expect.unreachable(String(error)),
  })
  onTestFinished(() => source.close())
  const contents = () =>
    events.flatMap((event) =>
      event.type === 'message' && event.message.kind === 'ChatMessage' ? [event.message.content] : [],
    )
  const states = () => events.flatMap((event) => (event.type === 'status' ? [event.state] : []))
  let said = 0
  const say = async () => {
    said += 1
    const path = '/flows/example/main/messages'
    await backend.as('Ben')('POST', path, { event: 'message', content: String(said) })
  }
  await opened.promise
  await say()
  await eventually(() => contents().length === 1)
  proxy.block()
  await say()
  await eventually(() => states().at(-1) === 'polling')
  await say()
  await eventually(() => contents().length === 3)
  expect(source.status()).toMatchObject({ state: 'polling' })
  proxy.isBlocked = false
  await eventually(async () => {
    await say()
    return states().at(-1) === 'live'
  })
  const questions = proxy.questions
  await say()
  await eventually(() => contents().length === said)
  expect(contents()).toEqual(Array.from({ length: said }, (_, index) => String(index + 1)))
  expect(states()).toEqual(['catchingUp', 'polling', 'live'])
  expect(proxy.questions).toBe(questions)
  expect(proxy.streams).toBe(2)
}, 20_000)
