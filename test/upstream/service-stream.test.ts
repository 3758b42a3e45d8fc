import type { ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { StreamHub } from '../../src/events/stream-hub.ts'
import { Secret } from '../../src/secret.ts'
import { createServiceStream } from '../../src/upstream/flowdock/service-stream.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

const topic = { flows: 'all', isPrivate: true } as const

function event(number: number, padding = ''): string {
  const payload = { event: 'anything', padding, number }
  return `id: ${number}\nevent: e\ndata: ${JSON.stringify({ a: 'f:a', t: 0, p: payload })}\n\n`
}
const head = (number: number) => `event: h\ndata: {"head":${number}}\n\n`

function open(response: ServerResponse, at: number, log = 'log-1', first = 1): void {
  response.writeHead(200, {
    ...{ 'content-type': 'text/event-stream', 'flowdock-service': '1' },
    ...{ 'flowdock-log-id': log, 'flowdock-event-id': String(at), 'flowdock-first-event': String(first) },
  })
}

/** A hub that is connected to a scripted backend, with one reader whose access is held. */
async function connect(
  answer: (response: ServerResponse, after: number | undefined, number: number) => void,
  silenceMs = 5000,
) {
  const upstream = await startScriptedUpstream((request, response, number) => {
    const header = request.headers['last-event-id']
    answer(response, header === undefined ? undefined : Number(header), number)
  })
  const received: number[] = []
  const effects: string[] = []
  const changed = new EventTarget()
  const note = (effect: string) => {
    effects.push(effect)
    changed.dispatchEvent(new Event('change'))
  }
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  const hub: StreamHub<unknown> = new StreamHub({
    limits: { maxEvents: 1000, maxBytes: 100_000_000 },
    effects: {
      connect: (request) => stream.connect({ ...request, failures: Math.min(request.failures, 1) }),
      disconnect: () => stream.disconnect(),
      foreign: () => note('foreign'),
      prove(principal) {
        queueMicrotask(() =>
          hub.proved(principal, {
            ...{ log: hub.logId ?? 'log-1', at: hub.log.end, user: 1, grant: 'grant', flows: ['a'] },
            ...{ receivesFlows: true, isPrivate: true, expiresAt: undefined },
          }),
        )
      },
      say: (state) => note(state),
      deliver({ number }) {
        if (hub.count().readers.live === 0) return
        received.push(number)
        note('deliver')
      },
      gap: () => note('gap'),
      drain(reader) {
        queueMicrotask(() => {
          for (let entry = hub.next(reader); entry !== undefined; entry = hub.next(reader))
            received.push(entry.number)
          note('drained')
        })
      },
      replay: (reader) => hub.replayGone(reader),
      ...{ join: () => note('join'), part: () => hub.log.seq, end: () => note('end') },
      ...{ move: () => note('move'), drop: () => undefined },
    },
  })
  const stream = createServiceStream({
    ...{
      http,
      restUrl: upstream.url,
      token: new Secret('service-token'),
      sink: hub,
      silenceMs,
      firstDelayMs: 5,
    },
    onRetry: () => note('retry'),
  })
  onTestFinished(async () => {
    stream.disconnect()
    await http.close()
  })
  hub.subscribe('principal', topic, undefined, 0)
  return {
    ...{ hub, received, effects, upstream },
    /** Resolves as soon as the condition holds. */
    async until(condition: () => boolean) {
      while (!condition())
        await new Promise((resolve) => changed.addEventListener('change', resolve, { once: true }))
    },
  }
}

test('the stream is requested with the service token, and resumes after the last event', async () => {
  const afters: (number | undefined)[] = []
  const { received, upstream, until } = await connect((response, after) => {
    afters.push(after)
    open(response, after ?? 10)
    if (after === undefined) response.end(head(10) + event(11) + event(12))
    else response.write(event(13) + head(13))
  })
  await until(() => received.includes(13))
  expect(received).toEqual([11, 12, 13])
  expect(afters).toEqual([undefined, 12])
  expect(upstream.requests[0]?.url).toBe('/service/v1/stream?back=5000')
  expect(upstream.requests[1]?.url).toBe('/service/v1/stream')
  expect(upstream.requests[0]?.headers.authorization).toBe('Bearer service-token')
})

test('each event is received once wherever the connection breaks off in it', async () => {
  const text = event(11) + event(12)
  const { received, until } = await connect((response, after, number) => {
    open(response, after ?? 10)
    if (number === 0) response.write(head(10))
    // Half of them break off after one byte more each time, and so on through both events.
    if (number < text.length) {
      const rest = after === 11 ? event(12) : after === 12 ? '' : text
      response.end(rest.slice(0, Math.max(number - (text.length - rest.length), 0)))
    } else response.write((after === 12 ? '' : after === 11 ? event(12) : text) + event(13) + head(13))
  })
  await until(() => received.includes(13))
  expect(received).toEqual([11, 12, 13])
})

test('a connection that falls silent is made again', async () => {
  const { received, upstream, until } = await connect((response, after, number) => {
    open(response, after ?? 10)
    response.write(number === 0 ? head(10) : event(11) + head(11))
  }, 100)
  await until(() => received.length > 0)
  expect(received[0]).toBe(11)
  expect(upstream.requests.length).toBeGreaterThan(1)
})

test('events that come twice, or again from before, are received once', async () => {
  const { received, until } = await connect((response, after) => {
    open(response, after ?? 10)
    response.write(head(10) + event(11) + event(11) + event(12) + event(9) + event(11) + event(13))
  })
  await until(() => received.includes(13))
  expect(received).toEqual([11, 12, 13])
})

test('a missing event is requested again, and becomes a gap when it never comes', async () => {
  const { received, effects, until, upstream } = await connect((response, after, number) => {
    open(response, after ?? (number === 0 ? 10 : 20))
    response.write(number === 0 ? head(10) + event(11) : head(after ?? 20))
    if (number < 2) response.write(event(13))
    else response.write(event((after ?? 20) + 1))
  })
  await until(() => received.includes(21))
  expect(received).toEqual([11, 21])
  expect(effects).toContain('gap')
  expect(upstream.requests.map(({ headers }) => headers['last-event-id'])).toEqual([
    undefined,
    '11',
    undefined,
  ])
})

test.each([
  ['another log id', (response: ServerResponse, after: number) => open(response, after, 'log-2')],
  ['410', (response: ServerResponse) => void response.writeHead(410).end()],
])('with %s the log begins anew, and the reader is told of a gap', async (_, answer) => {
  let second: ServerResponse | undefined
  const { hub, received, effects, until } = await connect((response, after, number) => {
    if (after !== undefined && number === 1) answer(response, after)
    else if (number === 0) {
      open(response, 10)
      response.end(head(10) + event(11))
    } else {
      open(response, 3, 'log-2')
      response.write(head(3))
      second = response
    }
  })
  await until(() => effects.includes('gap'))
  second?.write(event(4) + event(5))
  await until(() => received.includes(5))
  expect(received).toEqual([11, 4, 5])
  expect(effects.filter((effect) => effect === 'gap')).toHaveLength(1)
  expect(hub.logId).toBe('log-2')
})

test('a backend that refuses the token is tried again', async () => {
  const { hub, effects, until } = await connect((response) => void response.writeHead(401).end())
  await until(() => effects.includes('retry'))
  expect(hub.state).toBe('lost')
  expect(hub.readerCount).toBe(1)
})

test('a backend without the interface is one of the API alone', async () => {
  const { hub, effects, until } = await connect((response) => void response.writeHead(404).end())
  await until(() => effects.includes('foreign'))
  expect(hub.state).toBe('closed')
})

test('an event of 5 MiB is received, frames of other names are passed over', async () => {
  const { received, until } = await connect((response, after) => {
    open(response, after ?? 10)
    response.write('event: news\ndata: {}\n\n: a comment\n\n')
    response.write(head(10) + event(11, 'x'.repeat(5 * 1024 * 1024)) + event(12))
  })
  await until(() => received.includes(12))
  expect(received).toEqual([11, 12])
})

test('a response that does not say where it begins is no connection', async () => {
  const { hub, received, until } = await connect((response, _, number) => {
    if (number === 0) response.writeHead(200, { 'content-type': 'text/event-stream' }).write(event(1))
    else {
      open(response, 10)
      response.write(head(10) + event(11))
    }
  })
  await until(() => received.includes(11))
  expect(hub.log.begin).toBe(10)
})
