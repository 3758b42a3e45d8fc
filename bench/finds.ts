import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { parseFilter } from '../src/backend/flowthings/filter/parse.ts'
import { scanDrops } from '../src/backend/flowthings/operations/scan-drops.ts'
import { openStore, type Store } from '../src/backend/store/db.ts'

/*
 * What a find of 20 drops costs in a flow of a thousand and of a million drops (`DROPS`), in SQLite, and how long the thread of the
 * backend is occupied without a pause.
 */

const sizes = [1000, Number(process.env['DROPS'] ?? 1_000_000)]
const now = Date.UTC(2015, 6, 6)
/** A drop each second, the last one now. The room is one of 4, and one drop in 5,000 has an alarm. */
const finds = [
  '',
  'creationDate <= NEWEST_HALF',
  'creationDate > NEWEST_HALF && creationDate < NEWEST_HALF_END',
  'AGE < 600000 && elems.temp > 30',
  'elems.temp > 30',
  'elems.room == "kitchen" && elems.temp > 30',
  'elems.room =~ /^kit/',
  'EXISTS elems.alarm',
  'elems.temp > 1000',
  'elems.room =~ /nowhere/',
] as const
const rounds = 15

export async function measureFinds(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'finds-'))
  try {
    const store = await openStore(join(folder, 'finds.db'))
    for (const [index, size] of sizes.entries()) await fill(store, index + 1, size)
    console.log(`find of 20 drops, newest first, milliseconds (longest time without a pause), medians`)
    console.log(`${sizes.map((size) => `${size.toLocaleString('en')} drops`.padStart(22)).join('')}  ratio`)
    for (const text of finds) {
      const results: { ms: number; pauseMs: number; found: number }[] = []
      for (const [index, size] of sizes.entries())
        results.push(await measure(store, index + 1, expand(text, size)))
      const cells = results.map(({ ms, pauseMs }) => `${ms.toFixed(2)} (${pauseMs.toFixed(0)})`.padStart(22))
      const ratio = (results[1]?.ms ?? 0) / (results[0]?.ms ?? 1)
      const found = results.map((result) => result.found).join(' and ')
      console.log(
        `${cells.join('')}  ${ratio.toFixed(1).padStart(7)}  ${text || 'no filter'}  (${found} found)`,
      )
    }
    await store.close()
  } finally {
    await rm(folder, { recursive: true })
  }
}

function expand(text: string, size: number): string {
  const half = now - (size / 2) * 1000
  return text.replaceAll('NEWEST_HALF_END', String(half + 60_000)).replaceAll('NEWEST_HALF', String(half))
}

async function fill(store: Store, no: number, size: number): Promise<void> {
  await store.write(async (db) => {
    const account = { name: `account${no}`, identity_id: `i${no}`, token_hash: `h${no}`, created_at: 0 }
    const { id } = await db
      .insertInto('things_accounts')
      .values(account)
      .returning('id')
      .executeTakeFirstOrThrow()
    const flow = { no, id: `f${no}`, account_id: id, path: `/a/${no}`, path_key: `/a/${no}`, capacity: size }
    await db
      .insertInto('things_flows')
      .values({ ...flow, details_json: '{}', creator_id: 'i', created_at: 0, last_seq: size, drops: size })
      .execute()
    await sql`insert into things_drops (flow_no, seq, id, fhash, created_at, drop_json)
      with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${size})
      select ${no}, n, printf('d%024x', n), null, ${now} - (${size} - n) * 1000,
        '{"version":0,"elems":{"temp":' || (10 + (n * 7919) % 250 / 10.0)
          || ',"room":"' || (case n % 4 when 0 then 'kitchen' when 1 then 'hall' when 2 then 'cellar' else 'attic' end)
          || '","count":' || n || ',"on":true' || (case n % 5000 when 0 then ',"alarm":true' else '' end) || '}}'
      from numbers`.execute(db)
  })
}

async function measure(store: Store, no: number, text: string) {
  const flow = { no, id: `f${no}`, path: `/a/${no}` }
  const times: number[] = []
  let found = 0
  const pausesMs: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const pauses = watchPauses()
    const begin = performance.now()
    found = 0
    for await (const _ of scanDrops({ db: store.reader, now }, flow, parseFilter(text), {
      descending: true,
    })) {
      found += 1
      if (found === 20) break
    }
    times.push(performance.now() - begin)
    pausesMs.push(pauses.stop())
    // A scan of everything is not repeated so often.
    if (round >= 2 && performance.now() - begin > 200) break
  }
  return { ms: median(times), pauseMs: median(pausesMs), found }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** The longest time that the thread did nothing else. */
function watchPauses() {
  let last = performance.now()
  let longest = 0
  let isRunning = true
  const tick = () => {
    const time = performance.now()
    longest = Math.max(longest, time - last)
    last = time
    if (isRunning) setImmediate(tick)
  }
  setImmediate(tick)
  return {
    stop() {
      isRunning = false
      return Math.max(longest, performance.now() - last)
    },
  }
}
