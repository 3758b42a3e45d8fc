import { expect, onTestFinished } from 'vitest'
import { storageError } from '../../src/backend/http/storage-error.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { basic, makeFolder, type Nick, startTestBackend, type TestBackend } from './backend.ts'
import { execute, makeDatabase } from './database.ts'
import { natsUrl } from './nats.ts'
import { openRawStream, type RawStream } from './stream.ts'

/** What carries messages between backends. */
export type Engine = 'PostgreSQL' | 'NATS'
export const engines: readonly Engine[] = ['PostgreSQL', 'NATS']

export interface Machine extends TestBackend {
  /** Opens the stream of a user, as Server-Sent Events. */
  listen(nick: Nick, query: string): Promise<RawStream>
  send(nick: Nick, content: string, flow?: string): Promise<number>
}

/** Backends that share an empty database. Each has files of its own. */
export interface Cluster {
  readonly databaseUrl: string
  readonly notices: string[]
  start(options?: Partial<BackendOptions>): Promise<Machine>
  /** Cuts every connection to the database. */
  cutConnections(): Promise<void>
}

/** @param nats the URL of the NATS server, where the engine is that */
export async function makeCluster(engine: Engine, nats = natsUrl): Promise<Cluster> {
  const database = await makeDatabase()
  if (database === undefined) throw new Error('These tests need PostgreSQL')
  onTestFinished(database.drop)
  const notices: string[] = []
  /** Errors other than those of connections that the test cut. */
  const errors: unknown[] = []
  let isCut = false
  onTestFinished(() => expect(errors).toEqual([]))
  const name = new URL(database.url).pathname.slice(1)
  return {
    databaseUrl: database.url,
    notices,
    async start(options = {}) {
      const backend = await startTestBackend({
        dataDir: await makeFolder(),
        databaseUrl: database.url,
        natsUrl: engine === 'NATS' ? nats : undefined,
        onNotice: (notice) => notices.push(notice),
        onError: (error) => {
          if (!isCut || storageError(error) === undefined) errors.push(error)
        },
        ...options,
      })
      onTestFinished(backend.close)
      return {
        ...backend,
        listen: async (nick, query) => {
          const authorization = basic(await backend.token(nick))
          return openRawStream(`${backend.url}/stream/flows?${query}`, {
            ...{ authorization, accept: 'text/event-stream' },
          })
        },
        async send(nick, content, flow = 'example/main') {
          const path = `/flows/${flow}/messages`
          const { status } = await backend.as(nick)('POST', path, { event: 'message', content })
          return status
        },
      }
    },
    async cutConnections() {
      isCut = true
      await execute(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
    },
  }
}
