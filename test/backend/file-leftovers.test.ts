import { once } from 'node:events'
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { openFileStore } from '../../src/backend/files.ts'
import { eventually } from '../support/app.ts'
import { basic, makeFolder, startTestBackend } from '../support/backend.ts'
import { makeDatabase } from '../support/database.ts'
import { arrivingFiles } from '../support/files.ts'

const hourMs = 3600_000
const databaseId = '0'.repeat(32)

async function ageBy(path: string, ms: number): Promise<void> {
  const { mtimeMs } = await stat(path)
  await utimes(path, new Date(), new Date(mtimeMs - ms))
}

const one = () => Readable.from([Buffer.from('some bytes')])

test('a second backend on the same folder starts, keeps house and stops, and an upload at the first goes on', async () => {
  const dataDir = await makeFolder()
  const database = await makeDatabase()
  onTestFinished(async () => database?.drop())
  const location = { dataDir, databaseUrl: database?.url }
  const first = await startTestBackend(location)
  onTestFinished(first.close)
  const sending = request(`${first.url}/flows/example/main/messages`, {
    method: 'POST',
    headers: {
      authorization: basic(await first.token('Ada')),
      'content-type': 'multipart/form-data; boundary=x',
    },
  })
  const response = once(sending, 'response') as Promise<[IncomingMessage]>
  sending.write(
    '--x\r\nContent-Disposition: form-data; name="event"\r\n\r\nfile\r\n' +
      '--x\r\nContent-Disposition: form-data; name="content"; filename="a.txt"\r\n\r\nfirst half',
  )
  await eventually(async () => (await arrivingFiles(dataDir)).length === 1)

  const second = await startTestBackend(location)
  await second.close()
  const third = await startTestBackend(location)
  onTestFinished(third.close)
  sending.end(', second half\r\n--x--\r\n')

  const [answer] = await response
  expect(answer.statusCode).toBe(201)
  const { content } = JSON.parse(Buffer.concat(await answer.toArray()).toString())
  const read = await fetch(third.url + content.path, {
    headers: { authorization: basic(await third.token('Ada')) },
  })
  expect(await read.text()).toBe('first half, second half')
})

test('what a process left is removed when it is a day old, and nothing younger is', async () => {
  const dataDir = await makeFolder()
  const files = join(dataDir, 'files')
  const gone = await openFileStore({ dataDir }, databaseId)
  const going = await openFileStore({ dataDir }, databaseId)
  await gone.receive(one(), 100)
  const [left = ''] = await arrivingFiles(dataDir)
  const { token } = await going.receive(one(), 100)
  // A version that had no folders for processes left it.
  const loose = join(files, 'incoming', 'f'.repeat(32))
  await writeFile(loose, 'bytes')
  for (const path of [left, dirname(left), loose]) await ageBy(path, 23 * hourMs)
  await going.removeLeftovers(Date.now())
  expect(await arrivingFiles(dataDir)).toHaveLength(3)

  await going.removeLeftovers(Date.now() + 2 * hourMs)
  expect(await arrivingFiles(dataDir)).toEqual([expect.stringContaining(token)])
  expect(await readdir(join(files, 'incoming'))).toHaveLength(1)
  await going.keep(token)
  expect(Buffer.concat(await (await going.open(token)).toArray()).toString()).toBe('some bytes')
})

test('a process that received nothing for a day goes on after another removed its folder', async () => {
  const dataDir = await makeFolder()
  const files = join(dataDir, 'files')
  const idle = await openFileStore({ dataDir }, databaseId)
  const other = await openFileStore({ dataDir }, databaseId)
  await idle.discard((await idle.receive(one(), 100)).token)
  await other.removeLeftovers(Date.now() + 25 * hourMs)
  expect(await readdir(join(files, 'incoming'))).toEqual([])

  const { token } = await idle.receive(one(), 100)
  await idle.keep(token)
  expect(Buffer.concat(await (await other.open(token)).toArray()).toString()).toBe('some bytes')
})

test('a process that stops removes what it received and did not keep, and its folder', async () => {
  const dataDir = await makeFolder()
  const stopping = await openFileStore({ dataDir }, databaseId)
  const other = await openFileStore({ dataDir }, databaseId)
  await stopping.receive(one(), 100)
  const { token } = await other.receive(one(), 100)
  await stopping.close()
  expect(await arrivingFiles(dataDir)).toEqual([expect.stringContaining(token)])
})

test('processes that start together sign with one key', async () => {
  const dataDir = await makeFolder()
  const files = join(dataDir, 'files')
  const stores = await Promise.all(Array.from({ length: 5 }, () => openFileStore({ dataDir }, databaseId)))
  const query = new URLSearchParams(stores[0]?.sign('a'.repeat(32)))
  expect(stores.map((store) => store.verify('a'.repeat(32), query))).toEqual(stores.map(() => true))
  expect((await readdir(files)).sort()).toEqual(['incoming', 'signing-key'])
})

test('a signing key that was cut short is refused, because others could guess it', async () => {
  const dataDir = await makeFolder()
  const files = join(dataDir, 'files')
  await mkdir(files, { recursive: true })
  await writeFile(join(files, 'signing-key'), '')
  await expect(openFileStore({ dataDir }, databaseId)).rejects.toThrow('is damaged')
})
