import type { ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createEventDecoder } from '../../src/upstream/flowdock/event-decoder.ts'
import type { FlowEvent } from '../../src/upstream/flowdock/model.ts'
import { createReconnects } from '../../src/upstream/flowdock/reconnects.ts'
import { openStream, type StreamOptions } from '../../src/upstream/flowdock/stream.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { eventually } from '../support/app.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

/** Listens to a scripted upstream and gathers what it receives. */
function listen(base: string, flowIds = ['flow-1']) {
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  const events: FlowEvent[] = []
  /** Of each event, on which connection it was heard. */
  const connections: number[] = []
  const heard = {
    events,
    connections,
    opened: 0,
    retries: [] as number[],
    ended: undefined as Error | undefined,
  }
  const options: StreamOptions = {
    http,
    base,
    credential: parseAuthorization('Bearer token') as NonNullable<ReturnType<typeof parseAuthorization>>,
    flowIds,
    isPrivate: false,
    reconnects: createReconnects(1000),
    decoder: createEventDecoder(),
    onOpen: () => {
      heard.opened += 1
    },
    onEvent: (event) => {
      events.push(event)
      connections.push(heard.opened)
    },
    onEnd: (error) => {
      heard.ended = error
    },
    onRetry: (_, delayMs) => heard.retries.push(delayMs),
  }
  const stream = openStream(options)
  onTestFinished(async () => {
    stream.close()
    await http.close()
  })
  return { heard, stream }
}

function begin(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  response.write(':\n')
}

function message(id: number): string {
  const json = {
    event: 'message',
    flow: 'flow-1',
    id,
    sent: id,
    user: '1',
    tags: [],
    content: `message ${id}`,
    app: 'chat',
  }
  return `id: ${id}\ndata: ${JSON.stringify(json)}\n\n`
}

