import { scryptSync } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import { createPasswordKeys, type PasswordKeys } from '../../src/backend/http/password-keys.ts'
import { createSignIn, type SignIn } from '../../src/backend/http/sign-in-limit.ts'
import { startTestBackend, type TestBackend } from '../support/backend.ts'

let backend: TestBackend
let now: number
let derived: { readonly password: string; readonly goesFirst: boolean }[]
let signIn: SignIn

/** Derives in the next turn of the event loop, and notes what. */
const keys: PasswordKeys = {
  async derive(password, salt, goesFirst) {
    derived.push({ password, goesFirst })
    await new Promise(setImmediate)
    return scryptSync(password, salt, 32)
  },
  close: async () => undefined,
}

const setPassword = async (id: number, password: string) => {
  const hash = await hashPassword(password)
  await backend.store.write((db) =>
    db.updateTable('users').set({ password_hash: hash, disabled: 0 }).where('id', '=', id).execute(),
  )
}

beforeAll(async () => {
  backend = await startTestBackend()
})
afterAll(() => backend.close())
beforeEach(async () => {
  now = 1_000_000
  derived = []
  signIn = createSignIn(keys, { now: () => now })
  await setPassword(2, 'open sesame')
})

const ben = (password: string, address: string) =>
  signIn.signIn(backend.store.reader, 'Ben@example.com', password, address)
const guess = (address: string) => ben('guess', address)

describe('guessing passwords', () => {
  test('an address has ten attempts at an account, and one more in 90 seconds', async () => {
    for (let turn = 0; turn < 10; turn += 1) expect(await guess('1.1.1.1')).toBeUndefined()
    await expect(guess('1.1.1.1')).rejects.toMatchObject({ status: 429, headers: { 'Retry-After': '90' } })
    await expect(ben('open sesame', '1.1.1.1')).rejects.toMatchObject({ status: 429 })
    expect(derived).toHaveLength(10)
    now += 90_000
    expect(await guess('1.1.1.1')).toBeUndefined()
    await expect(guess('1.1.1.1')).rejects.toMatchObject({ status: 429 })
  })

  test('an attempt counts when it begins: of sixty at one time ten are checked', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, () => guess('1.1.1.1')))
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(50)
    expect(derived).toHaveLength(10)
  })

  test('an address has sixty attempts, whatever the account', async () => {
    const at = (turn: number) => signIn.signIn(backend.store.reader, `user${turn}@x`, 'guess', '1.1.1.1')
    for (let turn = 0; turn < 60; turn += 1) expect(await at(turn)).toBeUndefined()
    await expect(at(60)).rejects.toMatchObject({ status: 429, headers: { 'Retry-After': '15' } })
    expect((await ben('open sesame', '1.1.1.2'))?.id).toBe(2)
  })

  test('an account that many addresses try gives each of them one attempt, which lets its owner in', async () => {
    expect((await ben('open sesame', '2.2.2.2'))?.id).toBe(2)
    for (let turn = 0; turn < 31; turn += 1) await guess(`1.1.${turn}.1`)
    expect(await guess('1.2.1.1')).toBeUndefined()
    await expect(guess('1.2.1.1')).rejects.toMatchObject({ status: 429, headers: { 'Retry-After': '900' } })
    expect((await ben('open sesame', '3.3.3.3'))?.id).toBe(2)
    // From where they signed in before, they may even mistype.
    now += 31_000
    for (let turn = 0; turn < 3; turn += 1) expect(await guess('2.2.2.2')).toBeUndefined()
    expect((await ben('open sesame', '2.2.2.2'))?.id).toBe(2)
    expect(derived.at(-1)).toEqual({ password: 'open sesame', goesFirst: true })
  })

  test('past the limit, a right password is answered like a wrong one, also while its owner is signed in', async () => {
    expect((await ben('open sesame', '2.2.2.2'))?.id).toBe(2)
    for (let turn = 0; turn < 10; turn += 1) await guess('1.1.1.1')
    await expect(guess('1.1.1.1')).rejects.toMatchObject({ status: 429 })
    await expect(ben('open sesame', '1.1.1.1')).rejects.toMatchObject({ status: 429 })
    expect((await ben('open sesame', '2.2.2.2'))?.id).toBe(2)
  })

  test('a right password takes its attempt back', async () => {
    for (let turn = 0; turn < 40; turn += 1) {
      now += 30_000
      expect((await ben('open sesame', '1.1.1.1'))?.id).toBe(2)
    }
    for (let turn = 0; turn < 10; turn += 1) expect(await guess('1.1.1.1')).toBeUndefined()
  })
})

