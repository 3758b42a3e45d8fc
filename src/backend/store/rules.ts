import type { Insertable, Selectable, Updateable } from 'kysely'
import type { Database, Tables } from './db.ts'
import { prepared } from './prepared.ts'

export type RuleRow = Selectable<Tables['rules']>
export type NewRule = Insertable<Tables['rules']>

export async function findRule(db: Database, id: number): Promise<RuleRow | undefined> {
  return db.selectFrom('rules').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The rules of a flow of the chat, oldest first. */
export async function listRules(db: Database, flowId: string): Promise<RuleRow[]> {
  return db.selectFrom('rules').selectAll().where('flow_id', '=', flowId).orderBy('id').execute()
}

const activeTagRules = prepared<{ flowId: string }, RuleRow>(
  (db, { flowId }) =>
    db
      .selectFrom('rules')
      .selectAll()
      .where('flow_id', '=', flowId)
      .where('kind', '=', 'tag')
      .where('status', '=', 'active')
      .orderBy('id'),
  { remembers: 'always' },
)

/** The active rules for messages of a flow. */
export async function listActiveTagRules(db: Database, flowId: string): Promise<readonly RuleRow[]> {
  return activeTagRules(db, { flowId })
}

const activeDropRules = prepared<{ thingsFlowId: string }, RuleRow>((db, { thingsFlowId }) =>
  db
    .selectFrom('rules')
    .selectAll()
    .where('things_flow_id', '=', thingsFlowId)
    .where('kind', '=', 'drop')
    .where('status', '=', 'active')
    .orderBy('id'),
)

/** The active rules for drops of a flow of flowthings. */
export async function listActiveDropRules(db: Database, thingsFlowId: string): Promise<readonly RuleRow[]> {
  return activeDropRules(db, { thingsFlowId })
}

/** How many rules have a value in a column. */
export async function countRules(
  db: Database,
  column: 'account_id' | 'flow_id' | 'things_flow_id',
  value: string | number,
): Promise<number> {
  const { count } = await db
    .selectFrom('rules')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where(column, '=', value)
    .executeTakeFirstOrThrow()
  return Number(count)
}

export async function insertRule(db: Database, rule: NewRule): Promise<RuleRow> {
  return db.insertInto('rules').values(rule).returningAll().executeTakeFirstOrThrow()
}

export async function updateRule(
  db: Database,
  id: number,
  changes: Updateable<Tables['rules']>,
): Promise<void> {
  await db.updateTable('rules').set(changes).where('id', '=', id).execute()
}

/** Deletes a rule with its jobs. */
export async function deleteRule(db: Database, id: number): Promise<void> {
  await deleteRuleJobs(db, id)
  await db.deleteFrom('rules').where('id', '=', id).execute()
}

/** Why a rule wrote nothing. */
export interface RuleProblem {
  readonly code: string
  readonly message: string
}

/** Notes a problem of a rule, which goes on. */
export async function noteRuleProblem(
  db: Database,
  id: number,
  { code, message }: RuleProblem,
  now: number,
): Promise<void> {
  await updateRule(db, id, { problem_code: code, problem_message: message.slice(0, 1000), problem_at: now })
}

/** Ends a rule until its owner resumes it. What waits for it is deleted. */
export async function disableRule(
  db: Database,
  id: number,
  problem: RuleProblem,
  now: number,
): Promise<void> {
  await noteRuleProblem(db, id, problem, now)
  await updateRule(db, id, { status: 'disabled' })
  await deleteRuleJobs(db, id)
}

/** The same for all rules of a flow of flowthings. */
export async function disableRulesOfThingsFlow(
  db: Database,
  thingsFlowId: string,
  problem: RuleProblem,
  now: number,
): Promise<void> {
  const rules = await db.selectFrom('rules').select('id').where('things_flow_id', '=', thingsFlowId).execute()
  for (const { id } of rules) await disableRule(db, id, problem, now)
}

/** Counts an activity or a drop that a rule made. */
export async function noteRuleRun(db: Database, id: number, now: number): Promise<void> {
  await db
    .updateTable('rules')
    .set((set) => ({
      runs: set('runs', '+', 1),
      last_run_at: now,
      problem_code: null,
      problem_message: null,
      problem_at: null,
    }))
    .where('id', '=', id)
    .execute()
}

export type RuleJobRow = Selectable<Tables['rule_jobs']>

/** The most jobs of a rule in a minute, and the most that wait. A rule makes no activity and no drop of what exceeds them. */
export const maxRuleRunsPerMinute = 60
const maxWaitingJobs = 1000
const minuteMs = 60_000

/**
 * Adds a job for a rule that was read in the same transaction.
 *
 * @param describe makes the job. It is not called past the limits, so rules that are skipped cost little.
 * @returns whether it was added: past the limits it is counted as skipped
 */
export async function addRuleJob(
  db: Database,
  rule: RuleRow,
  describe: () => object,
  now: number,
): Promise<boolean> {
  // Read again: a rule may get several jobs in one transaction.
  const { minute_started_at: started, minute_runs: runs } = await db
    .selectFrom('rules')
    .select(['minute_started_at', 'minute_runs'])
    .where('id', '=', rule.id)
    .executeTakeFirstOrThrow()
  // The clock may have been set back.
  const isSameMinute = now - started < minuteMs && now >= started
  const count = isSameMinute ? runs : 0
  if (count >= maxRuleRunsPerMinute || (await countRuleJobs(db, rule.id)) >= maxWaitingJobs) {
    await db
      .updateTable('rules')
      .set((set) => ({ skipped: set('skipped', '+', 1) }))
      .where('id', '=', rule.id)
      .execute()
    return false
  }
  await updateRule(db, rule.id, {
    minute_runs: count + 1,
    ...(isSameMinute ? {} : { minute_started_at: now }),
  })
  await db
    .insertInto('rule_jobs')
    .values({ rule_id: rule.id, job_json: JSON.stringify(describe()), created_at: now })
    .execute()
  return true
}

async function countRuleJobs(db: Database, ruleId: number): Promise<number> {
  const { count } = await db
    .selectFrom((query) =>
      query
        .selectFrom('rule_jobs')
        .select('no')
        .where('rule_id', '=', ruleId)
        .limit(maxWaitingJobs)
        .as('jobs'),
    )
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The rules with jobs that were added before a time, in the order of their ids, which are larger than `after`. */
export async function listRulesWithJobs(
  db: Database,
  { after = 0, before = Number.MAX_SAFE_INTEGER }: { readonly after?: number; readonly before?: number },
  limit: number,
): Promise<RuleRow[]> {
  return db
    .selectFrom('rules')
    .selectAll()
    .where('id', '>', after)
    .where('id', 'in', (query) =>
      query.selectFrom('rule_jobs').select('rule_id').where('created_at', '<', before),
    )
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** The oldest job of a rule. */
export async function findRuleJob(db: Database, ruleId: number): Promise<RuleJobRow | undefined> {
  return db
    .selectFrom('rule_jobs')
    .selectAll()
    .where('rule_id', '=', ruleId)
    .orderBy('no')
    .limit(1)
    .executeTakeFirst()
}

/** @returns whether it was there */
export async function takeRuleJob(db: Database, no: number): Promise<boolean> {
  const row = await db.deleteFrom('rule_jobs').where('no', '=', no).returning('no').executeTakeFirst()
  return row !== undefined
}

export async function deleteRuleJobs(db: Database, ruleId: number): Promise<void> {
  await db.deleteFrom('rule_jobs').where('rule_id', '=', ruleId).execute()
}
