import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { eventually, startTestApp, type TestApp } from '../support/app.ts'
import type { Nick } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const main = { path: 'example/main' }

async function create(input: object, nick: Nick = 'Ada') {
  const query = `mutation ($input: CreateUploadInput!) { createUpload(input: $input) {
    __typename ... on CreateUploadPayload { url expiresAt } ... on UserError { code message path } } }`
  const { data, errors } = await app.graphql(nick, query, { input })
  expect(errors).toBeUndefined()
  return data.createUpload
}

async function put(url: string, body: BodyInit) {
  const response = await fetch(app.url + url, { method: 'PUT', body })
  return { status: response.status, json: await response.json() }
}

async function read(id: string, nick: Nick = 'Ada') {
  const query = `query ($id: ID!) { node(id: $id) { ... on FileMessage { tags uuid author { name } thread { id }
    flow { path } file { name contentType byteSize url } } } }`
  return (await app.graphql(nick, query, { id })).data.node
}

describe('a file is sent', () => {
  test('by an address for its bytes, which pass through unchanged', async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(60_000))
    const input = { flow: main, name: 'pä"ck.zip', contentType: 'application/zip', tags: ['#release', 'b'] }
    const { url, expiresAt } = await create(input)
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now())
    const { status, json } = await put(url, bytes)
    expect(status).toBe(201)
    const message = await read(json.data.messageId)
    expect(message).toMatchObject({
      tags: [':file', 'release', 'b'],
      author: { name: 'Ada Byron' },
      flow: main,
      file: { name: 'pä"ck.zip', contentType: 'application/zip', byteSize: 60_000 },
    })
    const answer = await fetch(app.url + message.file.url)
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes)
  })

  test('once, however often and at once its bytes are put to one address', async () => {
    const before = (await app.backend.as('Ada')('GET', '/flows/example/main/messages?event=file&limit=100'))
      .json
    const { url } = await create({ flow: main, name: 'once.txt', contentType: 'text/plain' })
    const both = await Promise.all([put(url, 'same'), put(url, 'same')])
    const later = await put(url, 'same')
    const { messageId } = later.json.data
    for (const { status, json } of [...both, later])
      expect([status, json.data.messageId]).toEqual([201, messageId])
    const after = (await app.backend.as('Ada')('GET', '/flows/example/main/messages?event=file&limit=100'))
      .json
    expect(after.length).toBe(before.length + 1)
    const { file } = await read(messageId)
    expect(await (await fetch(app.url + file.url)).text()).toBe('same')
    expect(await arrivingFiles(app.backend.dataDir)).toEqual([])
  })

  test('to a thread, and to a user in private', async () => {
    const { data } = await app.graphql(
      'Ada',
      '{ viewer { id } flow(by: { path: "example/main" }) { threads(first: 1) { nodes { id } } } }',
    )
    const [thread] = data.flow.threads.nodes
    const text = { name: 'a.txt', contentType: 'text/plain' }
    const inThread = await put((await create({ threadId: thread.id, ...text })).url, 'a')
    expect((await read(inThread.json.data.messageId)).thread).toEqual({ id: thread.id })
    const inPrivate = await put((await create({ userId: data.viewer.id, ...text }, 'Ben')).url, 'b')
    const query = `query ($id: ID!) { node(id: $id) { ... on FileMessage { conversation { user { nick } } } } }`
    const { data: found } = await app.graphql('Ben', query, { id: inPrivate.json.data.messageId })
    expect(found.node.conversation.user.nick).toBe('Ada')
  })

  test('at its whole length, without being held in memory', async () => {
    const { url } = await create({ flow: main, name: 'big.bin', contentType: 'application/octet-stream' })
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    const sum = createHash('sha256')
    for (let index = 0; index < 20; index += 1) sum.update(chunk)
    const stream = new ReadableStream({
      start: () => undefined,
      pull: (() => {
        let sent = 0
        return (controller: ReadableStreamDefaultController) => {
          if (sent++ < 20) controller.enqueue(chunk)
          else controller.close()
        }
      })(),
    })
    const response = await fetch(app.url + url, {
      method: 'PUT',
      body: stream,
      duplex: 'half',
    } as RequestInit)
    const { file } = await read((await response.json()).data.messageId)
    expect(file.byteSize).toBe(20 * 1024 * 1024)
    const stored = createHash('sha256')
    const download = await fetch(app.url + file.url)
    for await (const part of download.body as unknown as AsyncIterable<Uint8Array>) stored.update(part)
    expect(stored.digest('hex')).toBe(sum.digest('hex'))
  })
})

