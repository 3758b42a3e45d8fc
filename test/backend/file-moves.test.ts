import { randomBytes } from 'node:crypto'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type FileMove, moveFiles } from '../../src/backend/admin/file-moves.ts'
import { checkData } from '../../src/backend/admin/maintenance.ts'
import type { FileStorage } from '../../src/backend/file-storage.ts'
import { openFileStorages } from '../../src/backend/files.ts'
import { startTestBackend, type TestBackend } from '../support/backend.ts'
import { downloadFile, type SentFile, sendFile } from '../support/files.ts'
import { failS3, startS3, type TestS3 } from '../support/s3.ts'

/* Moving files between the folder and S3 while servers run. */

const main = '/flows/example/main/messages'
const MiB = 1024 * 1024

async function tokensOf(storage: FileStorage): Promise<string[]> {
  const tokens: string[] = []
  for await (const { token } of storage.list()) tokens.push(token)
  return tokens.sort()
}

/** The tokens of the files in the folder and at S3. */
async function placesOf(backend: TestBackend, s3: TestS3): Promise<{ folder: string[]; s3: string[] }> {
  const { forNewFiles, earlier } = await openFileStorages({ dataDir: backend.dataDir, s3: s3.location })
  try {
    return { folder: earlier === undefined ? [] : await tokensOf(earlier), s3: await tokensOf(forNewFiles) }
  } finally {
    forNewFiles.close()
    earlier?.close()
  }
}

/** A backend with files in its folder, which stores new ones at S3, and what its location says of it. */
async function start() {
  const s3 = await startS3()
  const before = await startTestBackend()
  onTestFinished(before.close)
  const toS3 = { ...before.location, s3: s3.location }
  const toFolder = { ...before.location, s3: { ...s3.location, isForNewFiles: false } }
  const backend = await startTestBackend(toS3)
  onTestFinished(backend.close)
  return { s3, before, backend, toS3, toFolder }
}

/** Tokens of all files that the database names. */
async function named({ store }: TestBackend): Promise<string[]> {
  const rows = await store.reader.selectFrom('files').select('token').execute()
  return rows.map(({ token }) => token).sort()
}

test('all files are moved to S3 and back while messages with files are sent, and each can be read at any time', async () => {
  const { s3, before, backend, toS3, toFolder } = await start()
  const files: SentFile[] = []
  for (let count = 0; count < 10; count += 1) files.push(await sendFile(before, randomBytes(20_000)))

  let state: 'moving' | 'moved' = 'moving'
  const readAll = async (from: TestBackend) => {
    for (const file of files) expect(await downloadFile(from, file)).toBe(file.digest)
  }
  const during = async (writer: TestBackend) => {
    do {
      files.push(await sendFile(writer, randomBytes(500)))
      await readAll(writer)
    } while (state === 'moving')
  }
  const there = during(backend)
  const move = await moveFiles(toS3, 's3')
  state = 'moved'
  await there
  expect(move).toMatchObject({ problems: [], unnamed: 0 })
  expect(move.bytes).toBeGreaterThan(200_000)
  expect(await placesOf(backend, s3)).toEqual({ folder: [], s3: await named(backend) })

  const other = await startTestBackend(toFolder)
  onTestFinished(other.close)
  state = 'moving'
  const back = during(other)
  expect(await moveFiles(toFolder, 'folder')).toMatchObject({ problems: [], unnamed: 0 })
  state = 'moved'
  await back
  expect(await placesOf(backend, s3)).toEqual({ folder: await named(backend), s3: [] })
  // A server that knows nothing of S3 reads all of them.
  await readAll(before)
  expect(await checkData(before.location)).toEqual({ problems: [], repaired: [] })
})

test('a move that S3 interrupts continues when it is run again, and files are readable in between', async () => {
  const { s3, before, backend, toS3 } = await start()
  const files = [await sendFile(before, randomBytes(100)), await sendFile(before, randomBytes(9 * MiB))]
  const all = (await named(backend)).length
  let puts = 0
  s3.intercept(({ method }, response) => {
    if (method !== 'PUT') return false
    puts += 1
    return puts > 1 && failS3(response, 503, 'SlowDown')
  })
  await expect(moveFiles(toS3, 's3')).rejects.toThrow('at S3: SlowDown')
  s3.intercept(undefined)
  for (const file of files) expect(await downloadFile(backend, file)).toBe(file.digest)

  // As a process leaves it that was killed after it copied a file and before it removed it.
  const { forNewFiles, earlier } = await openFileStorages(toS3)
  onTestFinished(() => [forNewFiles, earlier].forEach((each) => void each?.close()))
  const [half] = await tokensOf(earlier as FileStorage)
  await forNewFiles.keep(
    half as string,
    join(before.dataDir, 'files', (half as string).slice(0, 2), half as string),
  )
  const { moved } = await moveFiles(toS3, 's3')
  expect(moved).toBeGreaterThan(0)
  expect(await placesOf(backend, s3)).toEqual({ folder: [], s3: await named(backend) })
  expect(await named(backend)).toHaveLength(all)
  for (const file of files) expect(await downloadFile(backend, file)).toBe(file.digest)
  expect(await moveFiles(toS3, 's3')).toEqual({ moved: 0, bytes: 0, unnamed: 0, problems: [] })
})