describe('backends that announce their attempts to each other', () => {
  let other: SignIn

  beforeEach(() => {
    signIn = createSignIn(keys, { now: () => now, onAttempt: (attempt) => other.countElsewhere(attempt) })
    other = createSignIn(keys, { now: () => now, onAttempt: (attempt) => signIn.countElsewhere(attempt) })
  })

  const there = (password: string, address: string) =>
    other.signIn(backend.store.reader, 'ben@example.com', password, address)

  test('give an IP address ten attempts at an account in all', async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      expect(await guess('1.1.1.1')).toBeUndefined()
      expect(await there('guess', '1.1.1.1')).toBeUndefined()
    }
    await expect(guess('1.1.1.1')).rejects.toMatchObject({ status: 429, headers: { 'Retry-After': '90' } })
    await expect(there('guess', '1.1.1.1')).rejects.toMatchObject({ status: 429 })
    now += 90_000
    expect(await there('guess', '1.1.1.1')).toBeUndefined()
    await expect(guess('1.1.1.1')).rejects.toMatchObject({ status: 429 })
  })

  test('give each IP address one attempt at an account that many try at either of them', async () => {
    for (let turn = 0; turn < 30; turn += 1)
      await (turn % 2 === 0 ? guess(`1.1.${turn}.1`) : there('guess', `1.1.${turn}.1`))
    expect(await guess('1.2.1.1')).toBeUndefined()
    await expect(there('guess', '1.2.1.1')).rejects.toMatchObject({ headers: { 'Retry-After': '900' } })
  })

  test('give a right password back at all, and know its IP address at all', async () => {
    for (let turn = 0; turn < 40; turn += 1) {
      now += 30_000
      expect((await (turn % 2 === 0 ? ben : there)('open sesame', '2.2.2.2'))?.id).toBe(2)
    }
    for (let turn = 0; turn < 31; turn += 1) await guess(`1.1.${turn}.1`)
    for (let turn = 0; turn < 10; turn += 1) expect(await there('guess', '2.2.2.2')).toBeUndefined()
  })

  test('give back an attempt whose password could not be checked', async () => {
    const failing = createSignIn(
      { ...keys, derive: () => Promise.reject(new Error('full')) },
      { now: () => now, onAttempt: (attempt) => other.countElsewhere(attempt) },
    )
    for (let turn = 0; turn < 20; turn += 1)
      await expect(failing.signIn(backend.store.reader, 'ben@example.com', 'x', '1.1.1.1')).rejects.toThrow(
        'full',
      )
    for (let turn = 0; turn < 10; turn += 1) expect(await there('guess', '1.1.1.1')).toBeUndefined()
  })
})

describe('a right password', () => {
  test('is derived once in half a minute', async () => {
    for (let turn = 0; turn < 20; turn += 1) expect((await ben('open sesame', '1.1.1.1'))?.id).toBe(2)
    expect(derived).toHaveLength(1)
    now += 30_000
    expect((await ben('open sesame', '1.1.1.1'))?.id).toBe(2)
    expect(derived).toHaveLength(2)
  })

  test('is one attempt and one derivation, however many requests bring it at one time', async () => {
    const found = await Promise.all(Array.from({ length: 40 }, () => ben('open sesame', '1.1.1.1')))
    expect(found.map((user) => user?.id)).toEqual(found.map(() => 2))
    expect(derived).toHaveLength(1)
    // Also where one attempt is left.
    for (let turn = 0; turn < 31; turn += 1) await guess(`1.1.${turn}.1`)
    const elsewhere = await Promise.all(Array.from({ length: 40 }, () => ben('open sesame', '4.4.4.4')))
    expect(elsewhere.map((user) => user?.id)).toEqual(elsewhere.map(() => 2))
    now += 30_000
    const later = await Promise.all(Array.from({ length: 40 }, () => ben('open sesame', '4.4.4.4')))
    expect(later.map((user) => user?.id)).toEqual(later.map(() => 2))
  })

  test('is forgotten when it is changed, and when its user is disabled', async () => {
    expect((await ben('open sesame', '1.1.1.1'))?.id).toBe(2)
    await setPassword(2, 'other')
    expect(await ben('open sesame', '1.1.1.1')).toBeUndefined()
    expect((await ben('other', '1.1.1.1'))?.id).toBe(2)
    await backend.store.write((db) =>
      db.updateTable('users').set({ disabled: 1 }).where('id', '=', 2).execute(),
    )
    expect(await ben('other', '1.1.1.1')).toBeUndefined()
  })
})

describe('the thread for passwords', () => {
  test('derives what scrypt derives, and refuses more than it can queue', async () => {
    const thread = createPasswordKeys()
    const salt = Buffer.from('salt')
    const derive = async (password: string) => thread.derive(password, salt, false)
    const [one, two] = await Promise.all([derive('one'), derive('two')])
    expect(one).toEqual(scryptSync('one', salt, 32))
    expect(two).toEqual(scryptSync('two', salt, 32))
    const outcomes = Promise.allSettled(Array.from({ length: 70 }, () => derive('x')))
    await thread.close()
    const reasons = (await outcomes).map((outcome) => (outcome as PromiseRejectedResult).reason)
    expect(reasons.filter(({ status }) => status === 503)).toHaveLength(5)
    expect(reasons.filter(({ message }) => message === 'The backend is shutting down')).toHaveLength(65)
  })
})
