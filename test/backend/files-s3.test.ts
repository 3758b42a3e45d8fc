import { randomBytes } from 'node:crypto'
import { readdir, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkData } from '../../src/backend/admin/maintenance.ts'
import { FileStorageError } from '../../src/backend/file-storage.ts'
import { openS3Storage, type S3Timeouts } from '../../src/backend/files-s3.ts'
import { basic, makeFolder, startTestBackend, type TestBackend } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'
import { failS3, startS3, type TestS3 } from '../support/s3.ts'

const MiB = 1024 * 1024
const main = '/flows/example/main/messages'

/** A backend whose files are at S3, and the failures that it reported. */
async function start(): Promise<{ s3: TestS3; backend: TestBackend; failures: unknown[] }> {
  const s3 = await startS3()
  const failures: unknown[] = []
  const backend = await startTestBackend({ s3: s3.location, onError: (error) => failures.push(error) })
  onTestFinished(backend.close)
  return { s3, backend, failures }
}

async function send(
  backend: TestBackend,
  bytes: Uint8Array<ArrayBuffer>,
  type = 'application/octet-stream',
  uuid = '',
) {
  const form = new FormData()
  form.append('event', 'file')
  if (uuid !== '') form.append('uuid', uuid)
  form.append('content', new Blob([bytes], { type }), 'file.bin')
  const response = await fetch(backend.url + main, {
    method: 'POST',
    headers: { authorization: basic(await backend.token('Ada')) },
    body: form,
  })
  return { status: response.status, json: await response.json() }
}

