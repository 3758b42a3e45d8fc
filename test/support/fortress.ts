import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect } from 'vitest'
import type { BackendOptions } from '../../src/backend/server.ts'
import { post, type Result, startTestApp, type TestApp } from './app.ts'
import { basic } from './backend.ts'
import { serviceToken } from './service-token.ts'

/** A gateway as it stands in production, and somebody who uses it while others attack it. */
export interface Fortress {
  readonly app: TestApp
  readonly url: string
  /** Ada's. */
  readonly token: string
  /** Posts as Ada does, and checks what every answer has to be. */
  post(body: unknown, headers?: Record<string, string>): Promise<Result>
  /** Sends anything to `/graphql`, and checks what every answer has to be. */
  send(init: RequestInit): Promise<{ status: number; body: Result; text: string }>
  /** Does something while somebody else asks again and again, who has to be answered all the while. */
  beside<T>(attack: () => Promise<T>): Promise<T>
  /** Ends it, and checks that nothing it said of itself has a secret in it. */
  close(): Promise<void>
}

/** The processor time that one turn of the event loop may take. What other programs of a busy machine take is not in it. */
const maxTurnCpuMs = 1000
const lookMs = 20
const operatorToken = 'for-the-eyes-of-operators'
/** Nothing of these is ever answered. */
const inside = /node_modules|\/src\/|\n +at |file:\/\/|\.ts:\d/

/** @param upstreamUrl an upstream in place of the embedded backend */
export async function startFortress({
  settings = {},
  backend = {},
  upstreamUrl,
}: {
  settings?: Record<string, string>
  backend?: Partial<BackendOptions>
  upstreamUrl?: string
} = {}): Promise<Fortress> {
  const lines: string[] = []
  const kept = new Writable({
    write(chunk, _, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const app = await startTestApp({
    settings: { NODE_ENV: 'production', METRICS_TOKEN: operatorToken, ...settings },
    log: pino({ level: 'trace', base: null }, kept),
    backend: {
      ...backend,
      onRequest: (request) => lines.push(JSON.stringify(request)),
      onNotice: (message) => lines.push(message),
    },
    ...(upstreamUrl === undefined ? {} : { upstreamUrl }),
  })
  const token = await app.backend.token('Ada')
  const other = await app.backend.token('Ben')
  const secrets = [token, other, operatorToken, serviceToken].flatMap((each) => [
    each,
    btoa(`${each}:`),
    encodeURIComponent(btoa(`${each}:`)),
  ])

  async function send(init: RequestInit) {
    const response = await fetch(`${app.url}/graphql`, { method: 'POST', ...init })
    const text = await response.text()
    expect(response.status).toBeLessThan(500)
    expect(text).not.toMatch(inside)
    for (const secret of secrets) expect(text).not.toContain(secret)
    if (response.status >= 400) expect(text.length).toBeLessThan(2048)
    const isEvents = response.headers.get('content-type')?.startsWith('text/event-stream')
    const json = isEvents ? (/^data: (\{.*)$/m.exec(text)?.[1] ?? '{}') : text
    const body = JSON.parse(json) as Result
    for (const error of body.errors ?? []) expect(error.extensions?.['code']).toMatch(/^[A-Z_]+$/)
    return { status: response.status, body, text }
  }

  return {
    app,
    url: app.url,
    token,
    send,
    async post(body, headers) {
      const sent = await send({
        headers: { 'content-type': 'application/json', authorization: basic(token), ...headers },
        body: JSON.stringify(body),
      })
      return sent.body
    },
    async beside(attack) {
      let isOver = false
      let longestCpuMs = 0
      let before = process.threadCpuUsage()
      const looking = setInterval(() => {
        const { user, system } = process.threadCpuUsage(before)
        longestCpuMs = Math.max(longestCpuMs, (user + system) / 1000)
        before = process.threadCpuUsage()
      }, lookMs)
      const standing = (async () => {
        do {
          const { data } = await post(app.url, { query: '{ viewer { nick } }' }, other)
          expect(data).toEqual({ viewer: { nick: 'Ben' } })
        } while (!isOver)
      })()
      try {
        return await attack()
      } finally {
        isOver = true
        await standing
        clearInterval(looking)
        expect(longestCpuMs).toBeLessThan(maxTurnCpuMs)
      }
    },
    async close() {
      const headers = { authorization: `Bearer ${operatorToken}` }
      const read = async (path: string) => {
        const response = await fetch(app.url + path, { headers })
        expect(response.status).toBe(200)
        return response.text()
      }
      const metrics = await read('/metrics')
      const streams = await read('/streams')
      await app.close()
      for (const secret of secrets)
        for (const told of [lines.join(''), metrics, streams]) expect(told.includes(secret)).toBe(false)
    },
  }
}
