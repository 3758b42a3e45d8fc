import type { Background } from '../background.ts'
import type { EventLog } from '../event-log.ts'
import type { FilterCache } from '../flowthings/filter-cache.ts'
import type { Things } from '../flowthings/things.ts'
import { ThingsError } from '../flowthings/things-error.ts'
import { HttpError } from '../http/errors.ts'
import type { Store } from '../store/db.ts'
import { findFlow } from '../store/flows.ts'
import { listRulesWithJobs, type RuleRow } from '../store/rules.ts'
import { giveUpJob, RefusedJobError, writeActivity, writeDrop } from './operations/jobs.ts'

/** Runs the jobs of rules: those of one rule in order, those of several beside each other. */
export interface RuleRunner {
  /** Called after a commit with new jobs, and at the start for those that a former process left. */
  wake(): void
  /** Runs the jobs that another backend of the database left, as it was killed. */
  catchUp(): Promise<void>
  /** Runs no more. What waits is run by another backend, or the next process. */
  close(): void
}

export interface RuleRunnerOptions {
  readonly store: Store
  readonly log: EventLog
  readonly things: Things
  readonly filters: FilterCache
  /** The URL of the API, for links to messages. */
  readonly base: string
  readonly background: Background
  readonly onError: (error: unknown) => void
}

const rulesAtOnce = 50
/** A job of another backend is left to it for this long. */
const othersMs = 2000

export function createRuleRunner(options: RuleRunnerOptions): RuleRunner {
  const { store, log, things, filters, base, background, onError } = options
  let isRunning = false
  let hasMore = false
  let isClosed = false

  async function runAll(): Promise<void> {
    try {
      while (hasMore && !isClosed) {
        hasMore = false
        await runOnce()
      }
    } finally {
      // In the same turn as the last look at `hasMore`: otherwise a call of `wake` in between would be lost.
      isRunning = false
    }
  }

  /** Runs the jobs of each rule that has some now. A rule that fails waits for the next time, and holds up no other one. */
  async function runOnce(): Promise<void> {
    for (let after: number | undefined = 0; after !== undefined && !isClosed; ) {
      const rules: RuleRow[] = await listRulesWithJobs(store.reader, { after }, rulesAtOnce)
      await Promise.all(rules.map(runRule))
      after = rules.length === rulesAtOnce ? rules.at(-1)?.id : undefined
    }
  }

  async function runRule(rule: RuleRow): Promise<void> {
    try {
      for (let isMore = true; isMore && !isClosed; ) isMore = await runNext(rule)
    } catch (error) {
      onError(error)
    }
  }

  async function runNext(rule: RuleRow): Promise<boolean> {
    try {
      return await (rule.kind === 'drop' ? runDropRule(rule) : runTagRule(rule))
    } catch (error) {
      if (!(error instanceof RefusedJobError)) throw error
      await store.write((db) => giveUpJob(db, rule.id, error, Date.now()))
      return true
    }
  }

  async function runDropRule(rule: RuleRow): Promise<boolean> {
    const flow = await findFlow(store.reader, { id: rule.flow_id })
    if (flow === undefined) throw new Error(`The flow of rule ${rule.id} is not there`)
    return log.write((change) => writeActivity(change, rule.id, flow, filters, isRefusal), flow)
  }

  function runTagRule(rule: RuleRow): Promise<boolean> {
    return things.writeAsAccount(rule.account_id, (writing) => writeDrop(writing, rule.id, base, isRefusal))
  }

  function wake(): void {
    hasMore = true
    if (isRunning || isClosed) return
    isRunning = true
    background.run(runAll())
  }

  return {
    wake,
    async catchUp() {
      if (isRunning || isClosed) return
      const waiting = await listRulesWithJobs(store.reader, { before: Date.now() - othersMs }, 1)
      if (waiting.length > 0) wake()
    },
    close() {
      isClosed = true
    },
  }
}

function isRefusal(error: unknown): error is Error {
  return (
    (error instanceof HttpError && error.status < 500) || (error instanceof ThingsError && error.status < 500)
  )
}
