import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { IncomingMessage, request } from 'node:http'
import { Socket } from 'node:net'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HttpError } from '../../src/backend/http/errors.ts'
import { nodeBody, readParams } from '../../src/backend/http/request-body.ts'
import { eventually } from '../support/app.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'

let backend: TestBackend

beforeAll(async () => {
  backend = await startTestBackend()
})
afterAll(() => backend.close())

const main = '/flows/example/main/messages'

async function upload(
  parts: [name: string, value: string | Blob, fileName?: string][],
  path = main,
  nick: 'Ada' | 'Cleo' = 'Ada',
) {
  const form = new FormData()
  for (const [name, value, fileName] of parts) {
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, value, fileName)
  }
  const response = await fetch(backend.url + path, {
    method: 'POST',
    headers: { authorization: basic(await backend.token(nick)) },
    body: form,
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
}

async function download(path: string): Promise<Response> {
  return fetch(backend.url + path, { headers: { authorization: basic(await backend.token('Ada')) } })
}

/** Files that came and were not kept. */
const incoming = () => arrivingFiles(backend.dataDir)

test('a multipart upload is stored as it came, with its name and type', async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(60_000))
  const { status, json } = await upload([
    ['event', 'file'],
    ['tags', 'a,b'],
    ['content', new Blob([bytes], { type: 'application/zip' }), 'päck "1".zip'],
  ])
  expect(status).toBe(201)
  expect(json).toMatchObject({
    event: 'file',
    tags: [':file', 'a', 'b'],
    content: { file_name: 'päck "1".zip', content_type: 'application/zip', file_size: 60_000 },
  })
  const answer = await download(json.content.path)
  expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes)
  expect(answer.headers.get('content-disposition')).toBe(
    `attachment; filename="p?ck \\"1\\".zip"; filename*=UTF-8''p%C3%A4ck%20%221%22.zip`,
  )
  expect(await incoming()).toEqual([])
})

test('an image says how large it is; what only pretends to be one does not', async () => {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==',
    'base64',
  )
  const real = await upload([
    ['event', 'file'],
    ['content', new Blob([png], { type: 'image/png' }), 'dot.png'],
  ])
  expect(real.json.content.image).toEqual({ width: 3, height: 2 })
  const fake = await upload([
    ['event', 'file'],
    ['content', new Blob(['no image'], { type: 'image/png' }), 'fake.png'],
  ])
  expect(fake.json.content.image).toBeUndefined()
})

test.each([
  ['../../etc/passwd', '.._.._etc_passwd'],
  ['a\u0000b\nc', 'a_b_c'],
  ['..', 'file'],
])('a file named %j is kept under a name that is no path', async (given, kept) => {
  const content = { data: btoa('x'), file_name: given, content_type: 'not a type' }
  const response = await backend.as('Ada')('POST', main, { event: 'file', content })
  expect(response.json.content).toMatchObject({ file_name: kept, content_type: 'application/octet-stream' })
  expect(await (await download(response.json.content.path)).text()).toBe('x')
})

test('a refused upload leaves no files', async () => {
  const file: [string, Blob, string] = ['content', new Blob(['x'.repeat(100_000)]), 'x.txt']
  expect((await upload([['event', 'nonsense'], file])).status).toBe(400)
  expect(
    (await upload([['event', 'file'], file], '/flows/example/engineering/messages', 'Cleo')).status,
  ).toBe(403)
  expect(
    (
      await upload([
        ['event', 'message'],
        ['content', 'just text'],
      ])
    ).json.content,
  ).toBe('just text')
  expect((await upload([['event', 'file'], ...Array.from({ length: 6 }, () => file)])).status).toBe(413)
  await eventually(async () => (await incoming()).length === 0)
})

test('a client that leaves during an upload leaves no files, and the server goes on', async () => {
  const authorization = basic(await backend.token('Ada'))
  const before = (await backend.as('Ada')('GET', `${main}?event=file&limit=100`)).json.length
  for (const sent of [10, 120, 5000]) {
    const outgoing = request(`${backend.url}${main}`, {
      method: 'POST',
      headers: {
        authorization,
        'content-type': 'multipart/form-data; boundary=b',
        'content-length': 1_000_000,
      },
    })
    outgoing.on('error', () => undefined)
    const head = '--b\r\ncontent-disposition: form-data; name="content"; filename="x"\r\n\r\n'
    await new Promise<void>((resolve) =>
      outgoing.write(`${head}${'x'.repeat(10_000)}`.slice(0, sent), () => resolve()),
    )
    outgoing.destroy()
  }
  await eventually(async () => (await incoming()).length === 0)
  expect((await backend.as('Ada')('GET', `${main}?event=file&limit=100`)).json).toHaveLength(before)
})

