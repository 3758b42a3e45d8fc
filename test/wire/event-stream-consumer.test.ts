import type { ServerResponse } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createEventDecoder } from '../../src/upstream/flowdock/event-decoder.ts'
import type { FlowEvent } from '../../src/upstream/flowdock/model.ts'
import { createReconnects } from '../../src/upstream/flowdock/reconnects.ts'
import { openStream } from '../../src/upstream/flowdock/stream.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

/* The event stream of an upstream, however it is written. [spec] HTML, "Server-sent events" */

const json = (n: number, content = `m${n}`) =>
  JSON.stringify({
    ...{ event: 'message', flow: 'flow-1', id: n, sent: n, user: '1', tags: [], content, app: 'chat' },
  })

/** Listens to what a server writes on its first connection; later ones stay silent. */
async function listen(write: (response: ServerResponse) => void) {
  const asked: (string | undefined)[] = []
  const upstream = await startScriptedUpstream((request, response) => {
    asked.push(request.headers['last-event-id'] as string | undefined)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(':\n\n')
    if (asked.length === 1) write(response)
  })
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  const heard: { cursor: string; content: unknown }[] = []
  const retries: string[] = []
  const stream = openStream({
    ...{ http, base: upstream.url, flowIds: ['flow-1'], isPrivate: false },
    reconnects: createReconnects(1000),
    decoder: createEventDecoder(),
    credential: parseAuthorization('Bearer token') as NonNullable<ReturnType<typeof parseAuthorization>>,
    onOpen: () => undefined,
    onEvent(event: FlowEvent) {
      if (event.type === 'message')
        heard.push({
          cursor: event.cursor,
          content: 'content' in event.message ? event.message.content : null,
        })
    },
    onEnd: () => undefined,
    onRetry: (error) => retries.push(error.message),
  })
  onTestFinished(async () => {
    stream.close()
    await http.close()
  })
  return { heard, retries, asked }
}

const event = (n: number) => `id: ${n}\ndata: ${json(n)}\n\n`
/** Between two members, where JSON may have a new line. */
const cut = json(1).indexOf(',') + 1
const [head, tail] = [json(1).slice(0, cut), json(1).slice(cut)]

