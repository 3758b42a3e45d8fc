import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { basic, call, makeFolder } from '../support/backend.ts'
import { type Engine, engines, makeCluster } from '../support/machines.ts'
import { makeNatsServer } from '../support/nats.ts'
import { type RunningProcess, run } from '../support/process.ts'
import { openRawStream } from '../support/stream.ts'

const token = '0123456789abcdef'.repeat(2)
const authorization = basic(token)

interface BackendProcess extends RunningProcess {
  readonly url: string
}

/** Backends as processes, so that they can be killed. */
async function startProcesses(engine: Engine, nats: string, databaseUrl: string) {
  const start = async (): Promise<BackendProcess> => {
    const running = run(['src/main.ts', 'backend'], {
      ...{ BACKEND_PORT: '0', DATA_DIR: await makeFolder(), FLOWDOCK_DEMO_TOKEN: token },
      ...{ DATABASE_URL: databaseUrl, ...(engine === 'NATS' ? { NATS_URL: nats } : {}) },
      ...{ REQUESTS_PER_MINUTE: '0', MAX_CONNECTIONS_PER_PRINCIPAL: '0', LOG_LEVEL: 'silent' },
    })
    const [, url = ''] = await running.until(/Flowdock API (http:\S+)/)
    return { ...running, url }
  }
  return { start, a: await start(), b: await start() }
}

/** Reads the stream of a flow, and goes on after the last id at any backend that responds. */
function follow(urls: () => readonly string[], offset: number) {
  const received: { id: number; content: string }[] = []
  const stopping = new AbortController()
  const { signal } = stopping
  let connections = 0

  async function read(): Promise<void> {
    for (let attempt = offset; !signal.aborted; attempt += 1) {
      const all = urls()
      const url = all[attempt % all.length]
      const last = received.at(-1)?.id
      const headers = {
        ...{ authorization, accept: 'text/event-stream' },
        ...(last === undefined ? {} : { 'last-event-id': String(last) }),
      }
      const stream = await openRawStream(`${url}/stream/flows?filter=example/main`, headers).catch(
        () => undefined,
      )
      if (stream === undefined) continue
      if (stream.status === 200) connections += 1
      const stop = () => stream.close()
      signal.addEventListener('abort', stop)
      let taken = 0
      const take = () => {
        const end = stream.text.lastIndexOf('\n\n') + 2
        for (const [, id, json = ''] of stream.text.slice(taken, end).matchAll(/^id: (\d+)\ndata: (.*)$/gm)) {
          const { event, content } = JSON.parse(json)
          if (event === 'message') received.push({ id: Number(id), content })
        }
        taken = Math.max(taken, end)
      }
      const polling = setInterval(take, 5)
      await stream.ended
      clearInterval(polling)
      take()
      signal.removeEventListener('abort', stop)
    }
  }

  const reading = read()
  onTestFinished(async () => {
    stopping.abort()
    await reading
  })
  return {
    received,
    get connections() {
      return connections
    },
  }
}

test.each(engines)(
  'over %s: the engine, the database and a backend fail, and every reader receives every message once, in order',
  async (engine) => {
    const server = await makeNatsServer()
    await server.start()
    const cluster = await makeCluster(engine)
    const { start, a, b } = await startProcesses(engine, server.url, cluster.databaseUrl)
    let living: BackendProcess[] = [a, b]
    const urls = () => living.map(({ url }) => url)
    const readers = Array.from({ length: 10 }, (_, index) => follow(urls, index))
    await expect.poll(() => readers.every(({ connections }) => connections > 0)).toBe(true)

    const total = 400
    let sent = 0
    let next = 0
    let refused = 0

    /** Sends each message until it is acknowledged; its uuid keeps a second attempt from storing it twice. */
    async function send(): Promise<void> {
      while (next < total) {
        const content = `message ${next}`
        next += 1
        const uuid = randomUUID()
        for (let attempt = next; ; attempt += 1) {
          const url = urls()[attempt % living.length]
          const path = `${url}/flows/example/main/messages`
          const body = { event: 'message', content, uuid }
          const answer = await call(path, 'POST', { authorization }, body).catch(() => undefined)
          if (answer !== undefined && answer.status < 300) break
          refused += 1
        }
        sent += 1
      }
    }

    const sending = Promise.all(Array.from({ length: 8 }, send))
    const reaches = (part: number) =>
      expect.poll(() => sent, { interval: 5 }).toBeGreaterThanOrEqual(part * total)
    await reaches(0.2)
    await (engine === 'NATS' ? server.kill() : cluster.cutConnections())
    await reaches(0.4)
    if (engine === 'NATS') await server.start()
    await reaches(0.5)
    await cluster.cutConnections()
    await reaches(0.7)
    living = [b]
    a.child.kill('SIGKILL')
    await a.exited
    await reaches(0.8)
    living = [b, await start()]
    await sending

    const stored = await call(`${b.url}/flows/example/main/messages?event=message&limit=100`, 'GET', {
      authorization,
    })
    const last = stored.json.at(-1).content
    await expect
      .poll(() => readers.every(({ received }) => received.at(-1)?.content === last), { timeout: 30_000 })
      .toBe(true)
    expect(refused).toBeGreaterThan(0)
    const [first] = readers
    for (const { received } of readers) {
      const ids = received.map(({ id }) => id)
      expect(ids).toEqual([...new Set(ids)].toSorted((one, other) => one - other))
      expect(received).toEqual(first?.received)
      expect(received.map(({ content }) => content).toSorted()).toEqual(
        Array.from({ length: total }, (_, index) => `message ${index}`).toSorted(),
      )
    }
  },
  120_000,
)
