import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/backend/store/db.ts'
import { makeLocation } from '../support/backend.ts'

async function newStore() {
  const store = await openStore(await makeLocation())
  onTestFinished(store.close)
  return store
}

test('changes that arrive together share a commit, and one that fails is undone alone', async () => {
  const store = await newStore()
  const insert = (slug: string) =>
    store.write(async (db) => {
      await db
        .insertInto('organizations')
        .values({ slug, name: slug, active: 1, user_limit: 0, created_at: 0 })
        .execute()
      if (slug === 'bad') throw new Error('refused')
      return slug
    })
  const outcomes = await Promise.allSettled(['a', 'bad', 'b'].map(insert))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  const rows = await store.reader.selectFrom('organizations').select('slug').orderBy('id').execute()
  expect(rows.map(({ slug }) => slug)).toEqual(['a', 'b'])
})

test('a change is delivered after its commit and before its response, in order', async () => {
  const store = await newStore()
  const order: string[] = []
  const write = (name: string) =>
    store
      .write(async () => name, { onCommit: () => void order.push(`told ${name}`) })
      .then(() => order.push(`answered ${name}`))
  await Promise.all([write('1'), write('2')])
  expect(order.filter((entry) => entry.startsWith('told'))).toEqual(['told 1', 'told 2'])
  expect(order.indexOf('told 1')).toBeLessThan(order.indexOf('answered 1'))
})

test('readers see what is committed while a change is under way', async () => {
  const store = await newStore()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const writing = store.write(async (db) => {
    await db.insertInto('channels').values({ last_id: 0 }).execute()
    reach()
    await released
  })
  await reached
  expect(await store.reader.selectFrom('channels').selectAll().execute()).toEqual([])
  release()
  await writing
  expect(await store.reader.selectFrom('channels').selectAll().execute()).toHaveLength(1)
})

const newer = async (location: string, compatible: boolean) => {
  const store = await openStore(location)
  await store.write(async (db) => {
    await sql`insert into kysely_migration values ('9999-newer', '2999-01-01')`.execute(db)
    if (compatible) await db.insertInto('compatible_migrations').values({ name: '9999-newer' }).execute()
  })
  await store.close()
}

test('a database that a newer version changed can be used if the newer version says so', async () => {
  const location = await makeLocation()
  await newer(location, true)
  const store = await openStore(location)
  onTestFinished(store.close)
  await store.write((db) =>
    db
      .insertInto('organizations')
      .values({ slug: 'a', name: 'a', active: 1, user_limit: 0, created_at: 0 })
      .execute(),
  )
  expect(await store.reader.selectFrom('organizations').select('slug').execute()).toEqual([{ slug: 'a' }])
})

test('any other database of a newer version is refused, with the change that is in the way', async () => {
  const location = await makeLocation()
  await newer(location, false)
  await expect(openStore(location)).rejects.toThrow(
    'The database was changed by a newer version of flowdock-gateway (9999-newer). Start that version, or restore a backup of this one',
  )
})
