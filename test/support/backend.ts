import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { DataLocation } from '../../src/backend/admin/administration.ts'
import { makeToken } from '../../src/backend/flowdock/auth.ts'
import { type BackendOptions, createBackend, type RunningBackend } from '../../src/backend/server.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { makeDatabase } from './database.ts'
import { serviceToken } from './service-token.ts'

export type Nick = 'Ada' | 'Ben' | 'Cleo'

const userIds: Record<Nick, number> = { Ada: 1, Ben: 2, Cleo: 3 }

/** An answer of the REST API, read whole. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any
}

export interface TestBackend extends RunningBackend {
  readonly dataDir: string
  /** Where commands find its data. */
  readonly location: DataLocation
  /** A token of one of the demo's people. */
  token(nick: Nick): Promise<string>
  /** A call as that person, with a JSON body if one is given. */
  as(nick: Nick): (method: string, path: string, body?: unknown) => Promise<Answer>
}

/** A backend on a free port with its data in a folder of its own, which goes with it. */
export async function startTestBackend(options: Partial<BackendOptions> = {}): Promise<TestBackend> {
  const dataDir = options.dataDir ?? (await makeFolder())
  const database = options.dataDir === undefined ? await makeDatabase() : undefined
  const errors: unknown[] = []
  const backend = await createBackend({
    host: '127.0.0.1',
    port: 0,
    dataDir,
    databaseUrl: database?.url,
    onError: (error) => errors.push(error),
    ...(process.env['TEST_HUB'] === 'stream' ? { serviceTokens: [serviceToken] } : {}),
    ...options,
    // Tests ask more than any person: nothing is counted unless they say so.
    traffic: {
      ...{ requestsPerMinute: 0, strangerRequestsPerMinute: 0, streamsPerPrincipal: 0 },
      ...options.traffic,
    },
  })
  const tokens = new Map<Nick, Promise<string>>()

  async function addToken(nick: Nick): Promise<string> {
    const token = makeToken()
    await backend.store.write((db) => insertToken(db, hashToken(token), userIds[nick]))
    return token
  }

  const token = (nick: Nick) => {
    const known = tokens.get(nick) ?? addToken(nick)
    tokens.set(nick, known)
    return known
  }

  return {
    ...backend,
    dataDir,
    location: { dataDir, databaseUrl: options.databaseUrl ?? database?.url, s3: options.s3 },
    token,
    as: (nick) => async (method, path, body) =>
      call(backend.url + path, method, { authorization: basic(await token(nick)) }, body),
    async close() {
      await backend.close()
      await database?.drop()
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true })
      if (errors.length > 0) throw new AggregateError(errors, 'The backend failed unexpectedly')
    },
  }
}

export async function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'flowdock-gateway-'))
}

/** Where a store of its own can be opened; it goes with the test. */
export async function makeLocation(): Promise<string> {
  const database = await makeDatabase()
  if (database === undefined) return join(await makeFolder(), 'test.db')
  onTestFinished(database.drop)
  return database.url
}

export function basic(token: string): string {
  return `Basic ${Buffer.from(`${token}:`).toString('base64')}`
}

export async function call(
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = text !== '' && (response.headers.get('content-type') ?? '').includes('json')
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  }
}
