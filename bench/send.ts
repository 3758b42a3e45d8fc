import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { compare, createClient, startGateway } from './load.ts'

/** Messages that are on the disk when they are acknowledged, next to bare inserts with the same durability. */
export async function send(): Promise<void> {
  const gateway = await startGateway()
  const client = createClient(gateway.token)
  const folder = mkdtempSync(join(tmpdir(), 'flowdock-gateway-bench-'))
  const database = new DatabaseSync(join(folder, 'bare.db'))
  database.exec(
    'pragma journal_mode = wal; pragma synchronous = full; create table t (id integer primary key, content text)',
  )
  const insert = database.prepare('insert into t (content) values (?)')
  const content = 'a message of usual length, with a #hashtag and nobody mentioned'

  const commit = (rows: number) => {
    database.exec('begin')
    for (let row = 0; row < rows; row += 1) insert.run(content)
    database.exec('commit')
  }
  const post = (turn: number) =>
    client.call('POST', `${gateway.restUrl}/flows/example/main/messages`, {
      event: 'message',
      content: `${content} ${turn}`,
    })

  await compare('sending, messages', [
    { name: 'bare SQLite, 16 inserts to a commit', concurrency: 1, units: 16, work: async () => commit(16) },
    { name: 'bare SQLite, 1 insert to a commit', concurrency: 1, work: async () => commit(1) },
    { name: 'REST, 16 writers', concurrency: 16, work: async (turn) => void (await post(turn)) },
    { name: 'REST, 1 writer', concurrency: 1, work: async (turn) => void (await post(turn)) },
  ])
  client.close()
  database.close()
  rmSync(folder, { recursive: true, force: true })
  await gateway.close()
}
