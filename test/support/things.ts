import { addAccount } from '../../src/backend/flowthings/operations/accounts.ts'
import { makeTokenText } from '../../src/backend/flowthings/principal.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { startTestBackend, type TestBackend } from './backend.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Json = any

/** A response of the flowthings API, read whole. */
export interface ThingsAnswer {
  readonly status: number
  readonly head: Json
  readonly body: Json
  readonly headers: Headers
  readonly text: string
}

/** A principal of the flowthings API. */
export interface ThingsClient {
  readonly account: string
  readonly token: string
  /** @param path after the account, with its query string */
  (method: string, path: string, body?: unknown, version?: string): Promise<ThingsAnswer>
}

export interface TestThings extends Omit<TestBackend, 'as'> {
  readonly thingsUrl: string
  /** The master of the account `alice`. */
  readonly alice: ThingsClient
  /** Adds an account. Resolves with its master. */
  addAccount(name: string): Promise<ThingsClient>
  /** The same account with another token. */
  as(account: string, token: string): ThingsClient
}

/** A backend with the server of the flowthings API, on free ports, and the account `alice`. */
export async function startThings(options: Partial<BackendOptions> = {}): Promise<TestThings> {
  const backend = await startTestBackend({
    demoOrganization: false,
    things: { port: 0, demoAccount: undefined, demoToken: undefined },
    ...options,
  })
  const thingsUrl = backend.things?.url ?? ''
  const as = (account: string, token: string) => createClient(thingsUrl, account, token)
  const add = async (name: string) => {
    const token = makeTokenText(32)
    await backend.store.write((db) => addAccount(db, name, token, Date.now()))
    return as(name, token)
  }
  return { ...backend, thingsUrl, as, addAccount: add, alice: await add('alice') }
}

export function createClient(url: string, account: string, token: string): ThingsClient {
  const request = (method: string, path: string, body?: unknown, version = 'v0.1') =>
    callThings(
      `${url}/${version}/${account}${path}`,
      method,
      { 'x-auth-account': account, 'x-auth-token': token },
      body,
    )
  return Object.assign(request, { account, token })
}

export async function callThings(
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<ThingsAnswer> {
  const response = await fetch(url, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const { head, body: result } = text === '' ? { head: undefined, body: undefined } : JSON.parse(text)
  return { status: response.status, head, body: result, headers: response.headers, text }
}
