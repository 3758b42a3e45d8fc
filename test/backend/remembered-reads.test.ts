import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { type Database, openStore } from '../../src/backend/store/db.ts'
import { findFlowAccess, insertFlow } from '../../src/backend/store/flows.ts'
import { findUserByTokenHash, insertToken, insertUser } from '../../src/backend/store/users.ts'
import { makeLocation } from '../support/backend.ts'

/** Two processes, as it were, with one database, in which Alice has a token. */
async function openTwice() {
  const location = await makeLocation()
  const open = async () => {
    const store = await openStore(location)
    onTestFinished(store.close)
    return store
  }
  const store = await open()
  const alice = { nick: 'alice', name: 'Alice', email: 'alice@example.com', avatar: null, website: null }
  const { id } = await store.write(async (db) => {
    const user = await insertUser(db, { ...alice, password_hash: null })
    await insertToken(db, 'hash', user.id)
    return user
  })
  return { store, other: await open(), id }
}

const nickOf = async (db: Database) => (await findUserByTokenHash(db, 'hash'))?.nick
const rename = (db: Database, nick: string) => db.updateTable('users').set({ nick }).execute()
const revoke = (db: Database) => db.deleteFrom('tokens').where('hash', '=', 'hash').execute()

test('a token is known until this process revokes it', async () => {
  const { store } = await openTwice()
  expect(await nickOf(store.reader)).toBe('alice')
  await store.write((db) => rename(db, 'alison'))
  expect(await nickOf(store.reader)).toBe('alison')
  await store.write(revoke)
  expect(await nickOf(store.reader)).toBeUndefined()
})

test('a token is known until another process revokes it, also for changes', async () => {
  const { store, other } = await openTwice()
  expect(await nickOf(store.reader)).toBe('alice')
  expect(await store.write(nickOf)).toBe('alice')
  await other.write((db) => rename(db, 'alison'))
  expect(await nickOf(store.reader)).toBe('alison')
  expect(await store.write(nickOf)).toBe('alison')
  await other.write(revoke)
  expect(await nickOf(store.reader)).toBeUndefined()
  expect(await store.write(nickOf)).toBeUndefined()
})

test('the columns of a token keep their values when another process adds one to its user', async () => {
  const { store, other } = await openTwice()
  const columns = async (db: Database) => findUserByTokenHash(db, 'hash')
  const before = await columns(store.reader)
  expect(await store.write(columns)).toEqual(before)
  await other.write((db) => sql`alter table users add column motto text default 'flow'`.execute(db))
  expect(await columns(store.reader)).toEqual({ ...before, motto: 'flow' })
  expect(await store.write(columns)).toEqual({ ...before, motto: 'flow' })
})

test('readers know what a change writes after its commit, and not before', async () => {
  const { store } = await openTwice()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const writing = store.write(async (db) => {
    await rename(db, 'alison')
    expect(await nickOf(db)).toBe('alison')
    reach()
    await released
  })
  await reached
  expect(await nickOf(store.reader)).toBe('alice')
  release()
  await writing
  expect(await nickOf(store.reader)).toBe('alison')
})

test('nobody knows what a change wrote that failed', async () => {
  const { store } = await openTwice()
  const failing = store.write(async (db) => {
    await rename(db, 'alison')
    expect(await nickOf(db)).toBe('alison')
    throw new Error('refused')
  })
  await expect(failing).rejects.toThrow('refused')
  expect(await store.write(nickOf)).toBe('alice')
  expect(await nickOf(store.reader)).toBe('alice')
})

test('the access to a flow follows the membership in it', async () => {
  const { store, id } = await openTwice()
  await store.write(async (db) => {
    const organization = { slug: 'acme', name: 'Acme', active: 1, user_limit: 0, created_at: 0 }
    const { id: organization_id } = await db
      .insertInto('organizations')
      .values(organization)
      .returning('id')
      .executeTakeFirstOrThrow()
    const flow = { id: 'main', organization_id, slug: 'main', name: 'Main', description: '' }
    await insertFlow(db, { ...flow, access_mode: 'invitation' })
  })
  const blocked = async () => (await findFlowAccess(store.reader, id, 'main'))?.blocked
  expect(await blocked()).toBeNull()
  await store.write((db) =>
    db.insertInto('flow_members').values({ flow_id: 'main', user_id: id, open: 1, disabled: 0 }).execute(),
  )
  expect(await blocked()).toBe(0)
  await store.write((db) => db.updateTable('flow_members').set({ disabled: 1 }).execute())
  expect(await blocked()).toBe(1)
})