test.each(['multipart/form-data', 'multipart/form-data; boundary='])(
  'a body that is no %s is refused',
  async (type) => {
    const response = await fetch(backend.url + main, {
      method: 'POST',
      headers: { authorization: basic(await backend.token('Ada')), 'content-type': type },
      body: 'nothing of the kind',
    })
    expect(response.status).toBe(400)
  },
)

test('an image has a thumbnail of at most 100 pixels, for members only, as large as it says', async () => {
  const bytes = await sharp({ create: { width: 640, height: 360, channels: 3, background: 'teal' } })
    .jpeg()
    .toBuffer()
  for (const [path, other] of [
    [main, 'Cleo'],
    ['/private/2/messages', 'Cleo'],
    ['/flows/example/engineering/messages', 'Cleo'],
  ] as const) {
    const { json } = await upload(
      [
        ['event', 'file'],
        ['content', new Blob([new Uint8Array(bytes)], { type: 'image/jpeg' }), 'wide one.jpg'],
      ],
      path,
    )
    const { thumbnail, image } = json.content
    expect(image).toEqual({ width: 640, height: 360 })
    expect(thumbnail).toMatchObject({ width: 100, height: 56 })
    expect(thumbnail.path).toMatch(/\/thumb\/wide%20one\.jpg$/)
    expect(json.attachments[0].thumbnail).toEqual(thumbnail)
    const answer = await download(thumbnail.path)
    expect(answer.headers.get('content-type')).toBe('image/jpeg')
    expect(await sharp(await answer.arrayBuffer()).metadata()).toMatchObject({ width: 100, height: 56 })
    if (path !== main) expect((await backend.as(other)('GET', thumbnail.path)).status).toBe(404)
  }
})

test('files beside an activity carry the ids its body names them by', async () => {
  const { json: source } = await backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'mailer' })
  const post = (...names: string[]) =>
    upload(
      [
        ['flow_token', source.flow_token],
        ['event', 'discussion'],
        ['title', 'wrote'],
        ['body', '<img src="cid:file1">'],
        ['author[name]', 'Marty'],
        ['external_thread_id', 'm1'],
        ['thread[title]', 'A mail'],
        ...names.map((name): [string, Blob, string] => [name, new Blob([name]), `${name}.txt`]),
      ],
      '/messages?wait=1',
    )
  const named = await post('attachments[file1]', 'attachments[file2]')
  expect(named.status).toBe(201)
  expect(named.json.tags).toContain(':file')
  expect(
    named.json.attachments.map(({ content_id, file_name }: { content_id: string; file_name: string }) => [
      content_id,
      file_name,
    ]),
  ).toEqual([
    ['file1', 'attachments[file1].txt'],
    ['file2', 'attachments[file2].txt'],
  ])
  expect(await (await download(named.json.attachments[1].path)).text()).toBe('attachments[file2]')
  const plain = await post('attachments[]')
  expect(plain.json.attachments).toHaveLength(1)
  expect(plain.json.attachments[0]).not.toHaveProperty('content_id')
  expect((await post('attachments[file1]', 'attachments[]')).status).toBe(400)
})

test('a client that left before its upload was read is not waited for', async () => {
  const gone = new IncomingMessage(new Socket())
  gone.headers['content-type'] = 'multipart/form-data; boundary=x'
  gone.destroy()
  await once(gone, 'close')
  const noQuery = { search: '', query: new URLSearchParams() }
  const reading = readParams({ headers: gone.headers, body: nodeBody(gone) }, noQuery, {
    ...{ maxBytes: () => 1000, largestBytes: 1000, isStranger: () => false, take: () => undefined },
    ...{ identify: () => expect.unreachable(), receive: () => expect.unreachable() },
    ...{ idleMs: 60_000, wholeMs: () => undefined },
  })
  await expect(reading).rejects.toThrow(HttpError)
})

