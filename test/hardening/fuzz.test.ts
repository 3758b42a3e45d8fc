import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createEventDecoder } from '../../src/upstream/flowdock/event-decoder.ts'
import { createReconnects } from '../../src/upstream/flowdock/reconnects.ts'
import { openStream } from '../../src/upstream/flowdock/stream.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { basic } from '../support/backend.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'
import { createRandom, type Random } from '../support/query-generator.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

/*
 * Whatever comes, nobody waits for long, nothing fails for reasons of ours, and the process goes on. `FUZZ=50` is fifty times
 * as much: a million inputs. `SEED` repeats a run.
 */

const times = Number(process.env['FUZZ'] ?? 1)
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const title = (what: string, count: number) => `${count * times} ${what} (SEED=${seed})`
const minutes = 60_000 * times

let fortress: Fortress
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
beforeAll(async () => {
  fortress = await startFortress()
})
afterAll(async () => {
  agent.destroy()
  await fortress.close()
})

const folder = join(import.meta.dirname, '../../examples')
/** What is mutated: the examples, none of which changes anything. */
const documents = readdirSync(folder)
  .filter((name) => name.endsWith('.graphql'))
  .map((name) => readFileSync(join(folder, name), 'utf8'))
  .filter((document) => !document.includes('mutation'))

const spice = [
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ':',
  '$',
  '@',
  '...',
  '"',
  '"""',
  '\\',
  '#',
  '\n',
  '\u0000',
  '\ufeff',
  '😀',
  '\ud800',
  '__typename',
  'null',
  '1e999',
  '-',
  '&',
  '!',
  '=',
  '|',
  '0',
  'on',
  'fragment F on User { id }',
  ' ',
]

/** Bytes are cut, doubled, turned round and put in. */
function mutate(text: string, random: Random): string {
  let result = text
  const rounds = 1 + Math.floor(random() * 4)
  for (let round = 0; round < rounds; round += 1) {
    const at = Math.floor(random() * result.length)
    const to = at + Math.floor(random() ** 3 * (result.length - at))
    const part = result.slice(at, to)
    const pick = spice[Math.floor(random() * spice.length)] ?? ''
    switch (Math.floor(random() * 5)) {
      case 0:
        result = result.slice(0, at) + result.slice(to)
        break
      case 1:
        result = result.slice(0, to) + part + result.slice(to)
        break
      case 2:
        result = result.slice(0, at) + pick + result.slice(at)
        break
      case 3:
        result = result.slice(0, at) + pick.repeat(1 + Math.floor(random() * 300)) + result.slice(to)
        break
      default:
        result = result.slice(0, at) + [...part].reverse().join('') + result.slice(to)
    }
  }
  return result.slice(0, 40_000)
}

function ask(
  body: string | Buffer,
  headers: Record<string, string>,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asking = request(`${fortress.url}/graphql`, { agent, method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      )
    })
    // A line that is closed after a refusal may be closed before all was written.
    asking.on('error', (error: NodeJS.ErrnoException) =>
      ['ECONNRESET', 'EPIPE'].includes(error.code ?? '') ? resolve({ status: 0, text: '' }) : reject(error),
    )
    asking.end(body)
  })
}

/** Does something so many times, with so many at once, and looks at every answer. */
async function many(
  count: number,
  work: (random: Random, index: number) => Promise<{ status: number; text: string }>,
) {
  const random = createRandom(seed)
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next
      next += 1
      const { status, text } = await work(random, index)
      expect(status).toBeLessThan(500)
      expect(text).not.toMatch(/INTERNAL_SERVER_ERROR|node_modules|\/src\//)
    }
  }
  await fortress.beside(() => Promise.all(Array.from({ length: 32 }, worker)))
}

test(title('documents', 6000), { timeout: minutes }, async () => {
  const headers = { 'content-type': 'application/json', authorization: basic(fortress.token) }
  await many(6000 * times, (random, index) => {
    const query = mutate(documents[index % documents.length] ?? '', random)
    const accept = index % 3 === 0 ? 'application/json;q=1' : 'application/json'
    return ask(JSON.stringify({ query }), { ...headers, accept })
  })
})

test(title('bodies', 4000), { timeout: minutes }, async () => {
  const whole = JSON.stringify({
    query: 'query Q($by: FlowBy!, $n: Int) { flow(by: $by) { name messages(first: $n) { nodes { id } } } }',
    operationName: 'Q',
    variables: { by: { path: 'example/main' }, n: 3 },
    extensions: { cost: true, persistedQuery: { version: 1, sha256Hash: 'x' } },
  })
  const headers = { 'content-type': 'application/json', authorization: basic(fortress.token) }
  await many(4000 * times, (random) => ask(mutate(whole, random), headers))
})

test(title('multipart bodies', 600), { timeout: minutes }, async () => {
  const whole = [
    '--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"query ($f: Upload) { __typename }","variables":{"f":null}}',
    '--b\r\nContent-Disposition: form-data; name="map"\r\n\r\n{"0":["variables.f"]}',
    '--b\r\nContent-Disposition: form-data; name="0"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nhello',
    '--b--\r\n',
  ].join('\r\n')
  const headers = { 'content-type': 'multipart/form-data; boundary=b', 'x-requested-with': 'x' }
  await many(600 * times, (random) => ask(mutate(whole, random), headers))
})

