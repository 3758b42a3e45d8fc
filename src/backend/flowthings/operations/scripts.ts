import { isRecord } from '../../../json-values.ts'
import { findDropByFhash } from '../../store/things/drops.ts'
import { findObject, type ObjectRow } from '../../store/things/objects.ts'
import { type ScriptJobRow, takeScriptJob } from '../../store/things/script-jobs.ts'
import type { Access } from '../access.ts'
import { encodeDrop, readStored } from '../drop-model.ts'
import { parseFindParams } from '../find-params.ts'
import { badRequest, ThingsError } from '../things-error.ts'
import { readTrack } from '../track-model.ts'
import { readReturned, TrackError } from '../tracks/chain.ts'
import type { ScriptOutcome, ScriptRead } from '../tracks/script-messages.ts'
import type { ScriptReader } from '../tracks/script-runner.ts'
import { aggregateDrops } from './aggregate.ts'
import { type FlowAddress, findDropsOf, readDrop } from './drop-requests.ts'
import { resources } from './resources.ts'
import { putMadeDrops, setLastError } from './tracked-drops.ts'
import type { Writing } from './writing.ts'

/** Reads of functions, with the rights of the account whose track it is. [flowthings] flow.js */
export function createScriptReader(access: Access): ScriptReader {
  return async (read, args) => {
    try {
      return { value: await execute(access, read, args) }
    } catch (error) {
      if (error instanceof ThingsError) return { problem: error.message }
      throw error
    }
  }
}

async function execute(
  access: Access,
  read: ScriptRead,
  [first, second, third]: readonly unknown[],
): Promise<unknown> {
  const { style } = access
  switch (read) {
    case 'Drop.find':
      return findDropsOf(access, addressOf(first), parseFindParams(isRecord(second) ? second : {}), style)
    case 'Drop.findFHash': {
      const flow = await requireReadable(access, first)
      const row = await findDropByFhash(access.db, flow.no, String(second))
      return row === undefined ? null : encodeDrop(flow, row, readStored(row), style)
    }
    case 'Drop.get':
      return readDrop(access, addressOf(first), second, style)
    case 'Drop.aggregate':
      return aggregateDrops(access, addressOf(first), second)
    case 'Flow.find':
    case 'Track.find':
      return resourceOf(read).find(access, parseFindParams(isRecord(first) ? first : {}))
    case 'Flow.get':
    case 'Track.get':
      return resourceOf(read).read(access, first)
  }
  throw badRequest(`There is no read "${String(third)}"`)
}

function resourceOf(read: ScriptRead) {
  const resource = resources.get(read.startsWith('Flow.') ? 'flow' : 'track')
  if (resource === undefined) throw new Error(`There is no resource for ${read}`)
  return resource
}

/** Functions name a flow by its id or its path. */
function addressOf(given: unknown): FlowAddress {
  return typeof given === 'string' && given.startsWith('/') ? { path: given } : { flowId: given }
}

function requireReadable(access: Access, given: unknown) {
  const { flowId, path } = addressOf(given)
  return flowId === undefined
    ? access.requireFlowAt(path, 'dropRead')
    : access.requireFlow(flowId, 'dropRead')
}

/**
 * Writes what the function of a track made of a drop, and takes the job away in the same transaction: its drops are written
 * once, whenever the process ends.
 */
export async function finishScriptJob(
  writing: Writing,
  job: ScriptJobRow,
  outcome: ScriptOutcome,
): Promise<void> {
  if (!(await takeScriptJob(writing.db, job.no))) return
  const track = await findObject(writing.db, job.track_id)
  if (track?.kind !== 'track') return
  writing.isFromRule = job.from_rule === 1
  if (outcome.error !== undefined) return setLastError(writing, track, outcome.error.message)
  await writeReturned(writing, track, job, outcome.returned ?? 'null')
}

async function writeReturned(
  writing: Writing,
  track: ObjectRow,
  job: ScriptJobRow,
  json: string,
): Promise<void> {
  const { destination } = readTrack(track)
  const destinations = destination === undefined ? [] : [destination].flat()
  try {
    const source = JSON.parse(job.drop_json) as Record<string, unknown>
    const made = readReturned(JSON.parse(json), source, { destinations })
    await putMadeDrops(writing, track, made, job.hops)
  } catch (error) {
    if (!(error instanceof TrackError)) throw error
    await setLastError(writing, track, error.message)
  }
}
