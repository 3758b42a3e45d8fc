import { randomBytes } from 'node:crypto'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { moveFiles } from '../../src/backend/admin/file-moves.ts'
import { backupData, checkData, restoreData } from '../../src/backend/admin/maintenance.ts'
import { FileStorageError, nameOfMark } from '../../src/backend/file-storage.ts'
import { openFolderStorage } from '../../src/backend/files-folder.ts'
import { openS3Storage } from '../../src/backend/files-s3.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { findDatabaseId } from '../../src/backend/store/identity.ts'
import { makeFolder, startTestBackend, type TestBackend } from '../support/backend.ts'
import { onPostgres } from '../support/database.ts'
import { downloadFile, sendFile } from '../support/files.ts'
import { failS3, startS3, type TestS3 } from '../support/s3.ts'

/* Files of one database are never removed as those of another one that belong to no message. */

async function start(options: Partial<BackendOptions> = {}): Promise<TestBackend> {
  const backend = await startTestBackend(options)
  onTestFinished(backend.close)
  return backend
}

/** A backend with S3 that has stored no file there: those of the demo organization are in its folder. */
async function startUnmarked(s3: TestS3, options: Partial<BackendOptions> = {}): Promise<TestBackend> {
  const { location } = await start()
  return start({ ...location, s3: s3.location, ...options })
}

const idOf = ({ store }: TestBackend) => findDatabaseId(store.reader)
const send = (backend: TestBackend) => sendFile(backend, randomBytes(100))
const clean = { problems: [], repaired: [] }

/** When files that are stored now are no longer those of messages that are being sent. */
const later = () => Date.now() + 11 * 60_000

function openS3({ location }: TestS3) {
  const storage = openS3Storage(location)
  onTestFinished(storage.close)
  return storage
}

/** Puts a file into a folder of files that belongs to no message. */
async function leaveFile(dataDir: string): Promise<string> {
  const token = randomBytes(16).toString('hex')
  const folder = join(dataDir, 'files', token.slice(0, 2))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, token), 'left by a crash')
  return token
}

async function leaveFileAtS3(s3: TestS3): Promise<string> {
  const path = join(await makeFolder(), 'left')
  await writeFile(path, 'left by a crash')
  const token = randomBytes(16).toString('hex')
  await openS3(s3).keep(token, path)
  return token
}

test('check with the folder of another database names both, lists no files as without a message and removes none', async () => {
  const owner = await start()
  const file = await send(owner)
  const other = await start()
  await cp(join(owner.dataDir, 'files'), join(other.dataDir, 'files'), { recursive: true, force: false })
  const folder = join(other.dataDir, 'files')
  const id = await idOf(owner)
  for (const repair of [false, true])
    expect(await checkData(other.location, repair, later())).toEqual({
      problems: [
        `"${folder}" has files of the database ${id}, and this is the database ${await idOf(other)}: nothing is removed. ` +
          'Set DATABASE_URL, DATA_DIR and S3_URL that belong together. ' +
          `If the other database is gone, remove "${folder}/database-${id}"`,
      ],
      repaired: [],
    })
  expect(await openFolderStorage(folder).sizeOf(file.token)).toBe(100)

  await rm(join(folder, `database-${id}`))
  expect((await checkData(other.location, true, later())).repaired).toContain(
    `The file ${file.token} belongs to no message; it was removed`,
  )
})

test('two databases that share a bucket are told so, and keep all their files', async () => {
  const s3 = await startS3()
  const [one, two] = [await start({ s3: s3.location }), await start({ s3: s3.location })]
  const files = [await send(one), await send(two)] as const
  for (const backend of [one, two]) {
    const location = { ...backend.location, s3: s3.location }
    const { problems, repaired } = await checkData(location, true, later())
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`this is the database ${await idOf(backend)}`)
    expect(repaired).toEqual([])
  }
  expect(await downloadFile(one, files[0])).toBe(files[0].digest)
  expect(await downloadFile(two, files[1])).toBe(files[1].digest)
})

