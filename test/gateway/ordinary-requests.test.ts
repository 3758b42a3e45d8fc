import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { basic } from '../support/backend.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'

/* Ordinary operations have an HTTP server of their own. Anything else on the connection takes it to node:http. */

async function start(): Promise<Fortress> {
  const fortress = await startFortress()
  onTestFinished(() => fortress.close())
  return fortress
}

function open(url: string) {
  const { hostname, port, host } = new URL(url)
  const socket = connect(Number(port), hostname).setNoDelay(true)
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return { socket, host, text: () => text, closed }
}

const post = (host: string, query: string, headers = '') => {
  const body = JSON.stringify({ query })
  return `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`
}
const answers = (text: string) => [...text.matchAll(/"(\w+)":"Query"/g)].map(([, alias]) => alias)

test('operations sent without waiting are answered in their order, also across both servers', async () => {
  const { url } = await start()
  const { socket, host, text } = open(url)
  socket.write(
    post(host, '{ a: __typename }') +
      post(host, '{ b: __typename }') +
      `GET /health/live HTTP/1.1\r\nHost: ${host}\r\n\r\n` +
      post(host, '{ c: __typename }'),
  )
  await expect.poll(() => answers(text())).toEqual(['a', 'b', 'c'])
  expect(text().indexOf('"live"')).toBeGreaterThan(text().indexOf('"b"'))
  expect(text().indexOf('"live"')).toBeLessThan(text().indexOf('"c"'))
})

test('a target with a host is refused, whichever server the rest of the request is for', async () => {
  const { url } = await start()
  for (const headers of ['', 'Accept: text/event-stream\r\n']) {
    const { socket, host, text, closed } = open(url)
    socket.write(
      post(host, '{ a: __typename }', headers).replace('/graphql', 'http://elsewhere.example/graphql'),
    )
    await closed
    expect(text()).toMatch(/^HTTP\/1.1 400 [\s\S]*The request target is not a path/)
  }
})

test.each([
  ['', 'Expected the body to be JSON: it is empty'],
  [
    '{"query":"{a}",}',
    'Expected the body to be JSON: Expected double-quoted property name in line 1, column 16',
  ],
  ['[{"query":"{a}"}]', 'Batches are not supported: send each operation in a request of its own'],
  ['"{a}"', 'Expected the body to be a JSON object with query'],
])('the error about the body %j says what is wrong with it', async (body, message) => {
  const { send } = await start()
  const response = await send({ headers: { 'content-type': 'application/json' }, body })
  expect([response.status, response.body.errors]).toEqual([
    400,
    [{ message, extensions: { code: 'BAD_USER_INPUT' } }],
  ])
})

test('a connection that sent operations can open an event stream', async () => {
  const { url } = await start()
  const { socket, host, text } = open(url)
  socket.write(post(host, '{ a: __typename }'))
  await expect.poll(() => answers(text())).toEqual(['a'])
  socket.write(post(host, '{ b: __typename }', 'Accept: text/event-stream\r\n'))
  await expect.poll(text).toContain('event: complete')
  expect(text()).toContain('{"data":{"b":"Query"}}')
})

test('an operation that arrives byte by byte is answered', async () => {
  const { url } = await start()
  const { socket, host, text } = open(url)
  for (const byte of post(host, '{ a: __typename }') + post(host, '{ b: __typename }')) socket.write(byte)
  await expect.poll(() => answers(text())).toEqual(['a', 'b'])
})

test('a stop lets operations in progress end, and each response says that it is the last one', async () => {
  const fortress = await startFortress()
  const { socket, host, text, closed } = open(fortress.url)
  socket.write(post(host, '{ a: __typename }'))
  await expect.poll(() => answers(text())).toEqual(['a'])
  expect(text()).toContain('Connection: keep-alive\r\n')
  const authorization = `Authorization: ${basic(fortress.token)}\r\n`
  socket.write(post(host, '{ viewer { nick } }', authorization))
  const stopped = fortress.close()
  await closed
  await stopped
  expect(text()).toContain('{"data":{"viewer":{"nick":"Ada"}}}')
})
