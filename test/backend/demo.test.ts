import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openAdministration } from '../../src/backend/admin/administration.ts'
import { deleteToken } from '../../src/backend/store/rights.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { basic, call, makeFolder, makeLocation, startTestBackend } from '../support/backend.ts'

/* The demo organization and the token that lets its administrator in. */

async function start(options: Parameters<typeof startTestBackend>[0]) {
  const backend = await startTestBackend(options)
  let open = true
  const close = async () => {
    if (open) await backend.close()
    open = false
  }
  onTestFinished(close)
  const status = async (token: string) =>
    (await call(`${backend.url}/user`, 'GET', { authorization: basic(token) })).status
  return { ...backend, close, status }
}

/** Data that outlive a backend, on the database of the project. */
const makeData = async () => ({ dataDir: await makeFolder(), databaseUrl: await makeLocation() })

test('the token is made once, stored in a file, and valid after a restart', async () => {
  const data = await makeData()
  const first = await start(data)
  const token = first.demo.token ?? ''
  expect(token).toMatch(/^[0-9a-f]{32}$/)
  expect(await readFile(join(data.dataDir, 'demo-token'), 'utf8')).toBe(token)
  expect(await first.status(token)).toBe(200)
  await first.close()
  const second = await start(data)
  expect(second.demo.token).toBe(token)
  expect(await second.status(token)).toBe(200)
})

test('a token that was removed stays removed', async () => {
  const data = await makeData()
  const first = await start(data)
  const token = first.demo.token ?? ''
  await first.log.write((change) => deleteToken(change, 1, hashToken(token)))
  await first.close()
  const second = await start(data)
  expect(second.demo.token).toBeNull()
  expect(await second.status(token)).toBe(401)
  await expect(access(join(data.dataDir, 'demo-token'))).rejects.toThrow('ENOENT')
})

test('the command that removes the token removes its file, and that of another token does not', async () => {
  const data = await makeData()
  const backend = await start(data)
  const administration = await openAdministration(data)
  onTestFinished(() => administration.close())
  const [demo] = await administration.listTokens('ada@example.com')
  await administration.addToken('ada@example.com')
  const other = (await administration.listTokens('ada@example.com')).find(({ id }) => id !== demo?.['id'])
  await administration.removeToken('ada@example.com', String(other?.['id']))
  expect(await readFile(join(data.dataDir, 'demo-token'), 'utf8')).toBe(backend.demo.token)
  await administration.removeToken('ada@example.com', String(demo?.['id']))
  await expect(access(join(data.dataDir, 'demo-token'))).rejects.toThrow('ENOENT')
})

test('the token of the settings is taken when the organization is made, not later', async () => {
  const data = await makeData()
  const [one, other] = ['1'.repeat(32), '2'.repeat(32)]
  const first = await start({ ...data, demoToken: one })
  expect(first.demo.token).toBe(one)
  await first.close()
  const second = await start({ ...data, demoToken: other })
  expect(second.demo.token).toBeNull()
  expect([await second.status(one), await second.status(other)]).toEqual([200, 401])
})

test('without a demo the first start makes no organization, no token and no file', async () => {
  const data = await makeData()
  const first = await start({ ...data, demoOrganization: false, demoToken: '1'.repeat(32) })
  expect(first.demo.token).toBeNull()
  expect(await first.status('1'.repeat(32))).toBe(401)
  await expect(access(join(data.dataDir, 'demo-token'))).rejects.toThrow('ENOENT')
  const administration = await openAdministration(data)
  expect([await administration.listOrganizations(), await administration.listUsers()]).toEqual([[], []])

  await administration.addOrganization('Acme', undefined)
  await administration.addUser({
    ...{ nick: 'Zoe', name: 'Zoe Kay', email: 'zoe@acme.example', organization: 'acme', admin: true },
    ...{ password: undefined, id: undefined },
  })
  const { token } = await administration.addToken('zoe@acme.example')
  await administration.close()
  expect(await first.status(String(token))).toBe(200)
})

test('a demo with a history has three weeks of messages of five users, files and integrations', async () => {
  const before = Date.now()
  const backend = await start({ demoHistory: true })
  const ada = backend.as('Ada')
  const dayMs = 24 * 60 * 60_000
  expect((await ada('GET', '/organizations/example/users')).json).toHaveLength(5)
  const kinds = new Set<string>()
  for (const [flow, atLeast] of [
    ['main', 40],
    ['engineering', 70],
    ['support', 25],
  ] as const) {
    const { json } = await ada('GET', `/flows/example/${flow}/messages?limit=100`)
    const messages = json as { id: number; sent: number; event: string }[]
    expect(messages.length).toBeGreaterThan(atLeast)
    for (const { event } of messages) kinds.add(event)
    const times = messages.map(({ sent }) => sent)
    expect(times).toEqual(times.toSorted((one, other) => one - other))
    expect(times.at(-1)).toBeLessThanOrEqual(Date.now())
    expect(times.at(-1)).toBeGreaterThan(before - 2 * 60 * 60_000)
    expect(new Set(times.map((sent) => Math.floor(sent / dayMs))).size).toBeGreaterThan(7)
  }
  expect([...kinds].sort()).toEqual(['activity', 'discussion', 'file', 'message', 'status'])
  const { json: oldest } = await ada('GET', '/flows/example/main/messages?limit=2&sort=asc&since_id=0')
  expect(oldest.map(({ id, content }: { id: number; content: string }) => [id, content])).toEqual([
    [1, 'Welcome to Example! Every message opens a thread, replies stay in it. #welcome'],
    [2, 'Good to be here, @Ada'],
  ])
  expect(before - oldest[0].sent).toBeGreaterThan(20 * dayMs)
  const { json: files } = await ada('GET', '/flows/example/engineering/messages?event=file&limit=100')
  for (const { content } of files) {
    const file = await call(backend.url + content.path, 'GET', {
      authorization: basic(await backend.token('Ada')),
    })
    expect([200, 302]).toContain(file.status)
  }
})

test('the history of the demo is made once, and each start of it holds the same', async () => {
  const data = await makeData()
  const first = await start({ ...data, demoHistory: true })
  const read = async (backend: typeof first) => {
    const { json } = await backend.as('Ada')('GET', '/flows/example/engineering/messages?limit=100')
    return (json as { id: number; event: string; content: unknown; title?: string }[]).map(
      ({ id, event, content, title }) => [id, event, event === 'file' ? 'a file' : content, title],
    )
  }
  const held = await read(first)
  await first.close()
  expect(await read(await start({ ...data, demoHistory: true }))).toEqual(held)
  expect(await read(await start({ demoHistory: true }))).toEqual(held)
})
