import { createAccess } from '../flowthings/access.ts'
import { encodeDrop, parseDrop, readStored, toStored, toSubject } from '../flowthings/drop-model.ts'
import { createFilterCache } from '../flowthings/filter-cache.ts'
import { makeId } from '../flowthings/ids.ts'
import { addAccount } from '../flowthings/operations/accounts.ts'
import { createFlow } from '../flowthings/operations/flows.ts'
import { tokenType } from '../flowthings/operations/object-types/tokens.ts'
import { trackType } from '../flowthings/operations/object-types/tracks.ts'
import { createObjectResource } from '../flowthings/operations/objects.ts'
import { beginWriting } from '../flowthings/operations/writing.ts'
import { makeTokenText } from '../flowthings/principal.ts'
import { toTrack } from '../flowthings/track-model.ts'
import { copyDrop, selectTracks } from '../flowthings/tracks/chain.ts'
import type { Database, Store } from '../store/db.ts'
import { type AccountRow, findAccount, findAccountByTokenHash } from '../store/things/accounts.ts'
import { addCounts } from '../store/things/counts.ts'
import { type DropRow, insertDrops } from '../store/things/drops.ts'
import { type FlowRow, updateFlow } from '../store/things/flows.ts'
import { findObject } from '../store/things/objects.ts'
import { hashToken } from '../token-hash.ts'
import { demoReadings, demoWeeks } from './things-demo-data.ts'
import { storedThingsToken } from './things-token.ts'

/** The demo account of the flowthings API. */
export interface ThingsDemo {
  readonly account: string
  /** Its master token; null if it was replaced. */
  readonly token: string | null
}

export interface ThingsSeedOptions {
  readonly store: Store
  readonly dataDir: string
  readonly account: string
  /** The master token; by default a new one, which is stored in `DATA_DIR/flowthings-token`. */
  readonly token: string | undefined
  /** Whether the account has flows with readings of three weeks, a track and a token. */
  readonly withReadings: boolean
  /** Called when the account was not added, or has another token. */
  readonly onNotice?: ((message: string) => void) | undefined
}

/** Adds the demo account, unless an account with its name exists. An account that exists is left alone. */
export async function seedThingsDemo({
  store,
  dataDir,
  account,
  token: given,
  withReadings,
  onNotice,
}: ThingsSeedOptions): Promise<ThingsDemo> {
  const file = storedThingsToken(dataDir)
  if ((await findAccount(store.reader, account)) === undefined) {
    const token = given ?? (await file.make(() => makeTokenText(32)))
    const now = Date.now()
    const problem = await store.write(async (db) => {
      const owner = await findAccountByTokenHash(db, hashToken(token))
      if (owner !== undefined && owner.name !== account)
        return `The account "${account}" was not added, because the account "${owner.name}" has its master token; "account add" adds it with another one`
      const added = await addAccount(db, account, token, now)
      // Another process may share the database.
      if (added === undefined)
        return owner === undefined
          ? `Another backend added the account "${account}" at the same time; its master token is the valid one`
          : undefined
      if (withReadings) await addReadings(db, added, now)
      return undefined
    })
    if (problem !== undefined) onNotice?.(problem)
  }
  const token = given ?? (await file.read())
  const found = await findAccount(store.reader, account)
  const isValid = token !== undefined && found?.token_hash === hashToken(token)
  return { account, token: isValid ? token : null }
}

const weekMs = 7 * 24 * 3600_000
const hourMs = 3600_000
const typed = 'typed'

/** Adds the flows of a greenhouse, with readings, a track that copies the hot ones, and a token that only reads. */
async function addReadings(db: Database, account: AccountRow, now: number): Promise<void> {
  const filters = createFilterCache()
  const principal = { account, tokenHash: account.token_hash, token: undefined, expiresAt: undefined }
  const begin = now - demoWeeks * weekMs - hourMs
  const access = createAccess({ db, filters, principal, now: begin, style: typed })
  const writing = beginWriting(access)
  const top = `/${account.name}/greenhouse`
  const [source, destination] = [`${top}/temperature`, `${top}/alarms`]
  const temperature = await createFlow(writing, {
    path: source,
    description: 'Readings of the sensors, every half hour',
    capacity: 10_000,
  })
  const alarms = await createFlow(writing, {
    path: destination,
    description: 'Copies of the readings above 30 degrees',
  })
  const { id: trackId } = await createObjectResource(trackType).create(writing, {
    ...{ source, destination, filter: 'elems.celsius > 30', description: 'Copies readings above 30 degrees' },
  })
  await createObjectResource(tokenType).create(writing, {
    paths: { [top]: { read: true, dropRead: true } },
    description: 'Reads the greenhouse, and writes nothing',
  })

  const track = toTrack(
    (await findObject(db, String(trackId))) as NonNullable<Awaited<ReturnType<typeof findObject>>>,
    filters,
  )
  const readings = demoReadings(now).map(({ at, sensor, celsius, humidity }, index) => {
    // The type is said, because the JSON of some readings has no fraction.
    const elems = { sensor, celsius: { type: 'float', value: celsius }, humidity }
    return makeRow(temperature, index, at, { elems })
  })
  const hot = readings.filter((row) => {
    const { passed } = selectTracks([track], toSubject(temperature, row, readStored(row)), row.created_at)
    return passed.length > 0
  })
  const copies = hot.flatMap((row) =>
    copyDrop(encodeDrop(temperature, row, readStored(row), typed), track).map(
      ({ drop }): [number, Readonly<Record<string, unknown>>] => [row.created_at, drop],
    ),
  )
  await addDrops(db, temperature, readings)
  await addDrops(
    db,
    alarms,
    copies.map(([at, drop], index) => makeRow(alarms, index, at, drop)),
  )
  const times = (rows: readonly DropRow[]) => rows.map(({ created_at }) => created_at)
  await addCounts(db, 'trackHit', track.id, times(readings))
  await addCounts(db, 'trackPass', track.id, times(hot))
  await addCounts(db, 'flowTracked', temperature.id, times(hot))
  await addCounts(db, 'flowDropAdded', temperature.id, times(readings))
  await addCounts(db, 'flowDropAdded', alarms.id, times(hot))
  await addCounts(db, 'dropCreatedBy', account.identity_id, [...times(readings), ...times(hot)])
}

function makeRow(
  { no }: FlowRow,
  index: number,
  at: number,
  drop: Readonly<Record<string, unknown>>,
): DropRow {
  const members = parseDrop(drop, undefined)
  return {
    ...{ flow_no: no, seq: index + 1, id: makeId('drop', at), fhash: members.fhash, created_at: at },
    drop_json: toStored(members, 0, undefined),
  }
}

async function addDrops(db: Database, { no }: FlowRow, rows: readonly DropRow[]): Promise<void> {
  await insertDrops(db, rows)
  const last = rows.at(-1)
  if (last !== undefined)
    await updateFlow(db, no, { last_seq: last.seq, drops: rows.length, last_drop_at: last.created_at })
}
