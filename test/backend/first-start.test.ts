import { readdir } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { seedDemo } from '../../src/backend/admin/seed.ts'
import { createEventLog, type EventLog } from '../../src/backend/event-log.ts'
import { nameOfMark } from '../../src/backend/file-storage.ts'
import { openFileStore } from '../../src/backend/files.ts'
import { openStore } from '../../src/backend/store/db.ts'
import { findDatabaseId } from '../../src/backend/store/identity.ts'
import { call, makeFolder, makeLocation, startTestBackend } from '../support/backend.ts'
import { makeDatabase } from '../support/database.ts'

test('several programs that open an empty database at once bring it up to date together', async () => {
  const location = await makeLocation()
  const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(location)))
  for (const store of stores) onTestFinished(store.close)
  for (const { reader } of stores)
    expect(await reader.selectFrom('organizations').selectAll().execute()).toEqual([])
})

test('two backends that start at once on an empty database have one demo organization', async () => {
  const dataDir = await makeFolder()
  const database = await makeDatabase()
  if (database !== undefined) onTestFinished(database.drop)
  // On PostgreSQL, each machine has a folder of its own.
  const dataDirs = database === undefined ? [dataDir, dataDir] : [dataDir, await makeFolder()]
  const options = { databaseUrl: database?.url, demoHistory: true }
  const backends = await Promise.all(dataDirs.map((each) => startTestBackend({ ...options, dataDir: each })))
  for (const backend of backends) onTestFinished(backend.close)
  for (const { store, as } of backends) {
    expect(await store.reader.selectFrom('organizations').select('slug').execute()).toEqual([
      { slug: 'example' },
    ])
    expect((await as('Ada')('GET', '/flows/example/main')).status).toBe(200)
  }
  const tokens = backends.map(({ demo }) => demo.token).filter((token) => token !== null)
  expect(tokens).not.toEqual([])
  for (const token of tokens) {
    const authorization = `Basic ${btoa(`${token}:`)}`
    for (const { url } of backends)
      expect((await call(`${url}/user`, 'GET', { authorization })).status).toBe(200)
  }
})

test('a backend that finds the database filled when it may write changes nothing', async () => {
  const store = await openStore(await makeLocation())
  onTestFinished(store.close)
  const log = await createEventLog(store)
  const make = async () => {
    const dataDir = await makeFolder()
    const files = await openFileStore({ dataDir }, await findDatabaseId(store.reader))
    return { store, log, files, dataDir, token: undefined, withHistory: true }
  }
  const [first, late] = [await make(), await make()]
  const notices: string[] = []
  const delayed: EventLog = {
    ...log,
    async write(change) {
      expect((await seedDemo(first)).token).not.toBeNull()
      return log.write(change)
    },
  }
  const demo = await seedDemo({ ...late, log: delayed, onNotice: (message) => notices.push(message) })
  expect(demo).toEqual({ token: null })
  expect(notices).toEqual([expect.stringContaining('Another backend filled the database')])
  const left = await readdir(late.dataDir, { recursive: true, withFileTypes: true })
  expect(
    left
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort(),
  ).toEqual([nameOfMark(await findDatabaseId(store.reader)), 'signing-key'])
})
