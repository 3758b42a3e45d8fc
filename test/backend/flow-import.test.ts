import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exportBounds } from '../../src/backend/admin/flow-export.ts'
import { type FlowImport, importFlow } from '../../src/backend/admin/flow-import.ts'
import { maxCharacters, maxImportedId } from '../../src/backend/bounds.ts'
import { addUser } from '../../src/backend/flowdock/operations/users.ts'
import { type EventRow, isControlEvent } from '../../src/backend/store/events.ts'
import { insertOrganization } from '../../src/backend/store/organizations.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { exportedMessages, makeZip } from '../support/flow-export.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend()
  ada = backend.as('Ada')
})
afterAll(() => backend.close())

let imports = 0

async function run(zip: string, more: Partial<FlowImport> = {}) {
  imports += 1
  const flow = `example/import-${imports}`
  const summary = await importFlow({
    ...{ location: backend.location, zip, flow, name: undefined, people: undefined },
    onProgress: () => undefined,
    ...more,
  })
  const { json: messages } = await ada('GET', `/flows/${flow}/messages?limit=100`)
  return { flow, summary, messages }
}

async function take(
  messages: readonly object[],
  files: Record<string, string | Buffer> = {},
  more?: Partial<FlowImport>,
) {
  return run(await makeZip({ 'messages.json': JSON.stringify(messages), ...files }), more)
}

const message = (more: object) => ({
  ...exportedMessages[0],
  thread_id: undefined,
  thread: undefined,
  user: '0',
  ...more,
})

test('no stream receives imported messages, and gateways are told that the flow changed', async () => {
  const events: EventRow[] = []
  await backend.log.catchUp()
  const stop = backend.log.listen((event) => events.push(event))
  const { summary } = await take([message({ content: 'old' })])
  await backend.log.catchUp()
  stop()
  expect(summary.messages.taken).toBe(1)
  expect(JSON.stringify(events)).not.toContain('old')
  expect(events.filter(isControlEvent).map(({ flow_id, payload }) => [flow_id, payload])).toContainEqual([
    summary.flowId,
    '{"k":"flow"}',
  ])
})

describe('people', () => {
  const people = (email: string) => ({
    'users.json': JSON.stringify([{ id: 777, nick: 'Boss', name: 'The Boss', email }]),
  })
  const theirs = message({ user: '777' })
  const members = async () =>
    (await ada('GET', '/organizations/example/users')).json as { id: number; nick: string; email: string }[]
  /** A user of another organization, with that address. */
  const stranger = (email: string) =>
    backend.log.write(async (change) => {
      const slug = email.replace(/\W/g, '-')
      const organization = await insertOrganization(change.db, { slug, name: 'Other' })
      return addUser(change, organization, { nick: 'Oto', name: 'Oto', email, admin: true })
    })

  test('an e-mail address of a user of another organization makes no user a member or an author', async () => {
    const oto = await stranger('ceo@acme.example')
    const { summary, messages } = await take([theirs], people('CEO@acme.example'))
    expect(summary.people).toEqual({ matched: 0, created: 1, foreign: 1 })
    expect((await members()).map(({ id }) => id)).not.toContain(oto.id)
    expect(messages[0].user).toBe('777')
    expect((await members()).find(({ id }) => id === 777)).toMatchObject({
      nick: 'Boss',
      email: 'user-777@example.invalid',
    })
    // The next flow of the same people finds them again.
    expect((await take([theirs], people('ceo@acme.example'))).summary.people).toEqual({
      matched: 1,
      created: 0,
      foreign: 0,
    })
  })

  test('a member is matched by their address', async () => {
    const { summary, messages } = await take([theirs], people('BEN@example.com'))
    expect(summary.people).toEqual({ matched: 1, created: 0, foreign: 0 })
    expect(messages[0].user).toBe('2')
  })

  test('the operator says who is who, a member by their address, others by their id alone', async () => {
    const map = (user: string) =>
      take([theirs], people('boss@acme.example'), { mapUsers: new Map([['777', user]]) })
    expect((await map('ben@example.com')).messages[0].user).toBe('2')
    const guest = await stranger('guest@other.example')
    await expect(map('guest@other.example')).rejects.toThrow(
      `guest@other.example is not in "example". If you mean Oto (Oto), map 777 to the id ${guest.id}`,
    )
    expect((await members()).map(({ id }) => id)).not.toContain(guest.id)
    expect((await map(String(guest.id))).messages[0].user).toBe(String(guest.id))
    expect((await members()).map(({ id }) => id)).toContain(guest.id)
    await expect(map('nobody@example.com')).rejects.toThrow('There is no user nobody@example.com')
  })

  test('an id that leaves no room for later ones is not imported', async () => {
    const number = 10 ** 15 - 1
    const { messages } = await take([message({ user: String(number) })])
    expect(Number(messages[0].user)).toBeLessThan(maxImportedId)
  })
})

