import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { makeCluster } from '../support/machines.ts'

test('backends of this version go on beside a schema of the next version, and start on it, while both write', async () => {
  const cluster = await makeCluster('PostgreSQL')
  const running = await cluster.start()
  const atRunning = await running.listen('Ben', 'filter=example/main')
  // Statements are planned before the tables change.
  for (let count = 0; count < 5; count += 1) expect(await running.send('Ada', `before ${count}.`)).toBe(201)
  await atRunning.until(/before 4\./)

  await running.store.write(async (db) => {
    for (const table of ['messages', 'events', 'users', 'tokens', 'flows', 'channels'])
      await sql`alter table ${sql.table(table)} add column added_later text default 'x'`.execute(db)
    await sql`create table added_later (id bigint)`.execute(db)
    await sql`insert into kysely_migration (name, timestamp) values ('9999-next', '2026-01-01')`.execute(db)
    await db.insertInto('compatible_migrations').values({ name: '9999-next' }).execute()
  })
  const started = await cluster.start()
  const atStarted = await started.listen('Ben', 'filter=example/main')
  const contents = Array.from({ length: 40 }, (_, index) => `message ${index}.`)
  const sent = await Promise.all(
    contents.map((content, index) => (index % 2 === 0 ? running : started).send('Ada', content)),
  )
  expect(sent.filter((status) => status !== 201)).toEqual([])
  const received = await Promise.all(
    [atRunning, atStarted].map(async (stream) => {
      for (const content of contents) await stream.until(new RegExp(`"${content}"`))
      return [...stream.text.matchAll(/^id: (\d+)\ndata: .*"content":"(message \d+\.)"/gm)].map(
        ([, id, content]) => `${id} ${content}`,
      )
    }),
  )
  expect(received[0]).toHaveLength(contents.length)
  expect(received[0]).toEqual(received[1])
})
