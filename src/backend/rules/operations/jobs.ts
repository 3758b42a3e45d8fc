import { sendMessage } from '../../flowdock/operations/messages.ts'
import { editSource } from '../../flowdock/operations/sources.ts'
import type { TagJob } from '../../flowdock/operations/tag-rules.ts'
import { parseDrop } from '../../flowthings/drop-model.ts'
import type { FilterCache } from '../../flowthings/filter-cache.ts'
import type { DropJob } from '../../flowthings/operations/drop-rules.ts'
import { putDrop } from '../../flowthings/operations/tracked-drops.ts'
import type { Writing } from '../../flowthings/operations/writing.ts'
import { HttpError } from '../../http/errors.ts'
import type { Change } from '../../store/change.ts'
import type { Database } from '../../store/db.ts'
import { findFlow } from '../../store/flows.ts'
import {
  disableRule,
  findRule,
  findRuleJob,
  noteRuleProblem,
  noteRuleRun,
  type RuleJobRow,
  type RuleProblem,
  type RuleRow,
  takeRuleJob,
} from '../../store/rules.ts'
import { findSources, type SourceRow } from '../../store/sources.ts'
import { findChatProblem, findThingsSideOf } from '../rights.ts'

/*
 * A job is taken in the transaction that writes its result. So each has one result, whichever backend runs it and whenever
 * one is killed.
 */

/** The result is refused: the job is given up, and the rule goes on. */
export class RefusedJobError extends Error {
  override readonly name = 'RefusedJobError'
  readonly jobNo: number

  constructor(jobNo: number, cause: Error) {
    super(reasonOf(cause), { cause })
    this.jobNo = jobNo
  }
}

/** The message of an error, with what is wrong with each field. */
function reasonOf(error: Error): string {
  if (!(error instanceof HttpError) || typeof error.body === 'string') return error.message
  const fields = Object.entries(error.body.errors ?? {}).map(
    ([name, problems]) => `${name} ${problems.join(', ')}`,
  )
  return [error.body.message, ...fields].join('; ')
}

interface Turn {
  readonly rule: RuleRow
  readonly job: RuleJobRow
}

/** Takes the oldest job of a rule. Undefined when there is none, or the rule does not run any more. */
async function takeTurn(db: Database, ruleId: number): Promise<Turn | undefined> {
  const rule = await findRule(db, ruleId)
  const job = await findRuleJob(db, ruleId)
  if (rule?.status !== 'active' || job === undefined || !(await takeRuleJob(db, job.no))) return undefined
  return { rule, job }
}

/**
 * Writes the activity of the oldest job of a drop rule.
 *
 * @param channel the flow of the rule
 * @param isRefusal whether an error is about what was written, and not a failure of the server
 * @returns whether there was a job
 */
export async function writeActivity(
  change: Change,
  ruleId: number,
  channel: { readonly id: string; readonly channel_id: number },
  filters: FilterCache,
  isRefusal: (error: unknown) => error is Error,
): Promise<boolean> {
  const { db } = change
  const turn = await takeTurn(db, ruleId)
  if (turn === undefined) return false
  const { rule, job } = turn
  const now = change.now()
  const [source] = await findSources(db, rule.source_id === null ? [] : [rule.source_id])
  const problem = await findActivityProblem(db, filters, rule, source, now)
  if (problem !== undefined || source === undefined) {
    if (problem !== undefined) await disableRule(db, ruleId, problem, now)
    if (source?.deleted_at === null && problem !== undefined)
      await editSource(change, source.id, { error_message: problem.message.slice(0, 1000) })
    return true
  }
  const { uuid, texts } = JSON.parse(job.job_json) as DropJob
  try {
    await sendMessage(
      change,
      channel,
      { userId: 0, source, isRule: true },
      {
        ...{ event: 'activity', content: null, tags: [], uuid, author: { name: rule.name } },
        ...{ title: texts.title, body: texts.body === '' ? undefined : texts.body },
        externalThreadId: `key:${texts.threadKey}`,
        thread: { title: texts.threadTitle },
      },
    )
  } catch (error) {
    throw isRefusal(error) ? new RefusedJobError(job.no, error) : error
  }
  await noteRuleRun(db, ruleId, now)
  return true
}

async function findActivityProblem(
  db: Database,
  filters: FilterCache,
  rule: RuleRow,
  source: SourceRow | undefined,
  now: number,
): Promise<RuleProblem | undefined> {
  const problem = await findChatProblem(db, rule)
  if (problem !== undefined) return problem
  if (source?.deleted_at !== null)
    return { code: 'SOURCE_REMOVED', message: 'The source of the rule was removed' }
  const side = await findThingsSideOf(db, filters, rule, now)
  return 'code' in side ? side : undefined
}

/**
 * Writes the drop of the oldest job of a tag rule.
 *
 * @param base the URL of the API
 * @returns whether there was a job
 */
export async function writeDrop(
  writing: Writing,
  ruleId: number,
  base: string,
  isRefusal: (error: unknown) => error is Error,
): Promise<boolean> {
  const { db, now, filters } = writing
  const turn = await takeTurn(db, ruleId)
  if (turn === undefined) return false
  const { rule, job } = turn
  const side = await findThingsSideOf(db, filters, rule, now)
  const problem = (await findChatProblem(db, rule)) ?? ('code' in side ? side : undefined)
  if (problem !== undefined || 'code' in side) {
    if (problem !== undefined) await disableRule(db, ruleId, problem, now)
    return true
  }
  const { messageId, drop } = JSON.parse(job.job_json) as TagJob
  const flow = await findFlow(db, { id: rule.flow_id })
  const url = `${base}/app/${flow?.organization_slug}/${flow?.slug}/messages/${messageId}`
  const elems = { ...drop.elems, tag: rule.tag, url: { type: 'url', value: url } }
  writing.isFromRule = true
  try {
    await putDrop(writing, side.flow, parseDrop({ ...drop, elems }, undefined))
  } catch (error) {
    throw isRefusal(error) ? new RefusedJobError(job.no, error) : error
  }
  await noteRuleRun(db, ruleId, now)
  return true
}

/** Gives a job up whose result was refused. */
export async function giveUpJob(
  db: Database,
  ruleId: number,
  refused: RefusedJobError,
  now: number,
): Promise<void> {
  if (await takeRuleJob(db, refused.jobNo))
    await noteRuleProblem(db, ruleId, { code: 'REFUSED', message: refused.message }, now)
}