test('a file whose message is deleted while it is copied is in neither place afterwards', async () => {
  const { s3, before, backend, toS3 } = await start()
  const file = await sendFile(before, randomBytes(100))
  s3.intercept(({ method, url }, response) => {
    if (method !== 'PUT' || url?.includes(file.token) !== true) return false
    s3.intercept(undefined)
    // Deleted by a server after the file was read and before its copy is stored.
    void backend
      .as('Ada')('DELETE', `${main}/${file.id}`)
      .then(() => failS3(response, 503, 'SlowDown'))
    return true
  })
  expect(await moveFiles(toS3, 's3')).toMatchObject({ unnamed: 0, problems: [] })
  const places = await placesOf(backend, s3)
  expect([...places.folder, ...places.s3]).not.toContain(file.token)
  expect(places).toEqual({ folder: [], s3: await named(backend) })
})

test('a copy that differs is removed, and the file stays where it was', async () => {
  const { s3, before, backend, toS3 } = await start()
  const file = await sendFile(before, randomBytes(100))
  s3.intercept(({ method, url }, response) => {
    if (method !== 'GET' || url?.includes(file.token) !== true) return false
    response.writeHead(200, { 'content-length': 100 }).end(Buffer.alloc(100))
    return true
  })
  await expect(moveFiles(toS3, 's3')).rejects.toThrow(`The copy of the file ${file.token} differs from it`)
  s3.intercept(undefined)
  const { folder, s3: moved } = await placesOf(backend, s3)
  expect(folder).toContain(file.token)
  expect(moved).not.toContain(file.token)
  expect(await downloadFile(backend, file)).toBe(file.digest)
})

test('a file that is damaged, and one that no message names, stay and are reported', async () => {
  const { s3, before, backend, toS3 } = await start()
  const damaged = await sendFile(before, randomBytes(100))
  const pathOf = (token: string) => join(before.dataDir, 'files', token.slice(0, 2), token)
  await truncate(pathOf(damaged.token), 99)
  const unnamed = damaged.token.slice(0, 2) + 'f'.repeat(30)
  await writeFile(pathOf(unnamed), 'left by a crash')
  expect(await moveFiles(toS3, 's3')).toMatchObject({
    unnamed: 1,
    problems: [`The file "a.bin" (${damaged.token}) has 99 bytes, not 100`],
  })
  expect((await placesOf(backend, s3)).folder).toEqual([damaged.token, unnamed].sort())
})

test('a file that is moved between two looks of a reader is found', async () => {
  const { s3, before, backend, toS3 } = await start()
  const file = await sendFile(before, randomBytes(100))
  let move: Promise<FileMove> | undefined
  s3.intercept(({ method }, response) => {
    if (method !== 'GET') return false
    s3.intercept(undefined)
    // S3 responds to the reader that it has no such file. Then the file is moved there, before the reader searches the folder.
    move = moveFiles(toS3, 's3')
    void move.then(() => failS3(response, 404, 'NoSuchKey'))
    return true
  })
  expect(await downloadFile(backend, file)).toBe(file.digest)
  expect((await move)?.moved).toBeGreaterThan(0)
})

test('files are only moved to where servers store new ones, and by one process at a time', async () => {
  const { s3, before, toS3, toFolder } = await start()
  await expect(moveFiles(before.location, 's3')).rejects.toThrow('S3_URL is not set')
  await expect(moveFiles(toFolder, 's3')).rejects.toThrow('FILE_STORAGE is "folder"')
  await expect(moveFiles(toS3, 'folder')).rejects.toThrow('FILE_STORAGE is "s3"')
  let second: Promise<unknown> | undefined
  s3.intercept(({ method }, response) => {
    if (method !== 'HEAD' || second !== undefined) return false
    second = moveFiles(toS3, 's3').catch((error: unknown) => error)
    void second.then(() => failS3(response, 503, 'SlowDown'))
    return true
  })
  await moveFiles(toS3, 's3')
  expect(await second).toMatchObject({ message: 'Another process moves files at the moment' })
})