describe('a file whose message is not stored', () => {
  /** All files on the disk, wherever they are. */
  const filesOnDisk = async () => {
    const entries = await readdir(join(backend.dataDir, 'files'), { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).length
  }
  const rows = async () => (await backend.store.reader.selectFrom('files').select('token').execute()).length
  let image: Uint8Array<ArrayBuffer>
  beforeAll(async () => {
    image = new Uint8Array(
      await sharp({ create: { width: 300, height: 200, channels: 3, background: 'red' } })
        .png()
        .toBuffer(),
    )
  })
  const picture = (more: [string, string][], path?: string, nick?: 'Cleo') =>
    upload(
      [['event', 'file'], ...more, ['content', new Blob([image], { type: 'image/png' }), 'red.png']],
      path,
      nick,
    )
  const inBase64 = async (more: object) =>
    (
      await backend.as('Ada')('POST', main, {
        ...{
          event: 'file',
          content: {
            data: Buffer.from(image).toString('base64'),
            file_name: 'red.png',
            content_type: 'image/png',
          },
        },
        ...more,
      })
    ).status

  test.each([
    ['its thread is not there', () => picture([['thread_id', 'nowhere']]), 400],
    ['a tag is too long', () => picture([['tags', 'x'.repeat(200)]]), 400],
    ['its sender is no member', () => picture([], '/flows/example/engineering/messages', 'Cleo'), 403],
    [
      'its thread is not there, in Base64',
      async () => ({ status: await inBase64({ thread_id: 'nowhere' }) }),
      400,
    ],
  ])('goes when %s', async (_, send, status) => {
    const before = [await filesOnDisk(), await rows()]
    expect((await send()).status).toBe(status)
    await eventually(async () => (await filesOnDisk()) === before[0])
    expect([await filesOnDisk(), await rows()]).toEqual(before)
  })

  test('goes when the message was stored before, under the same uuid; the first copy stays', async () => {
    const { json } = await picture([['uuid', 'same-file']])
    const before = [await filesOnDisk(), await rows()]
    for (let count = 0; count < 3; count += 1) {
      const again = await picture([['uuid', 'same-file']])
      expect([again.status, again.json.id]).toEqual([201, json.id])
    }
    expect(await inBase64({ uuid: 'same-file' })).toBe(201)
    expect([await filesOnDisk(), await rows()]).toEqual(before)
    const answer = await download(json.content.path)
    expect((await answer.arrayBuffer()).byteLength).toBe(image.byteLength)
    expect((await download(json.content.thumbnail.path)).headers.get('content-type')).toBe('image/png')
  })

  test('goes with the other attachments of a message that is refused', async () => {
    const { json: source } = await backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'Files' })
    const before = [await filesOnDisk(), await rows()]
    const parts: Parameters<typeof upload>[0] = [
      ...([
        ['flow_token', source.flow_token],
        ['event', 'activity'],
        ['title', 'did'],
      ] as [string, string][]),
      ...([
        ['author[name]', 'A'],
        ['wait', '1'],
      ] as [string, string][]),
      ['attachments[one]', new Blob([image], { type: 'image/png' }), 'one.png'],
      ['attachments[two]', new Blob(['text'], { type: 'text/plain' }), 'two.txt'],
    ]
    expect((await upload([...parts, ['thread_id', 'nowhere']], '/messages')).status).toBe(400)
    await eventually(async () => (await filesOnDisk()) === before[0])
    expect([await filesOnDisk(), await rows()]).toEqual(before)
    const sent = await upload(
      [...parts, ['external_thread_id', '1'], ['thread[title]', 'Files']],
      '/messages',
    )
    expect(sent.status).toBe(201)
    // Two files and a thumbnail.
    expect([await filesOnDisk(), await rows()]).toEqual([(before[0] ?? 0) + 3, (before[1] ?? 0) + 3])
  })
})

test.each([
  ['of 200 emoji', '😀'.repeat(200), `${'😀'.repeat(127)}`],
  ['that would be cut within a character', `a${'😀'.repeat(200)}`, `a${'😀'.repeat(127)}`],
  ['with half a surrogate pair', 'half\ud83d.txt', 'half\ufffd.txt'],
])('a file name %s is stored and answered', async (_, given, stored) => {
  const { status, json } = await backend.as('Ada')('POST', main, {
    event: 'file',
    content: { data: btoa('x'), file_name: given, content_type: 'text/plain' },
  })
  expect([status, json?.content.file_name]).toEqual([201, stored])
  const answer = await download(json.content.path)
  expect([answer.status, await answer.text()]).toEqual([200, 'x'])
})

test('a row with a type that no header can hold is downloaded as plain bytes', async () => {
  const { json } = await upload([
    ['event', 'file'],
    ['content', new Blob(['x'], { type: 'text/plain' }), 'x.txt'],
  ])
  await backend.store.write((db) =>
    db
      .updateTable('files')
      .set({ content_type: 'text/html\r\nX-Evil: 1', file_name: 'half\ud83d.txt' })
      .where('token', '=', json.content.path.split('/')[3])
      .execute(),
  )
  const answer = await download(json.content.path)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/octet-stream'])
  expect(answer.headers.get('x-evil')).toBeNull()
})