test('a stream that is cut at any byte resumes after its last event, without loss or repetition', async () => {
  const all = Array.from({ length: 40 }, (_, index) => index + 1)
  const upstream = await startScriptedUpstream((request, response, number) => {
    begin(response)
    const from = Number(request.headers['last-event-id'] ?? 0)
    const rest = all
      .filter((id) => id > from)
      .map(message)
      .join('')
    // Each connection ends somewhere else, most of them in the middle of an event.
    const cut = Math.min(rest.length, 150 + ((number * 97) % 400))
    response.write(rest.slice(0, cut), () => response.destroy())
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length >= all.length)
  expect(heard.events.map(({ cursor }) => Number(cursor))).toEqual(all)
  expect(upstream.requests[0]).toMatchObject({
    url: '/flows?filter=flow-1',
    headers: { authorization: 'Bearer token' },
  })
})

test.each([500, 503, 429])(
  'an upstream that answers %i is asked again, with a growing random delay',
  async (status) => {
    const upstream = await startScriptedUpstream((_, response, number) => {
      if (number < 3) {
        response.writeHead(status)
        response.end('down')
      } else {
        begin(response)
        response.write(message(1))
      }
    })
    const { heard } = listen(upstream.url)
    await eventually(() => heard.events.length === 1)
    expect(heard.opened).toBe(1)
    expect(heard.retries).toHaveLength(3)
    heard.retries.forEach((delayMs, index) => {
      expect(delayMs).toBeGreaterThanOrEqual(125 * 2 ** index)
      expect(delayMs).toBeLessThanOrEqual(250 * 2 ** index)
    })
  },
)

test.each([
  [401, 'UNAUTHENTICATED'],
  [403, 'FORBIDDEN'],
  [404, 'NOT_FOUND'],
])('an upstream that answers %i is not asked again, and the reason is told', async (status, code) => {
  const upstream = await startScriptedUpstream((_, response) => {
    response.writeHead(status)
    response.end()
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.ended !== undefined)
  expect(heard.ended).toMatchObject({ code })
  expect(heard.retries).toEqual([])
  expect(upstream.requests).toHaveLength(1)
})

test('an upstream that does not know the last event any more is read from now on, with a gap', async () => {
  const upstream = await startScriptedUpstream((request, response, number) => {
    if (request.headers['last-event-id'] !== undefined) {
      response.writeHead(410)
      response.end()
      return
    }
    begin(response)
    response.write(message(number === 0 ? 900 : 1))
    if (number === 0) response.end()
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 3)
  expect(heard.events.map(({ type, cursor }) => [type, cursor])).toEqual([
    ['message', '900'],
    ['gap', '900'],
    ['message', '1'],
  ])
  // All until the next connection is lost: told before it stands, the gap would be too small.
  expect(heard.connections).toEqual([1, 2, 2])
  expect(upstream.requests.map(({ headers }) => headers['last-event-id'])).toEqual([
    undefined,
    '900',
    undefined,
  ])
})

test('an event that cannot be read becomes a gap, and later ones are not lost', async () => {
  const upstream = await startScriptedUpstream((_, response) => {
    begin(response)
    response.write(
      `${message(1)}id: 2\ndata: {"broken\n\nid: 3\ndata: []\n\ndata: {"of":"no id"\n\n${message(4)}`,
    )
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 4)
  expect(heard.events).toMatchObject([
    { type: 'message', cursor: '1' },
    { type: 'gap', after: '1', cursor: '2', reason: 'unreadable' },
    { type: 'gap', after: '2', cursor: '3', reason: 'unreadable' },
    { type: 'message', cursor: '4' },
  ])
  expect(heard.retries).toEqual([])
})

/** Writes a piece again and again; resolves when all of it left, or nobody reads any more. */
async function fill(response: ServerResponse, piece: string, times: number): Promise<void> {
  for (let left = times; left > 0 && !response.destroyed; left -= 1)
    await new Promise<unknown>((resolve) => response.write(piece, resolve))
}

test('an event that is too long is skipped on the same connection, and becomes a gap', async () => {
  const upstream = await startScriptedUpstream(async (_, response) => {
    begin(response)
    response.write(`${message(1)}id: 2\ndata: {"event":"`)
    await fill(response, 'x'.repeat(65_536), 80)
    response.write(`"}\n\n${message(3)}`)
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 3)
  expect(heard.events).toMatchObject([
    { type: 'message', cursor: '1' },
    { type: 'gap', after: '1', cursor: '2', reason: 'unreadable' },
    { type: 'message', cursor: '3' },
  ])
  expect([heard.retries, upstream.requests.length]).toEqual([[], 1])
})

test.each([
  ['that says its id first is stepped over', 'id: 2\n', ['1', '1', '1', '2'], '2'],
  ['of which nobody knows the id ends what can be had of the log', '', ['1', '1', '1', undefined], '1'],
])('an event that every connection breaks off in at the same byte, and %s', async (_, id, asked, cursor) => {
  const upstream = await startScriptedUpstream((request, response) => {
    const after = request.headers['last-event-id']
    begin(response)
    const isBehind = upstream.requests.length > 1 && after !== '1'
    if (isBehind) return void response.write(message(3))
    response.write(`${after === undefined ? message(1) : ''}${id}data: {"event":"mess`, () =>
      response.destroy(),
    )
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 3)
  expect(upstream.requests.map(({ headers }) => headers['last-event-id'])).toEqual([
    undefined,
    ...asked.slice(1),
  ])
  expect(heard.events).toMatchObject([
    { type: 'message', cursor: '1' },
    { type: 'gap', after: '1', cursor, reason: 'unreadable' },
    { type: 'message', cursor: '3' },
  ])
})

test('an event that arrives in pieces, a little further each time, is waited for', async () => {
  const whole = message(2)
  const upstream = await startScriptedUpstream((request, response, number) => {
    begin(response)
    if (request.headers['last-event-id'] === undefined)
      return void response.write(message(1), () => response.destroy())
    response.write(number < 5 ? whole.slice(0, 20 + number) : whole, () => {
      if (number < 5) response.destroy()
    })
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 2)
  expect(heard.events.map(({ type }) => type)).toEqual(['message', 'message'])
})

test('an endless line is cut instead of filling the memory', async () => {
  const upstream = await startScriptedUpstream((_, response, number) => {
    begin(response)
    if (number > 0) return void response.write(message(1))
    response.write('data: ')
    void fill(response, 'x'.repeat(65_536), 10_000)
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 2)
  expect(heard.retries).toHaveLength(1)
  // Nothing was read, so nothing says where to go on.
  expect(heard.events.map(({ type }) => type)).toEqual(['gap', 'message'])
})

test('a signal without an id does not make the stream forget where it is', async () => {
  const upstream = await startScriptedUpstream((_, response, number) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'flowdock-event-id': '41' })
    if (number > 0) return void response.write(message(42))
    response.write('data: {"event":"activity.user","flow":"flow-1","user":1,"content":{}}\n\n', () =>
      response.destroy(),
    )
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.some(({ type }) => type === 'message'))
  expect(upstream.requests[1]?.headers['last-event-id']).toBe('41')
})

test('an id that no header can carry ends what can be had of the log, and the stream goes on', async () => {
  const upstream = await startScriptedUpstream((_, response, number) => {
    begin(response)
    if (number > 0) return void response.write(message(2))
    response.write(message(1).replace('id: 1', 'id: ä 1'), () => response.destroy())
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 3)
  expect(upstream.requests[1]?.headers['last-event-id']).toBeUndefined()
  expect(heard.events.map(({ type }) => type)).toEqual(['message', 'gap', 'message'])
})

test('a stream that was cut before its first event resumes from where it was opened, if the upstream said where', async () => {
  const upstream = await startScriptedUpstream((_, response, number) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'flowdock-event-id': '41' })
    response.write(':\n\n')
    if (number === 0) setImmediate(() => response.destroy())
    else response.write(message(42))
  })
  const { heard } = listen(upstream.url)
  await eventually(() => heard.events.length === 1)
  expect(upstream.requests[1]?.headers['last-event-id']).toBe('41')
  expect(heard.events.map(({ type }) => type)).toEqual(['message'])
})

test('closing ends the connection at once, also a silent one', async () => {
  let gone = false
  const upstream = await startScriptedUpstream((request, response) => {
    begin(response)
    request.on('close', () => {
      gone = true
    })
  })
  const { heard, stream } = listen(upstream.url)
  await eventually(() => heard.opened === 1)
  stream.close()
  await eventually(() => gone)
  expect(heard).toMatchObject({ retries: [], ended: undefined })
})

test('a name with a comma stays one name', async () => {
  const upstream = await startScriptedUpstream((_, response) => begin(response))
  const { heard } = listen(upstream.url, ['a&user=1', 'b'])
  await eventually(() => heard.opened === 1)
  expect(upstream.requests[0]?.url).toBe('/flows?filter=a%26user%3D1%2Cb')
})

test('streams that are lost together are opened again one after the other, however many there are', async () => {
  const count = 100
  const arrivals: number[] = []
  const lines = new Set<ServerResponse>()
  const upstream = await startScriptedUpstream((_, response) => {
    arrivals.push(performance.now())
    lines.add(response)
    begin(response)
  })
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  const reconnects = createReconnects(50)
  const decoder = createEventDecoder()
  let opened = 0
  const streams = Array.from({ length: count }, () =>
    openStream({
      ...{ http, base: upstream.url, flowIds: ['flow-1'], isPrivate: false, reconnects, decoder },
      credential: parseAuthorization('Bearer token') as NonNullable<ReturnType<typeof parseAuthorization>>,
      onOpen: () => {
        opened += 1
      },
      onEvent: () => undefined,
      onEnd: () => undefined,
    }),
  )
  onTestFinished(async () => {
    for (const stream of streams) stream.close()
    await http.close()
  })
  await eventually(() => opened === count)
  for (const line of lines) line.destroy()
  await eventually(() => opened === count * 2)
  // 99 pauses of 20 ms; the first may come late, and the others no earlier for that.
  expect((arrivals.at(-1) ?? 0) - (arrivals[count] ?? 0)).toBeGreaterThan(1000)
})