describe('a file is not sent', () => {
  const text = { flow: main, name: 'a.txt', contentType: 'text/plain' }
  const files = async () =>
    (await app.backend.as('Ada')('GET', '/flows/example/main/messages?event=file&limit=100')).json.length

  test('by an address that is none, or was changed', async () => {
    const { url } = await create(text)
    const changed = url.replace(/.$/, (last: string) => (last === 'A' ? 'B' : 'A'))
    expect((await put(changed, 'a')).json.errors[0].extensions.code).toBe('NOT_FOUND')
    expect((await put(`/uploads/${'x'.repeat(150)}`, 'a')).json.errors[0].extensions.code).toBe('NOT_FOUND')
  })

  test('past its length, and nothing of it stays', async () => {
    const before = await files()
    const { url } = await create(text)
    const response = await fetch(app.url + url, {
      method: 'PUT',
      headers: { 'x-note': 'too long' },
      body: new Blob([new Uint8Array(101 * 1024 * 1024)]),
    })
    expect([response.status, (await response.json()).errors[0].extensions.code]).toEqual([
      413,
      'LIMIT_EXCEEDED',
    ])
    expect(await files()).toBe(before)
  })

  test('by a client that leaves half-way', async () => {
    const before = await files()
    const { url } = await create(text)
    const outgoing = request(app.url + url, { method: 'PUT', headers: { 'content-length': 1_000_000 } })
    outgoing.on('error', () => undefined)
    await new Promise<void>((resolve) => outgoing.write('x'.repeat(200_000), () => resolve()))
    outgoing.destroy()
    await eventually(async () => (await arrivingFiles(app.backend.dataDir)).length === 0)
    expect(await files()).toBe(before)
  })

  test.each<[string, object, object]>([
    ['without a name', { ...text, name: ' ' }, { path: ['input', 'name'] }],
    ['with a type that is none', { ...text, contentType: 'nonsense' }, { path: ['input', 'contentType'] }],
    ['to nowhere', { name: 'a', contentType: 'text/plain' }, { path: ['input'] }],
    ['to a flow that is not there by its id', { ...text, flow: { databaseId: 'x' } }, { code: 'NOT_FOUND' }],
  ])('%s', async (_, input, failure) => {
    expect(await create(input)).toMatchObject(failure)
  })

  test('with tags that do not fit into an address', async () => {
    const tags = Array.from({ length: 100 }, (_, index) => `${index}`.padEnd(100, 'x'))
    expect(await create({ ...text, tags })).toMatchObject({ path: ['input', 'tags'] })
  })

  test('to a flow one is not in, as its bytes come', async () => {
    const { url } = await create({ ...text, flow: { path: 'example/engineering' } }, 'Cleo')
    const { status, json } = await put(url, 'a')
    expect([status, json.errors[0].extensions.code]).toEqual([403, 'FORBIDDEN'])
  })
})

test('a file may take longer than a minute to arrive, an operation may not', async () => {
  const { url } = await create({ flow: main, name: 'slow.txt', contentType: 'text/plain' })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  /** Sends half a body to a server that has begun to read it. */
  const begin = async (path: string, method: string, type: string) => {
    const sending = request(app.url + path, {
      method,
      headers: { 'content-type': type, 'content-length': 4, expect: '100-continue' },
    })
    const status = new Promise((resolve, reject) => {
      sending.once('response', (response) => resolve(response.resume().statusCode))
      sending.once('error', reject)
    })
    await new Promise((resolve) => sending.once('continue', resolve))
    sending.write('{}')
    return { sending, status }
  }
  const file = await begin(url, 'PUT', 'text/plain')
  const operation = await begin('/graphql', 'POST', 'application/json')
  vi.advanceTimersByTime(60_000)
  expect(await operation.status).toBe(408)
  file.sending.end('{}')
  expect(await file.status).toBe(201)
})
