import { setTimeout as sleep } from 'node:timers/promises'
import type { Background } from '../background.ts'
import type { Store } from '../store/db.ts'
import { findObject } from '../store/things/objects.ts'
import { listScriptJobs, type ScriptJobRow } from '../store/things/script-jobs.ts'
import type { FilterCache } from './filter-cache.ts'
import { createScriptReader, finishScriptJob } from './operations/scripts.ts'
import { createOwnerAccess } from './operations/tracked-drops.ts'
import type { Things } from './things.ts'
import { readTrack } from './track-model.ts'
import type { ScriptOutcome } from './tracks/script-messages.ts'
import { type ScriptRunner, ScriptsBusyError } from './tracks/script-runner.ts'

/** Runs functions of tracks for the drops that wait for them, in the order of their arrival at each track. */
export interface ScriptJobs {
  /** Called after a commit with new jobs, and at the start for those that a former process left. */
  wake(): void
  /** Runs no more. What waits is run by the next process. */
  close(): void
}

export interface ScriptJobOptions {
  readonly store: Store
  readonly things: Things
  readonly filters: FilterCache
  readonly runner: ScriptRunner
  readonly background: Background
}

/** How many jobs are read at once. Jobs of one track run one after the other, those of several beside each other. */
const pageSize = 200
/** How soon a function is tried again while too many wait. */
const busyMs = 200

export function createScriptJobs({
  store,
  things,
  filters,
  runner,
  background,
}: ScriptJobOptions): ScriptJobs {
  let isRunning = false
  let hasMore = false
  let isClosed = false

  async function runAll(): Promise<void> {
    try {
      while (hasMore && !isClosed) {
        hasMore = false
        for (let page = await listScriptJobs(store.reader, 0, pageSize); page.length > 0 && !isClosed; ) {
          const byTrack = Map.groupBy(page, ({ track_id }) => track_id)
          await Promise.all([...byTrack.values()].map(runInOrder))
          page = await listScriptJobs(store.reader, 0, pageSize)
        }
      }
    } finally {
      // In the same turn as the last look at `hasMore`: otherwise a call of `wake` in between would be lost.
      isRunning = false
    }
  }

  async function runInOrder(jobs: readonly ScriptJobRow[]): Promise<void> {
    for (const job of jobs) {
      if (isClosed) return
      const outcome = await run(job)
      if (isClosed) return
      await things.writeAsAccount(job.account_id, (writing) => finishScriptJob(writing, job, outcome))
    }
  }

  async function run(job: ScriptJobRow): Promise<ScriptOutcome> {
    const track = await findObject(store.reader, job.track_id)
    if (track?.kind !== 'track') return failure('The track is not there')
    const { js, style } = readTrack(track)
    if (js === undefined) return failure('The track has no function')
    const access = await createOwnerAccess({ db: store.reader, filters, now: Date.now() }, track, style)
    const script = {
      owner: String(job.account_id),
      key: track.id,
      text: js,
      drop: JSON.parse(job.drop_json) as unknown,
    }
    for (;;) {
      try {
        return await runner.run(script, createScriptReader(access))
      } catch (error) {
        if (!(error instanceof ScriptsBusyError)) throw error
      }
      await sleep(busyMs, undefined, { ref: false })
    }
  }

  return {
    wake() {
      hasMore = true
      if (isRunning || isClosed) return
      isRunning = true
      background.run(runAll())
    },
    close() {
      isClosed = true
    },
  }
}

function failure(message: string): ScriptOutcome {
  return { error: { message }, log: [] }
}
