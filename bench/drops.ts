import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../src/backend/store/db.ts'
import { createLeanClient } from './load.ts'

/*
 * Drops that are on the disk when they are acknowledged, written by 16 clients over REST, beside SQLite alone that writes the same
 * rows with the same durability.
 */

const token = 'AliceAliceAliceAliceAliceAlice12'
const writers = Number(process.env['WRITERS'] ?? 16)
const roundMs = Number(process.env['ROUND_MS'] ?? 3000)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const elems = { temp: 21.5, room: 'kitchen', count: 12, on: true }

export async function measureDrops(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'drops-'))
  const server = await startServer(join(folder, 'data'))
  try {
    const sqlite = await openAlone(join(folder, 'alone.db'))
    const [flow, full] = [await server.makeFlow('/alice/a', 100_000), await server.makeFlow('/alice/b', 1000)]
    const contenders: Record<string, () => Promise<number>> = {
      [`SQLite alone, the same rows, ${writers} drops to a commit`]: () => alone(sqlite, writers),
      'SQLite alone, the same rows, 1 drop to a commit': () => alone(sqlite, 1),
      [`REST, ${writers} writers`]: () => server.write(flow),
      [`REST, ${writers} writers, a flow that is full`]: () => server.write(full),
    }
    const rates = new Map<string, number[]>()
    for (let round = 0; round < rounds; round += 1)
      for (const [name, run] of Object.entries(contenders))
        rates.set(name, [...(rates.get(name) ?? []), await run()])
    const base = median([...rates.values()][0] ?? [])
    for (const [name, values] of rates) {
      const rate = median(values)
      console.log(`${rate.toFixed(0).padStart(8)}/s  ${(rate / base).toFixed(2)} x  ${name}`)
    }
    console.log(`CPU time of the server for a drop: ${server.cpuOfDrop().toFixed(0)} µs`)
  } finally {
    await server.close()
    await rm(folder, { recursive: true })
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

async function startServer(dataDir: string) {
  const child = spawn(
    process.execPath,
    [
      ...(process.env['PROFILE'] === '1' ? ['--cpu-prof'] : []),
      resolve(import.meta.dirname, 'things-server.ts'),
      dataDir,
      token,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!output.includes('\n')) await once(child.stdout, 'data')
  const [port = 0] = output.split('\n').map(Number)
  let [written, cpu] = [0, 0]
  const credential = { 'X-Auth-Token': token }
  const usage = async () => {
    const before = output.length
    child.stdin.write('cpu\n')
    while (!output.slice(before).includes('\n')) await once(child.stdout, 'data')
    return Number(output.slice(before))
  }
  return {
    port,
    cpuOfDrop: () => cpu / written,
    async makeFlow(path: string, capacity: number): Promise<string> {
      const response = await fetch(`http://127.0.0.1:${port}/v0.1/alice/flow`, {
        ...{ method: 'POST', headers: credential, body: JSON.stringify({ path, capacity }) },
      })
      return ((await response.json()) as { body: { id: string } }).body.id
    },
    async write(flow: string): Promise<number> {
      const client = createLeanClient(`http://127.0.0.1:${port}`, `/v0.1/alice/drop/${flow}`, credential)
      const end = performance.now() + roundMs
      const begun = await usage()
      let count = 0
      await Promise.all(
        Array.from({ length: writers }, async () => {
          while (performance.now() < end) {
            await client.post({ elems })
            count += 1
          }
        }),
      )
      client.close()
      cpu += (await usage()) - begun
      written += count
      return (count / roundMs) * 1000
    },
    async close() {
      child.stdin.end()
      await Promise.race([once(child, 'close'), sleep(5000)])
    },
  }
}

/** The tables of the server, and nothing else. */
async function openAlone(path: string): Promise<DatabaseSync> {
  await (await openStore(path)).close()
  const database = new DatabaseSync(path)
  database.exec('pragma synchronous = full; pragma wal_autocheckpoint = 8192')
  database.exec(`insert into things_accounts values (1, 'a', 'i', 'h', 0);
    insert into things_flows (no, id, account_id, path, path_key, capacity, details_json, creator_id, created_at)
      values (1, 'f', 1, '/a/a', '/a/a', 100000, '{}', 'i', 0)`)
  return database
}

async function alone(database: DatabaseSync, together: number): Promise<number> {
  const count = database.prepare(
    'update things_flows set last_seq = last_seq + 1, drops = drops + 1, last_drop_at = ? where no = 1 returning last_seq',
  )
  const drop = database.prepare('insert into things_drops values (1, ?, ?, null, ?, ?)')
  const arrival = database.prepare(
    'insert into things_arrivals values ((select coalesce(max(seq), 0) + 1 from things_arrivals), ?, ?, ?) returning seq',
  )
  const counter = database.prepare(
    `insert into things_counts values (?, ?, ?, 1)
      on conflict (kind, object_id, hour) do update set count = things_counts.count + excluded.count`,
  )
  const json = JSON.stringify({ version: 0, elems })
  const end = performance.now() + roundMs
  let written = 0
  while (performance.now() < end) {
    database.exec('begin immediate')
    for (let index = 0; index < together; index += 1) {
      const now = Date.now()
      const { last_seq: seq } = count.get(now) as { last_seq: number }
      const id = `d${(Math.random() * 2 ** 52).toString(16).padStart(24, '0')}`
      drop.run(seq, id, now, json)
      counter.run('flowDropAdded', 'f', Math.floor(now / 3600_000))
      counter.run('dropCreatedBy', 'i', Math.floor(now / 3600_000))
      arrival.get(now, `[["f","/a/a","/a/a",1],[1,${seq},"${id}",null,${now}]]`, json)
    }
    database.exec('commit')
    written += together
    // As the server lets its clients have their turns.
    if (written % (together * 64) === 0) await sleep(0)
  }
  return (written / roundMs) * 1000
}