describe('an event is delivered', () => {
  test.each<[string, string | Buffer]>([
    ['that ends its lines with LF', `id: 1\ndata: ${json(1)}\n\n`],
    ['that ends its lines with CR LF', `id: 1\r\ndata: ${json(1)}\r\n\r\n`],
    ['that ends its lines with CR', `id: 1\rdata: ${json(1)}\r\r`],
    ['that ends its lines with all three', `id: 1\rdata: ${json(1)}\r\n\n`],
    ['without a space behind the colon', `id:1\ndata:${json(1)}\n\n`],
    ['whose data come first', `data: ${json(1)}\nid: 1\n\n`],
    ['whose data are two lines', `id: 1\ndata: ${head}\ndata: ${tail}\n\n`],
    ['with a comment before it', `: hello\nid: 1\ndata: ${json(1)}\n\n`],
    ['with a comment inside of it', `id: 1\n:\n: x\ndata: ${json(1)}\n\n`],
    ['with fields nobody knows', `id: 1\nfoo: bar\nbaz\ndata: ${json(1)}\n\n`],
    ['with a name of its own that is the usual one', `event: message\nid: 1\ndata: ${json(1)}\n\n`],
    ['with an empty name', `event:\nid: 1\ndata: ${json(1)}\n\n`],
    ['with a time to wait, which is not taken', `retry: 0\nid: 1\ndata: ${json(1)}\n\n`],
    ['with a time to wait that is none', `retry: soon\nid: 1\ndata: ${json(1)}\n\n`],
    ['with two ids, of which the last counts', `id: 9\nid: 1\ndata: ${json(1)}\n\n`],
    [
      'whose id a later one of its own with a NUL does not replace',
      `id: 1\nid: 2\u00003\ndata: ${json(1)}\n\n`,
    ],
    ['behind empty events', `\n\n\ndata\n\nevent: x\n\nid: 1\ndata: ${json(1)}\n\n`],
    ['behind an event without data', `id: 7\n\nid: 1\ndata: ${json(1)}\n\n`],
    ['behind one that is no JSON', `id: 0\ndata: {\n\nid: 1\ndata: ${json(1)}\n\n`],
    ['behind one that is JSON of something else', `id: 0\ndata: [1]\n\nid: 1\ndata: ${json(1)}\n\n`],
    [
      'behind one of a name nobody knows',
      `event: weather\nid: 0\ndata: ${json(0)}\n\nid: 1\ndata: ${json(1)}\n\n`,
    ],
    [
      'behind one that claims to be an object’s ancestor',
      `id: 0\ndata: {"__proto__":{"x":1}}\n\nid: 1\ndata: ${json(1)}\n\n`,
    ],
    ['behind JSON that nests deep', `id: 0\ndata: ${'['.repeat(100_000)}\n\nid: 1\ndata: ${json(1)}\n\n`],
    ['behind keep-alives', `${':\n'.repeat(1000)}\n id: 5\nid: 1\ndata: ${json(1)}\n\n`],
  ])('%s', async (_, text) => {
    const { heard } = await listen((response) => response.write(text))
    await expect.poll(() => heard).toEqual([{ cursor: '1', content: 'm1' }])
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  test.each(['ä', '€', '😀', '\u2028', '\ufeff', '\ud7ff'])(
    'with %j, whose bytes come one by one',
    async (character) => {
      const bytes = Buffer.from(`id: 1\ndata: ${json(1, character)}\n\n`)
      const { heard } = await listen((response) => {
        response.socket?.setNoDelay(true)
        let at = 0
        const send = () => {
          if (at < bytes.length) response.write(bytes.subarray(at, at + 1), send)
          at += 1
        }
        send()
      })
      await expect.poll(() => heard).toEqual([{ cursor: '1', content: character }])
    },
  )

  test('many in one piece, in their order', async () => {
    const all = Array.from({ length: 5000 }, (_, index) => index + 1)
    const { heard } = await listen((response) => response.write(all.map(event).join('')))
    await expect.poll(() => heard.length).toBe(5000)
    expect(heard.map(({ cursor }) => Number(cursor))).toEqual(all)
  })
})

describe('an event is not delivered', () => {
  test.each<[string, string]>([
    ['whose empty line did not come', `id: 2\ndata: ${json(2)}\n`],
    ['whose line did not end', `id: 2\ndata: ${json(2)}`],
    ['of another name', `event: other\nid: 2\ndata: ${json(2)}\n\n`],
    ['that has an id alone', 'id: 2\n\n'],
    ['in a comment', `: data: ${json(2)}\n\n`],
    ['with a space before the field', ` data: ${json(2)}\n\n`],
    ['with a field in capitals', `DATA: ${json(2)}\n\n`],
  ])('%s; the line goes on behind the last that was', async (_, text) => {
    const { heard, asked } = await listen((response) => {
      response.write(event(1) + text)
      setTimeout(() => response.end(), 20)
    })
    await expect.poll(() => asked.length).toBe(2)
    expect(heard).toEqual([{ cursor: '1', content: 'm1' }])
    expect(asked[0]).toBeUndefined()
    expect(asked[1]).toMatch(/^[12]$/)
  })
})

describe('a connection is closed that sends', () => {
  test.each<[string, string, number]>([
    ['a line of nothing known without an end', 'x'.repeat(64 * 1024), 1000],
    ['data without an end', `data: ${'x'.repeat(64 * 1024)}\n`, 1000],
    ['empty data without an end', 'data:\n'.repeat(10_000), 1000],
    ['a comment without an end', `:${'x'.repeat(64 * 1024)}`, 1000],
  ])('%s, and tried again', async (_, piece, most) => {
    const { retries, asked } = await listen((response) => {
      let left = most
      const send = () => {
        left -= 1
        if (left > 0 && !response.destroyed) response.write(piece, send)
      }
      send()
    })
    await expect.poll(() => retries.length).toBeGreaterThan(0)
    await expect.poll(() => asked.length).toBe(2)
  })
})