async function download(backend: TestBackend, path: string, headers = {}): Promise<Response> {
  return fetch(backend.url + path, {
    headers: { authorization: basic(await backend.token('Ada')), ...headers },
  })
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const filesOf = async (backend: TestBackend) =>
  (await backend.as('Ada')('GET', `${main}?event=file&limit=100`)).json.length

describe('with files at S3', () => {
  test('a file and its thumbnail are stored there, read from there and deleted there', async () => {
    const { s3, backend, failures } = await start()
    const image = await sharp({ create: { width: 400, height: 300, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
    const { status, json } = await send(backend, image, 'image/png')
    expect(status).toBe(201)
    expect(Buffer.from(await (await download(backend, json.content.path)).arrayBuffer())).toEqual(image)
    const thumbnail = await download(backend, json.content.thumbnail.path)
    expect((await sharp(await thumbnail.arrayBuffer()).metadata()).width).toBe(100)
    const part = await download(backend, json.content.path, { range: 'bytes=1-3' })
    expect([part.status, await part.text(), part.headers.get('content-range')]).toEqual([
      206,
      'PNG',
      `bytes 1-3/${image.length}`,
    ])

    expect((await backend.as('Ada')('DELETE', `${main}/${json.id}`)).status).toBe(204)
    expect((await download(backend, json.content.path)).status).toBe(404)
    const storage = openS3Storage(s3.location)
    expect(await all(storage.list())).toHaveLength(await demoFiles(backend))
    storage.close()
    // The key of signatures and what arrives: no file of a message is on the disk.
    expect(await arrivingFiles(backend.dataDir)).toEqual([])
    expect((await readdir(join(backend.dataDir, 'files'))).sort()).toEqual(['incoming', 'signing-key'])
    expect(failures).toEqual([])
  })

  test('a long file is sent in parts and read back by another backend', async () => {
    const { s3, backend } = await start()
    const bytes = randomBytes(20 * MiB)
    const { json } = await send(backend, bytes)
    const parts = s3.requests.filter((request) => request.includes('partNumber='))
    expect(parts).toHaveLength(3)
    const other = await startTestBackend({ ...backend.location })
    onTestFinished(other.close)
    const read = Buffer.from(await (await download(other, json.content.path)).arrayBuffer())
    expect(read.equals(bytes)).toBe(true)
  })

  test('a backend with another DATA_DIR and the same secret serves the addresses of this one, with another secret it does not', async () => {
    const s3 = await startS3()
    const first = await startTestBackend({ s3: s3.location, signingSecrets: ['one secret'] })
    onTestFinished(first.close)
    const { json } = await send(first, Buffer.from('signed'))
    const redirect = await fetch(first.url + json.content.path, {
      headers: { authorization: basic(await first.token('Ada')) },
      redirect: 'manual',
    })
    const signed = (redirect.headers.get('location') ?? '').replace(first.url, '')
    const read = async (signingSecrets: string[]) => {
      const dataDir = await makeFolder()
      const databaseUrl = first.location.databaseUrl
      // On SQLite the database is in the folder.
      const files = databaseUrl === undefined ? first.dataDir : dataDir
      const other = await startTestBackend({ dataDir: files, databaseUrl, s3: s3.location, signingSecrets })
      const response = await fetch(other.url + signed)
      const text = await response.text()
      await other.close()
      return response.status === 200 ? text : response.status
    }
    expect(await read(['one secret'])).toBe('signed')
    expect(await read(['new secret', 'one secret'])).toBe('signed')
    expect(await read(['new secret'])).toBe(403)
  })

  test('files that were stored in DATA_DIR before are still read, and are deleted there', async () => {
    const earlier = await startTestBackend()
    onTestFinished(earlier.close)
    const { json } = await send(earlier, Buffer.from('of before'))
    const folder = join(earlier.dataDir, 'files', json.content.path.split('/')[3].slice(0, 2))
    expect(await readdir(folder)).toHaveLength(1)
    const failures: unknown[] = []
    const backend = await startTestBackend({
      ...earlier.location,
      s3: (await startS3()).location,
      onError: (error) => failures.push(error),
    })
    onTestFinished(backend.close)
    expect(await (await download(backend, json.content.path)).text()).toBe('of before')
    expect(await checkData(backend.location)).toEqual({ problems: [], repaired: [] })

    const lost = await send(earlier, Buffer.from('lost'))
    await rm(join(earlier.dataDir, 'files', lost.json.content.path.split('/')[3].slice(0, 2)), {
      recursive: true,
    })
    expect((await download(backend, lost.json.content.path)).status).toBe(404)
    expect(failures).toMatchObject([{ name: 'FileMissingError' }])
    await backend.as('Ada')('DELETE', `${main}/${json.id}`)
    expect(await readdir(folder).catch(() => [])).toEqual([])
  })
})

/** Files that the demo organization begins with. */
async function demoFiles(backend: TestBackend): Promise<number> {
  const rows = await backend.store.reader.selectFrom('files').select('token').execute()
  return rows.length
}

type Fault = (request: IncomingMessage, response: ServerResponse) => boolean

describe('while S3 fails', () => {
  test.each<[string, Fault]>([
    ['with an error', (_, response) => failS3(response, 500, 'InternalError')],
    ['because the credentials are wrong', (_, response) => failS3(response, 403, 'InvalidAccessKeyId')],
    ['by closing connections', (request) => request.socket.destroy() !== undefined],
    [
      'in the middle of a part',
      ({ url }, response) => url?.includes('partNumber=2') === true && failS3(response, 500, 'InternalError'),
    ],
    [
      'after all parts, with an error in a response of 200',
      ({ url, method }, response) =>
        method === 'POST' && url?.includes('uploadId=') === true && failS3(response, 200, 'InternalError'),
    ],
  ])('%s, a file is refused, nothing of it stays, and later ones are stored', async (_, fault) => {
    const { s3, backend, failures } = await start()
    const before = [await filesOf(backend), await demoFiles(backend)]
    s3.intercept(fault)
    const refused = await send(backend, randomBytes(17 * MiB))
    expect([refused.status, refused.json]).toEqual([
      503,
      { message: 'The file storage cannot be used at the moment' },
    ])
    expect(failures[0]).toBeInstanceOf(FileStorageError)
    expect(await arrivingFiles(backend.dataDir)).toEqual([])
    expect([await filesOf(backend), await demoFiles(backend)]).toEqual(before)
    // Text needs no storage of files.
    const text = { event: 'message', content: 'still here' }
    expect((await backend.as('Ada')('POST', main, text)).status).toBe(201)

    s3.intercept(undefined)
    const storage = openS3Storage(s3.location)
    onTestFinished(() => storage.close())
    expect(await all(storage.list())).toHaveLength(before[1] ?? 0)
    const sent = await send(backend, Buffer.from('later'))
    expect(await (await download(backend, sent.json.content.path)).text()).toBe('later')
  })

  test('twice, a file is sent a third time and stored once', async () => {
    const { s3, backend, failures } = await start()
    let left = 2
    s3.intercept((_, response) => {
      left -= 1
      return left >= 0 && failS3(response, 503, 'SlowDown')
    })
    const { status, json } = await send(backend, Buffer.from('at last'))
    expect(status).toBe(201)
    expect(await (await download(backend, json.content.path)).text()).toBe('at last')
    expect(failures).toEqual([])
  })

  test('after it stored a file and before it said so, the message is sent again and is one message', async () => {
    const { s3, backend } = await start()
    s3.intercept((request, response) => {
      // The file arrives whole; the response does not.
      if (request.method === 'PUT') response.writeHead = () => response.destroy() as never
      return false
    })
    expect((await send(backend, Buffer.from('once'), undefined, 'one')).status).toBe(503)
    s3.intercept(undefined)
    const sent = await send(backend, Buffer.from('once'), undefined, 'one')
    const again = await send(backend, Buffer.from('once'), undefined, 'one')
    expect([sent.status, again.status, again.json.id]).toEqual([201, 201, sent.json.id])
    expect(await (await download(backend, sent.json.content.path)).text()).toBe('once')
  })

  test('a read is refused before it begins, and a message is deleted all the same', async () => {
    const { s3, backend, failures } = await start()
    const { json } = await send(backend, Buffer.from('x'))
    s3.intercept((_, response) => failS3(response, 500, 'InternalError'))
    expect((await download(backend, json.content.path)).status).toBe(503)
    expect((await backend.as('Ada')('DELETE', `${main}/${json.id}`)).status).toBe(204)
    expect(failures.every((failure) => failure instanceof FileStorageError)).toBe(true)
    expect((await download(backend, json.content.path)).status).toBe(404)

    s3.intercept(undefined)
    const later = { now: () => Date.now() + 11 * 60_000 }
    expect((await checkData(backend.location, false, later.now())).problems).toEqual([
      expect.stringMatching(/^The file [0-9a-f]{32} belongs to no message$/),
    ])
    expect((await checkData(backend.location, true, later.now())).repaired).toHaveLength(1)
    expect(await checkData(backend.location, false, later.now())).toEqual({ problems: [], repaired: [] })
  })

  test('in the middle of a read, the reader sees that the file is not whole', async () => {
    const { s3, backend } = await start()
    const { json } = await send(backend, randomBytes(5 * MiB))
    s3.intercept((_, response) => {
      response.writeHead(200, { 'content-length': 5 * MiB }).write(randomBytes(MiB), () => response.destroy())
      return true
    })
    const response = await download(backend, json.content.path)
    expect(response.status).toBe(200)
    await expect(response.arrayBuffer()).rejects.toThrow()
  })
})

test('a file that is shorter at S3 than it was ends the download with an error, and is reported', async () => {
  const { s3, backend, failures } = await start()
  const { json } = await send(backend, randomBytes(100))
  s3.intercept(
    (_, response) => response.writeHead(200, { 'content-length': 50 }).end(randomBytes(50)) !== null,
  )
  const response = await download(backend, json.content.path)
  await expect(response.arrayBuffer()).rejects.toThrow()
  expect(failures).toMatchObject([
    { message: expect.stringMatching(/^The file [0-9a-f]{32} has 50 bytes where 100 were expected$/) },
  ])
})

describe('a storage at S3', () => {
  async function open(timeouts: Partial<S3Timeouts> = {}) {
    const s3 = await startS3()
    const storage = openS3Storage(s3.location, timeouts)
    onTestFinished(() => storage.close())
    const path = join(await makeFolder(), 'file')
    await writeFile(path, randomBytes(100))
    return { s3, storage, path }
  }

  test('that does not respond fails after the time that it has for a request', async () => {
    const { s3, storage, path } = await open({ requestMs: 20 })
    s3.intercept(() => true)
    const doing = [
      storage.keep('a'.repeat(32), path),
      storage.open('a'.repeat(32)),
      storage.remove('a'.repeat(32)),
      storage.sizeOf('a'.repeat(32)),
      all(storage.list()),
    ]
    for (const outcome of await Promise.allSettled(doing))
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { name: 'FileStorageError', message: expect.stringMatching(/^Cannot .* at S3: ETIMEDOUT$/) },
      })
  })

  test('that stops in the middle of a file fails after the time without a byte', async () => {
    const { s3, storage, path } = await open({ idleMs: 20 })
    await storage.keep('a'.repeat(32), path)
    s3.intercept((_, response) => response.writeHead(200, { 'content-length': 100 }).write('begun'))
    const reading = (await storage.open('a'.repeat(32))).toArray()
    await expect(reading).rejects.toThrow('no byte came for 20 ms')
  })

  test('that is slow for a reader who is slower does not fail', async () => {
    const { storage, path } = await open({ idleMs: 300 })
    await writeFile(path, randomBytes(5 * MiB))
    await storage.keep('a'.repeat(32), path)
    const reader = (await storage.open('a'.repeat(32)))[Symbol.asyncIterator]()
    let length = (await reader.next()).value.length
    // Longer than a byte may take to come: they are all there.
    await new Promise((resolve) => setTimeout(resolve, 600))
    for (let next = await reader.next(); next.done !== true; next = await reader.next())
      length += next.value.length
    expect(length).toBe(5 * MiB)
  })

  test('that cannot be reached, or has no such bucket, says so', async () => {
    const { s3, storage, path } = await open()
    const elsewhere = openS3Storage({ ...s3.location, url: 'http://127.0.0.1:9/files' })
    const unknown = openS3Storage({ ...s3.location, url: `${s3.location.url}-unknown` })
    onTestFinished(() => [elsewhere, unknown].forEach((each) => void each.close()))
    await expect(elsewhere.keep('a'.repeat(32), path)).rejects.toThrow(
      'Cannot store a file at S3: ECONNREFUSED',
    )
    await expect(unknown.keep('a'.repeat(32), path)).rejects.toThrow('NoSuchBucket')
    await expect(unknown.open('a'.repeat(32))).rejects.toThrow('NoSuchBucket')
    const stranger = openS3Storage({
      ...s3.location,
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'another' },
    })
    onTestFinished(() => stranger.close())
    await expect(stranger.keep('a'.repeat(32), path)).rejects.toThrow('SignatureDoesNotMatch')
    await expect(storage.keep('a'.repeat(32), path)).resolves.toBeUndefined()
  })

  test('gives up what a part failed of, and removes what was left unfinished a day ago', async () => {
    const { s3, storage, path } = await open()
    await writeFile(path, randomBytes(9 * MiB))
    s3.intercept(
      ({ url }, response) => url?.includes('partNumber=2') === true && failS3(response, 403, 'AccessDenied'),
    )
    await expect(storage.keep('a'.repeat(32), path)).rejects.toThrow('AccessDenied')
    expect(s3.requests.at(-1)).toMatch(/^DELETE \/files\/a{32}\?.*uploadId=/)

    const upload = (key: string, initiated: string) =>
      `<Upload><Key>${key}</Key><UploadId>${key}</UploadId><Initiated>${initiated}</Initiated></Upload>`
    s3.intercept(({ method, url }, response) => {
      if (url?.includes('uploads') !== true) return response.writeHead(204).end() !== undefined
      expect(method).toBe('GET')
      response
        .writeHead(200, { 'content-type': 'application/xml' })
        .end(
          `<ListMultipartUploadsResult>${upload('old', '2026-01-01T10:00:00.000Z')}${upload('new', '2026-01-01T12:00:00.000Z')}</ListMultipartUploadsResult>`,
        )
      return true
    })
    await storage.removeUnfinished(Date.parse('2026-01-01T11:00:00.000Z'))
    expect(s3.requests.filter((request) => request.startsWith('DELETE')).slice(1)).toEqual([
      expect.stringMatching(/^DELETE \/files\/old\?.*uploadId=old/),
    ])
  })

  test('is not asked again for unfinished files if it does not support them', async () => {
    const { storage } = await open()
    await expect(storage.removeUnfinished(Date.now())).resolves.toBeUndefined()
  })
})