test('several backends of one database leave one mark', async () => {
  const first = await start()
  const second = await start(first.location)
  for (const backend of [first, second]) await send(backend)
  expect(await openFolderStorage(join(first.dataDir, 'files')).listMarks()).toEqual([await idOf(first)])
  const left = await leaveFile(first.dataDir)
  expect((await checkData(first.location, true, later())).repaired).toEqual([
    `The file ${left} belongs to no message; it was removed`,
  ])
})

test('a place that cannot be marked takes no file, and the next file tries again', async () => {
  const s3 = await startS3()
  const failures: unknown[] = []
  const backend = await startUnmarked(s3, { onError: (error) => failures.push(error) })
  s3.intercept(
    ({ method, url }, response) =>
      method === 'PUT' && url?.includes('/database-') === true && failS3(response, 403, 'AccessDenied'),
  )
  await expect(send(backend)).rejects.toThrow('503')
  expect(failures).toEqual([new FileStorageError('Cannot mark the place of files at S3: AccessDenied')])
  for await (const { token } of openS3(s3).list()) expect.fail(`The file ${token} was stored`)
  s3.intercept(undefined)
  const file = await send(backend)
  expect(await downloadFile(backend, file)).toBe(file.digest)
  expect(await openS3(s3).listMarks()).toEqual([await idOf(backend)])
})

test('a place without a mark is that of a database that names one of its files, and else nothing is removed there', async () => {
  const s3 = await startS3()
  const backend = await startUnmarked(s3)
  const location = { ...backend.location, s3: s3.location }
  const left = await leaveFileAtS3(s3)
  for (const repair of [false, true])
    expect(await checkData(location, repair, later())).toEqual({
      problems: [expect.stringContaining(`This database names no file in "${s3.location.url}"`)],
      repaired: [],
    })
  await send(backend)
  // As an earlier version left it.
  await openS3(s3).remove(nameOfMark(await idOf(backend)))
  expect((await checkData(location, true, later())).repaired).toEqual([
    `The file ${left} belongs to no message; it was removed`,
  ])
  expect(await checkData(location, true, later())).toEqual(clean)
})

test('files without a message that a move left behind are removed', async () => {
  const s3 = await startS3()
  const before = await start()
  await send(before)
  const left = await leaveFile(before.dataDir)
  await rm(join(before.dataDir, 'files', nameOfMark(await idOf(before))))
  const location = { ...before.location, s3: s3.location }
  expect(await moveFiles(location, 's3')).toMatchObject({ unnamed: 1, problems: [] })
  expect(await openS3(s3).listMarks()).toEqual([await idOf(before)])
  expect((await checkData(location, true, later())).repaired).toEqual([
    `The file ${left} belongs to no message; it was removed`,
  ])
})

test.skipIf(onPostgres)('a restored backup is the same database, in its folder and at S3', async () => {
  const s3 = await startS3()
  const backend = await start({ s3: s3.location })
  await send(backend)
  const copy = join(await makeFolder(), 'copy')
  await backupData(backend.location, copy)
  const { id } = await send(backend)
  expect((await backend.as('Ada')('DELETE', `/flows/example/main/messages/${id}`)).status).toBe(204)
  const restored = { dataDir: join(await makeFolder(), 'restored'), databaseUrl: undefined, s3: s3.location }
  await restoreData(copy, restored)
  const left = await leaveFileAtS3(s3)
  const leftInFolder = await leaveFile(restored.dataDir)
  const { problems, repaired } = await checkData(restored, true, later())
  expect(problems).toEqual([])
  expect([...repaired].sort()).toEqual(
    [left, leftInFolder].sort().map((token) => `The file ${token} belongs to no message; it was removed`),
  )
})

test.runIf(onPostgres)(
  'a DATA_DIR with a SQLite database is not that of a database of PostgreSQL',
  async () => {
    const backend = await start()
    await send(backend)
    const left = await leaveFile(backend.dataDir)
    await writeFile(join(backend.dataDir, 'flowdock.db'), '')
    expect(await checkData(backend.location, true, later())).toEqual({
      problems: [expect.stringContaining(`"${backend.dataDir}" has a database of its own, flowdock.db`)],
      repaired: [],
    })
    await rm(join(backend.dataDir, 'flowdock.db'))
    expect((await checkData(backend.location, true, later())).repaired).toEqual([
      `The file ${left} belongs to no message; it was removed`,
    ])
  },
)