test(title('heads', 1400), { timeout: minutes }, async () => {
  const { hostname, port, host } = new URL(fortress.url)
  const whole = `POST /graphql?query={__typename}&variables={} HTTP/1.1\r\nHost: ${host}\r\nAccept: application/json, text/event-stream;q=0.5\r\nContent-Type: application/json; charset=utf-8\r\nOrigin: http://${host}\r\nIf-None-Match: W/"x"\r\nLast-Event-ID: 1~x\r\nX-Forwarded-For: 1.2.3.4, ::1\r\ntraceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01\r\nAccept-Encoding: gzip;q=0.5\r\nContent-Length: 24\r\nConnection: close\r\n\r\n{"query":"{__typename}"}`
  await many(1400 * times, async (random) => {
    const socket = connect(Number(port), hostname)
    let text = ''
    socket.on('error', () => undefined)
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk
    })
    socket.end(mutate(whole, random), 'latin1')
    // Some of them ask for an answer that goes on; those are left.
    const timer = setTimeout(() => socket.destroy(), 900)
    await new Promise((resolve) => socket.on('close', resolve))
    clearTimeout(timer)
    return { status: Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? 0), text }
  })
})

test(title('messages of sockets', 6000), { timeout: minutes }, async () => {
  const messages = [
    { type: 'connection_init', payload: { Authorization: basic(fortress.token) } },
    { type: 'ping', payload: { authorization: basic(fortress.token) } },
    {
      id: '1',
      type: 'subscribe',
      payload: { query: '{ viewer { nick } }', variables: {}, operationName: null },
    },
    {
      id: '2',
      type: 'subscribe',
      payload: { query: 'subscription { flowEvents(input: { after: "1~abc" }) { cursor } }' },
    },
    { id: '2', type: 'complete' },
    { type: 'pong' },
  ].map((message) => JSON.stringify(message))
  const random = createRandom(seed)
  const heard: string[] = []
  await fortress.beside(async () => {
    let sent = 0
    while (sent < 6000 * times) {
      const socket = new WebSocket(`${fortress.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
      socket.on('error', () => undefined)
      const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
      await once(socket, 'open')
      socket.on('message', (data) => heard.push(String(data)))
      socket.send(messages[0] ?? '')
      for (let count = 0; count < 300; count += 1) {
        const whole = messages[1 + Math.floor(random() * (messages.length - 1))] ?? ''
        // Most stay whole where a mistake would close the socket, so that it lives to hear the next.
        socket.send(count % 100 === 99 ? mutate(whole, random) : mutateInside(whole, random))
        sent += 1
      }
      const heardAll = new Promise<void>((resolve) => {
        socket.on('message', (data) => String(data).includes('"last":true') && resolve())
      })
      socket.send('{"type":"ping","payload":{"last":true}}')
      await Promise.race([heardAll, closed])
      socket.close()
      await closed
    }
  })
  expect(heard.length).toBeGreaterThan(200 * times)
  for (const text of heard) expect(text).not.toMatch(/INTERNAL_SERVER_ERROR|node_modules|\/src\//)
})

/** Mutates one text in a message, which stays JSON. */
function mutateInside(whole: string, random: Random): string {
  const message = JSON.parse(whole)
  if (typeof message.payload?.query === 'string')
    message.payload.query = mutate(message.payload.query, random)
  if (message.id !== undefined) message.id = String(Math.floor(random() * 1000))
  return JSON.stringify(message)
}

test(title('pieces of event streams', 2000), { timeout: minutes }, async () => {
  const random = createRandom(seed)
  const json = {
    event: 'message',
    flow: 'flow-1',
    id: 1,
    sent: 1,
    user: '1',
    tags: [],
    content: 'x',
    app: 'chat',
  }
  const block = `id: 1\nevent: message\ndata: ${JSON.stringify(json)}\n\n:\n\n`
  const upstream = await startScriptedUpstream((_, response) => {
    response.on('error', () => undefined)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let piece = 0; piece < 2000 * times; piece += 1) response.write(mutate(block, random))
    response.write(`\n\nid: last\ndata: ${JSON.stringify({ ...json, content: 'last' })}\n\n`)
  })
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  const events: string[] = []
  const stream = openStream({
    ...{ http, base: upstream.url, flowIds: ['flow-1'], isPrivate: false },
    reconnects: createReconnects(1000),
    decoder: createEventDecoder(),
    credential: parseAuthorization('Bearer token') as NonNullable<ReturnType<typeof parseAuthorization>>,
    onOpen: () => undefined,
    onEvent: (event) => events.push(event.cursor),
    onEnd: () => undefined,
  })
  onTestFinished(async () => {
    stream.close()
    await http.close()
  })
  await expect.poll(() => events.includes('last'), { timeout: minutes }).toBe(true)
  expect(events.length).toBeGreaterThan(200)
})
