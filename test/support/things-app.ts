import type { UpstreamCall } from '../../src/upstream/http.ts'
import { type Result, startTestApp, type TestApp } from './app.ts'
import { call } from './backend.ts'

export const demoAccount = 'alice'
export const demoToken = 'AliceAliceAliceAliceAliceAlice12'

/** A gateway over a backend whose server of the flowthings API has the account of Alice. */
export interface ThingsApp extends TestApp {
  /** Executes an operation with the account and master token of Alice, or with other headers. */
  asAlice(
    query: string,
    variables?: object,
    headers?: Record<string, string>,
    extensions?: object,
  ): Promise<Result>
  /** The calls to flowthings since this was called last, as method and route. */
  takeCalls(): string[]
  /** A call to the server itself as Alice. @returns the body of the envelope */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  direct(method: string, path: string, body?: unknown): Promise<any>
}

export const aliceHeaders = { 'X-Auth-Account': demoAccount, 'X-Auth-Token': demoToken }

export async function startThingsApp(options: Parameters<typeof startTestApp>[0] = {}): Promise<ThingsApp> {
  const app = await startTestApp({
    ...options,
    backend: { ...options.backend, things: { port: 0, demoAccount, demoToken } },
  })
  const server = app.backend.things?.url ?? ''
  return {
    ...app,
    get openStreams() {
      return app.openStreams
    },
    get dropSockets() {
      return app.dropSockets
    },
    async asAlice(query, variables = {}, headers = aliceHeaders, extensions = {}) {
      const response = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query, variables, extensions }),
      })
      return (await response.json()) as Result
    },
    takeCalls: () => app.calls.splice(0).map((each) => describeCall(each, server)),
    async direct(method, path, body) {
      const answer = await call(
        `${server}/v0.1/${demoAccount}${path}`,
        method,
        { 'x-auth-token': demoToken },
        body,
      )
      if (answer.status >= 300) throw new Error(answer.text)
      return answer.json.body
    },
  }
}

/** Such as `MGET /drop`: ids are left out. */
function describeCall({ method, url }: UpstreamCall, server: string): string {
  const path = url.slice(server.length).split('?')[0] ?? ''
  return `${method} ${path.replace(`/v0.1/${demoAccount}`, '').replaceAll(/\/[a-z][0-9a-f]{24}/g, '/ID')}`
}
