import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startFauxqs } from 'fauxqs'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { FileMissingError, type FileStorage, type MarkedStorage } from '../../src/backend/file-storage.ts'
import { openFolderStorage } from '../../src/backend/files-folder.ts'
import { openS3Storage } from '../../src/backend/files-s3.ts'
import { makeFolder } from '../support/backend.ts'
import { startS3 } from '../support/s3.ts'

/* What every storage of files promises. */

const MiB = 1024 * 1024
const newToken = () => randomBytes(16).toString('hex')

async function read(storage: FileStorage, token: string, start?: number, end?: number): Promise<Buffer> {
  const range = start === undefined || end === undefined ? undefined : { start, end }
  return Buffer.concat(await (await storage.open(token, range)).toArray())
}

async function listed(
  storage: FileStorage,
): Promise<{ token: string; byteSize: number; storedAt: number }[]> {
  const files = []
  for await (const file of storage.list()) files.push(file)
  return files.sort((a, b) => (a.token < b.token ? -1 : 1))
}

describe.each([
  [
    'a folder',
    1050,
    async () => {
      const directory = join(await makeFolder(), 'files')
      return () => openFolderStorage(directory)
    },
  ],
  [
    // It encrypts where the next page begins by an algorithm that OpenSSL does not have any more.
    'S3, by a server that compares signatures',
    50,
    async () => {
      const { location } = await startS3()
      return () => openS3Storage(location)
    },
  ],
  [
    'S3, below a prefix',
    50,
    async () => {
      const { location } = await startS3()
      return () => openS3Storage({ ...location, url: `${location.url}/team/a b` })
    },
  ],
  [
    'S3, by another server',
    1050,
    async () => {
      const server = await startFauxqs({ port: 0, logger: false, init: { buckets: ['files'] } })
      onTestFinished(() => server.stop())
      const credentials = { accessKeyId: 'any', secretAccessKey: 'any' }
      return () =>
        openS3Storage({ url: `http://127.0.0.1:${server.port}/files`, region: 'us-east-1', credentials })
    },
  ],
] as const)('files in %s', (_, many, prepare) => {
  let openStorage: () => MarkedStorage
  let storage: MarkedStorage
  let arriving: string

  beforeEach(async () => {
    openStorage = await prepare()
    storage = openStorage()
    arriving = join(await makeFolder(), 'files')
    await mkdir(arriving)
    return () => storage.close()
  })

  async function keep(bytes: Uint8Array, token = newToken()): Promise<string> {
    const path = join(arriving, token)
    await writeFile(path, bytes)
    await storage.keep(token, path)
    return token
  }

  test('are read as they were kept, whole and in ranges', async () => {
    const bytes = randomBytes(100_000)
    const token = await keep(bytes)
    expect((await read(storage, token)).equals(bytes)).toBe(true)
    expect((await read(storage, token, 0, 1)).equals(bytes.subarray(0, 2))).toBe(true)
    expect((await read(storage, token, 70_000, 99_999)).equals(bytes.subarray(70_000))).toBe(true)
    expect(await storage.sizeOf(token)).toBe(100_000)
  })

  test('may be empty', async () => {
    const token = await keep(new Uint8Array())
    expect(await storage.sizeOf(token)).toBe(0)
    expect((await read(storage, token)).length).toBe(0)
  })

  test.each([
    ['one byte shorter than a part', 8 * MiB - 1],
    ['as long as a part', 8 * MiB],
    ['of several parts', 30 * MiB + 1],
  ])('may be %s', async (_, length) => {
    const bytes = randomBytes(length)
    const token = await keep(bytes)
    const hash = createHash('sha256')
    for await (const chunk of await storage.open(token)) hash.update(chunk)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
    const [start, end] = [8 * MiB - 5, Math.min(8 * MiB + 4, length - 1)]
    if (start <= end)
      expect((await read(storage, token, start, end)).equals(bytes.subarray(start, end + 1))).toBe(true)
  })

  test('are there for every process that uses the storage', async () => {
    const token = await keep(Buffer.from('shared'))
    const other = openStorage()
    expect((await read(other, token)).toString()).toBe('shared')
    await other.remove(token)
    other.close()
    expect(await storage.sizeOf(token)).toBeUndefined()
  })

  test('are missing when they were never kept, or removed; removing one twice is no error', async () => {
    await expect(storage.open(newToken())).rejects.toThrow(FileMissingError)
    expect(await storage.sizeOf(newToken())).toBeUndefined()
    const token = await keep(Buffer.from('x'))
    await storage.remove(token)
    await storage.remove(token)
    await expect(storage.open(token)).rejects.toThrow(FileMissingError)
    expect(await listed(storage)).toEqual([])
  })

  test('are listed with their sizes and times, each once, however many there are', async () => {
    const begun = Date.now()
    const kept = new Map<string, number>()
    for (let batch = 0; batch < many / 50; batch += 1)
      await Promise.all(
        Array.from({ length: 50 }, async (_, size) => kept.set(await keep(new Uint8Array(size)), size)),
      )
    const files = await listed(storage)
    expect(files.map(({ token, byteSize }) => [token, byteSize])).toEqual(
      [...kept].sort(([a], [b]) => (a < b ? -1 : 1)),
    )
    // Times of S3 have no milliseconds.
    for (const { storedAt } of files) {
      expect(storedAt).toBeGreaterThan(begun - 2000)
      expect(storedAt).toBeLessThan(Date.now() + 2000)
    }
  })

  test('fail to be kept when they are not there', async () => {
    const token = newToken()
    await expect(storage.keep(token, join(arriving, token))).rejects.toThrow('ENOENT')
    expect(await storage.sizeOf(token)).toBeUndefined()
  })

  test('can be read by several at once, and by one that leaves half-way', async () => {
    const bytes = randomBytes(3 * MiB)
    const token = await keep(bytes)
    const leaving = await storage.open(token)
    await leaving[Symbol.asyncIterator]().next()
    leaving.destroy()
    const all = await Promise.all(Array.from({ length: 20 }, () => read(storage, token)))
    expect(all.every((each) => each.equals(bytes))).toBe(true)
  })

  test('have marks of the databases that store them, which are no files', async () => {
    expect(await storage.listMarks()).toEqual([])
    // A place without files has no folder.
    await keep(Buffer.from('x'))
    const [one, other] = [newToken(), newToken()]
    for (const id of [one, other, one]) await storage.mark(id)
    expect((await storage.listMarks()).sort()).toEqual([one, other].sort())
    expect(await listed(storage)).toHaveLength(1)
  })

  test('that are whole are not removed with unfinished ones', async () => {
    const token = await keep(Buffer.from('whole'))
    await storage.removeUnfinished(Date.now() + 1000)
    expect((await read(storage, token)).toString()).toBe('whole')
  })
})

test('a file that another process wrote beside them is no file', async () => {
  const directory = join(await makeFolder(), 'files')
  await mkdir(join(directory, 'ab'), { recursive: true })
  const file = await open(join(directory, 'ab', 'note.txt'), 'w')
  await file.close()
  expect(await listed(openFolderStorage(directory))).toEqual([])
})
