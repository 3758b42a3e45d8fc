import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openAdministration } from '../../src/backend/admin/administration.ts'
import { createBackground } from '../../src/backend/background.ts'
import { findValid, hashPassword, makeToken } from '../../src/backend/flowdock/auth.ts'
import { createOpenCredentials, type SignedInBy } from '../../src/backend/flowdock/open-credentials.ts'
import { disableUser } from '../../src/backend/store/rights.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend

beforeAll(async () => {
  backend = await startTestBackend()
})
afterAll(() => backend.close())

async function addToken(userId: number, expiresAt?: number): Promise<string> {
  const token = makeToken()
  await backend.store.write(async (db) => {
    await insertToken(db, hashToken(token), userId)
    if (expiresAt !== undefined)
      await db
        .updateTable('tokens')
        .set({ expires_at: expiresAt })
        .where('hash', '=', hashToken(token))
        .execute()
  })
  return token
}

const open = async (authorization: string) => {
  const stream = await openRawStream(`${backend.url}/stream/flows?filter=*`, { authorization })
  onTestFinished(stream.close)
  return stream
}

describe('a stream ends without a word of its client', () => {
  test('when a command revokes its token; one with another token of the same user goes on', async () => {
    const administration = await openAdministration(backend.location)
    onTestFinished(administration.close)
    const token = await addToken(2)
    const revoked = await open(`Bearer ${token}`)
    const other = await open(`Bearer ${await addToken(2)}`)
    const { email } = (await backend.as('Ben')('GET', '/user')).json
    const tokens = await administration.listTokens(email)
    const id = Buffer.from(hashToken(token), 'base64url').toString('hex').slice(0, 12)
    expect(tokens.map((each) => each['id'])).toContain(id)
    await administration.removeToken(email, id)
    await revoked.ended
    await backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content: 'go on' })
    await other.until(/go on/)
  })

  test('when its user is disabled, however they signed in', async () => {
    const hash = await hashPassword('correct horse')
    await backend.store.write((db) =>
      db.updateTable('users').set({ password_hash: hash }).where('id', '=', 3).execute(),
    )
    const { email } = (await backend.as('Cleo')('GET', '/user')).json
    const streams = [
      await open(`Bearer ${await addToken(3)}`),
      await open(`Basic ${Buffer.from(`${email}:correct horse`).toString('base64')}`),
    ]
    await backend.log.write((change) => disableUser(change, 3))
    await Promise.all(streams.map(({ ended }) => ended))
  })
})

test('many credentials are judged as each one is', async () => {
  const hash = await hashPassword('secret')
  await backend.store.write((db) =>
    db.updateTable('users').set({ password_hash: hash, disabled: 0 }).where('id', '=', 3).execute(),
  )
  const token = (text: string): SignedInBy => ({ tokenHash: hashToken(text) })
  const good = [
    token(await addToken(1)),
    token(await addToken(1, Date.now() + 60_000)),
    { userId: 3, passwordHash: hash },
    { userId: 1, passwordHash: null },
  ]
  const bad = [
    token(await addToken(1, Date.now() - 1)),
    token(makeToken()),
    { userId: 3, passwordHash: 'another' },
    { userId: 3, passwordHash: null },
    { userId: 999, passwordHash: null },
  ]
  expect(await findValid(backend.store.reader, [...good, ...bad])).toEqual(new Set(good))
  expect(await findValid(backend.store.reader, [])).toEqual(new Set())
})

test('one check looks all of them up, and a request during the check causes one more', async () => {
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const asked: { size: number; answer: (valid: ReadonlySet<SignedInBy>) => void }[] = []
  const openCredentials = createOpenCredentials({
    findValid(credentials) {
      const { promise, resolve } = Promise.withResolvers<ReadonlySet<SignedInBy>>()
      asked.push({ size: credentials.length, answer: resolve })
      return promise
    },
    background: createBackground((error) => expect.unreachable(String(error))),
    ...{ signal: stopping.signal, everyMs: 3_600_000 },
  })
  const told: string[] = []
  const credentials = Array.from({ length: 300 }, (_, userId) => ({ userId, passwordHash: null }))
  const leave = credentials.map((signedInBy) =>
    openCredentials.watch({
      signedInBy,
      confirmed: () => told.push(`confirmed ${signedInBy.userId}`),
      lost: () => told.push(`lost ${signedInBy.userId}`),
    }),
  )
  const first = openCredentials.check()
  const later = [openCredentials.check(), openCredentials.check()]
  for (const each of leave.slice(2)) each()
  asked[0]?.answer(new Set(credentials.slice(1)))
  await first
  expect(told).toEqual(['lost 0', 'confirmed 1'])
  await expect.poll(() => asked.length).toBe(2)
  asked[1]?.answer(new Set())
  await Promise.all(later)
  expect(asked.map(({ size }) => size)).toEqual([300, 2])
  expect(told.slice(2)).toEqual(['lost 0', 'lost 1'])
})
