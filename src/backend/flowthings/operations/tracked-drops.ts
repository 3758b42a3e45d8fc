import { findAccountById } from '../../store/things/accounts.ts'
import { addCount } from '../../store/things/drop-batch.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import { listObjectsBySubject, type ObjectRow, updateObject } from '../../store/things/objects.ts'
import { countScriptJobs, insertScriptJob } from '../../store/things/script-jobs.ts'
import { type Access, createAccess } from '../access.ts'
import { type DropMembers, encodeDrop, parseDrop, toSubject } from '../drop-model.ts'
import type { Style } from '../style.ts'
import { ThingsError } from '../things-error.ts'
import { readTrack, toTrack, trackSubject } from '../track-model.ts'
import {
  type Chain,
  copyDrop,
  createChain,
  type MadeDrop,
  selectTracks,
  TrackError,
} from '../tracks/chain.ts'
import { storeDrop } from './drops.ts'
import type { Arrival, Writing } from './writing.ts'

/** A drop that a track made. */
interface TrackDrop extends MadeDrop {
  readonly track: ObjectRow
}

/**
 * Adds a drop to a flow, and to the flows that tracks copy it to. What functions of tracks make of it follows after the
 * commit. A track that fails changes nothing of the drop itself.
 *
 * @throws ThingsError 400 when the filter of the flow refuses it
 */
export async function putDrop(writing: Writing, flow: FlowRow, members: DropMembers): Promise<Arrival> {
  const arrival = await storeDrop(writing, flow, members)
  const chain = createChain<TrackDrop>()
  await addToChain(writing, chain, arrival, 0)
  await writeChain(writing, chain)
  return arrival
}

/** Adds the drops that the function of a track made. @param hops of the drop that it was given */
export async function putMadeDrops(
  writing: Writing,
  track: ObjectRow,
  made: readonly MadeDrop[],
  hops: number,
): Promise<void> {
  const chain = createChain<TrackDrop>()
  await noteFailure(writing, track, async () => {
    chain.add(
      made.map((drop) => ({ ...drop, track })),
      hops,
    )
  })
  await writeChain(writing, chain)
}

async function writeChain(writing: Writing, chain: Chain<TrackDrop>): Promise<void> {
  for (let next = chain.next(); next !== undefined; next = chain.next()) {
    const { path, drop, track, hops } = next
    await noteFailure(writing, track, async () => {
      const owner = await createOwnerAccess(writing, track, 'typed')
      const flow = await owner.requireFlowAt(path, 'dropWrite')
      const arrival = await storeDrop(
        writing,
        flow,
        parseDrop(drop, undefined),
        owner.principal.account.identity_id,
      )
      await addToChain(writing, chain, arrival, hops)
    })
  }
}

/** Adds what tracks of its flow make of a drop. */
async function addToChain(
  writing: Writing,
  chain: Chain<TrackDrop>,
  arrival: Arrival,
  hops: number,
): Promise<void> {
  const { db, filters, now } = writing
  const { flow, row, stored } = arrival
  const rows = new Map(
    (await listObjectsBySubject(db, 'track', trackSubject(flow))).map((each) => [each.id, each]),
  )
  if (rows.size === 0) return
  const tracks = [...rows.values()].map((each) => toTrack(each, filters))
  const { hit, passed } = selectTracks(tracks, toSubject(flow, row, stored), now)
  for (const { id } of hit) addCount(db, 'trackHit', id, now)
  for (const track of passed) {
    const trackRow = rows.get(track.id) as ObjectRow
    addCount(db, 'trackPass', track.id, now)
    addCount(db, 'flowTracked', flow.id, now)
    await noteFailure(writing, trackRow, async () => {
      const { style } = readTrack(trackRow)
      const owner = await createOwnerAccess(writing, trackRow, style)
      // The flow may be that of an account that shares it no more.
      await owner.requireFlow(flow.id, 'dropRead')
      if (track.js === null) {
        const made = copyDrop(encodeDrop(flow, row, stored, 'typed'), track)
        chain.add(
          made.map((drop) => ({ ...drop, track: trackRow })),
          hops,
        )
      } else await addScriptJob(writing, trackRow, encodeDrop(flow, row, stored, style), hops)
    })
  }
}

const maxScriptJobs = 10_000

async function addScriptJob(writing: Writing, track: ObjectRow, drop: object, hops: number): Promise<void> {
  const { db, now } = writing
  const { id, account_id: accountId } = track
  if ((await countScriptJobs(db, accountId, maxScriptJobs)) >= maxScriptJobs)
    throw new TrackError(`More than ${maxScriptJobs} drops wait for functions of tracks`)
  await insertScriptJob(db, {
    ...{ track_id: id, account_id: accountId, drop_json: JSON.stringify(drop), hops, created_at: now },
    from_rule: Number(writing.isFromRule),
  })
  writing.hasScriptJobs = true
}

/** What the owner of a track may read and write: a track does nothing that its account may not. */
export async function createOwnerAccess(
  { db, filters, now }: Pick<Access, 'db' | 'filters' | 'now'>,
  { account_id }: ObjectRow,
  style: Style,
): Promise<Access> {
  const account = await findAccountById(db, account_id)
  if (account === undefined) throw new TrackError('The account of the track is not there')
  const principal = { account, tokenHash: account.token_hash, token: undefined, expiresAt: undefined }
  return createAccess({ db, filters, now, style, principal })
}

/** How often a failure is noted that is the same as the one before. */
const noteEveryMs = 60_000

/** Runs what a track does. What it cannot do is noted in the track, for its owner. */
export async function noteFailure(
  writing: Writing,
  track: ObjectRow,
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (!(error instanceof TrackError) && !(error instanceof ThingsError)) throw error
    await setLastError(writing, track, error.message)
  }
}

export async function setLastError({ db, now }: Writing, track: ObjectRow, message: string): Promise<void> {
  const members = JSON.parse(track.object_json) as { lastError?: string; lastErrorDate?: number }
  if (members.lastError === message && now - (members.lastErrorDate ?? 0) < noteEveryMs) return
  const noted = { ...members, lastError: message.slice(0, 1000), lastErrorDate: now }
  await updateObject(db, track.no, { object_json: JSON.stringify(noted) })
}