describe('messages', () => {
  test.each([
    [
      'a time no calendar has',
      { sent: 1e300, created_at: undefined },
      'it has no time between the years 1970 and 2100',
    ],
    [
      'a time of another age',
      { sent: -1e14, created_at: undefined },
      'it has no time between the years 1970 and 2100',
    ],
    ['the largest number there is', { id: 2 ** 53 - 1 }, `its number is above ${maxImportedId}`],
    ['a number with a fraction', { id: 1.5 }, 'it has no number'],
    ['a kind of 1,000 characters', { event: 'x'.repeat(1000) }, 'its kind is too long'],
  ])('one with %s is left out with the reason, the others are taken', async (_, more, reason) => {
    const { flow, summary, messages } = await take([
      message({ id: 5, uuid: null }),
      message({ id: 6, uuid: null, ...more }),
    ])
    expect(summary.leftOut).toEqual({ [reason]: 1 })
    expect(messages).toHaveLength(1)
    const sent = await ada('POST', `/flows/${flow}/messages`, { event: 'message', content: 'later' })
    expect([sent.status, sent.json.id]).toEqual([201, 6])
  })

  test('an edit, and a thread, at an impossible time are taken without that time', async () => {
    const thread = { title: 'T', created_at: 1e300, updated_at: 9e15 }
    const { messages } = await take([message({ edited: 1e300, thread_id: 'impossible', thread })])
    expect(messages[0]).toMatchObject({ edited: null, thread: { title: 'T', created_at: message({}).sent } })
  })

  test('the highest number that is taken leaves room for later ones', async () => {
    const { flow } = await take([message({ id: maxImportedId })])
    for (const id of [maxImportedId + 1, maxImportedId + 2])
      expect((await ada('POST', `/flows/${flow}/messages`, { event: 'message', content: 'x' })).json.id).toBe(
        id,
      )
  })

  test('what is too long is shortened and counted; what fits is taken as it is', async () => {
    const long = 'x'.repeat(100_000)
    const mail = {
      ...message({ id: 2 }),
      event: 'mail',
      app: 'influx',
      content: { subject: 'S', content: long, from: [] },
    }
    const { summary, messages } = await take([
      message({
        id: 1,
        uuid: 'a',
        tags: Array.from({ length: 150 }, (_, index) => `t${index}`).concat('x'.repeat(500)),
      }),
      { ...mail, uuid: 'b' },
      message({ id: 3, uuid: 'x'.repeat(500), title: long, external_user_name: long }),
      message({ id: 4, uuid: 'd', content: 'y'.repeat(8096) }),
    ])
    expect(summary.messages).toEqual({ taken: 4, alreadyThere: 0, shortened: 3 })
    expect(messages[0].tags).toHaveLength(100)
    expect(messages[1].content).toMatchObject({ subject: 'S' })
    expect(messages[1].content.content.length).toBeLessThan(65_536)
    expect(messages[2].external_user_name).toHaveLength(maxCharacters.external_user_name)
    expect(messages[3].content).toHaveLength(8096)
    for (const each of messages) expect(JSON.stringify(each).length).toBeLessThan(140_000)
  })

  test('a thread, an author and fields of another shape are taken as far as they are usable', async () => {
    const thread = {
      title: 'T',
      status: { color: 'plaid' },
      fields: ['x', { label: 5 }, { label: 'L', value: 'V' }],
      actions: [{ '@type': 'ViewAction', name: 'x', url: 'javascript:alert(1)' }],
    }
    const { messages } = await take([message({ author: { nick: 'x' }, thread_id: 'odd', thread })])
    expect(messages[0].author).toBeUndefined()
    expect(messages[0].thread).toMatchObject({
      status: null,
      fields: [
        { label: '', value: '' },
        { label: 'L', value: 'V' },
      ],
      actions: [],
    })
  })
})

describe('files', () => {
  const path = (name: string) => `/files/1/${'d'.repeat(32)}/${name}`
  const file = (more: object) => ({
    content_type: 'text/plain',
    file_name: 'a.txt',
    file_size: 5,
    path: path('a.txt'),
    ...more,
  })
  const fileMessage = (more: object) =>
    message({ event: 'file', content: file(more), attachments: [file(more)] })
  const inZip = { [`files/${'d'.repeat(32)}/a.txt`]: 'hello' }

  test.each([
    [
      'a type with a line break',
      { content_type: 'text/html\r\nX-Evil: 1' },
      'application/octet-stream',
      'a.txt',
    ],
    ['a name of 200 emoji', { file_name: '😀'.repeat(200) }, 'text/plain', '😀'.repeat(127)],
    ['a name with half a surrogate pair', { file_name: 'a\ud83d.txt' }, 'text/plain', 'a\ufffd.txt'],
    ['a plain name and type', {}, 'text/plain', 'a.txt'],
  ])('one with %s can be downloaded', async (_, more, type, name) => {
    const { messages } = await take([fileMessage(more)], inZip)
    expect(messages[0].content).toMatchObject({ content_type: type, file_name: name })
    const answer = await fetch(backend.url + messages[0].content.path, {
      headers: { authorization: basic(await backend.token('Ada')) },
    })
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      type,
      'hello',
    ])
  })

  test('one that is longer than an upload may be is left out, its message is taken', async () => {
    const { summary, messages } = await take([fileMessage({})], inZip, {
      bounds: { ...exportBounds, fileBytes: 4 },
    })
    expect([summary.files, messages.length]).toEqual([{ taken: 0, missing: 0, tooLong: 1 }, 1])
  })
})

describe('an export is refused with a sentence, and nothing is made', () => {
  const bounds = { ...exportBounds, totalBytes: 10_000, entries: 3, messages: 2 }
  const list = (count: number) =>
    JSON.stringify(Array.from({ length: count }, (_, index) => message({ id: index + 1, uuid: null })))

  test.each<[string, Record<string, string | Buffer>, string]>([
    [
      'of more bytes than are imported',
      { 'messages.json': '[]', a: 'x'.repeat(10_000) },
      'unpacks to 10002 bytes, at most 10000 are imported',
    ],
    [
      'of more files than are imported',
      { 'messages.json': '[]', a: '', b: '', c: '' },
      'has 4 files, at most 3 are imported',
    ],
    [
      'of more messages than are imported',
      { 'messages.json': list(3) },
      'messages.json has more than 2 messages',
    ],
  ])('one %s', async (_, files, problem) => {
    await expect(run(await makeZip(files), { bounds })).rejects.toThrow(problem)
    expect((await ada('GET', `/flows/example/import-${imports}`)).status).toBe(404)
  })

  test('one at those bounds is taken', async () => {
    expect((await run(await makeZip({ 'messages.json': list(2) }), { bounds })).messages).toHaveLength(2)
  })

  test('one with a file that unpacks to far more than it is', async () => {
    const zip = await makeZip({ 'messages.json': '[]', bomb: Buffer.alloc(9 * 1024 * 1024) })
    await expect(run(zip)).rejects.toThrow(/"bomb" unpacks \d+ bytes to 9437184/)
  })

  /** The zip with some of its bytes changed. */
  async function forge(files: Record<string, string>, from: string, to: string): Promise<string> {
    const zip = await makeZip(files)
    const text = (await readFile(zip)).toString('latin1').replaceAll(from, to)
    await writeFile(zip, Buffer.from(text, 'latin1'))
    return zip
  }

  test('one with a file outside of it', async () => {
    const zip = await forge({ 'messages.json': '[]', 'xx/evil.txt': 'x' }, 'xx/evil.txt', '../evil.txt')
    await expect(run(zip)).rejects.toThrow(/is no export: invalid relative path: \.\.\/evil\.txt/)
    await expect(run(zip)).rejects.toMatchObject({ name: 'AdministrationError' })
  })

  test('one whose bytes are damaged', async () => {
    const zip = await makeZip({ 'messages.json': list(50) })
    const bytes = await readFile(zip)
    bytes.fill(0xff, 60, 200)
    await writeFile(zip, bytes)
    await expect(run(zip)).rejects.toMatchObject({ name: 'AdministrationError' })
  })
})
