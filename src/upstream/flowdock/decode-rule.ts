import { number, optionalText, optionalTime, record, text } from './decode.ts'
import type { Rule } from './model.ts'

const statuses = new Set<string>(['active', 'paused', 'disabled'] satisfies Rule['status'][])

/** @throws UpstreamError `UPSTREAM_INVALID` */
export function decodeRule(value: unknown): Rule {
  const rule = record(value, 'a rule')
  const status = text(rule, 'status')
  const { problem } = rule
  const common = {
    flowPath: text(rule, 'flow'),
    id: number(rule, 'id'),
    name: text(rule, 'name'),
    thingsFlowId: text(rule, 'things_flow'),
    creatorId: number(rule, 'creator'),
    // A status of a later version: it does not run as this one knows it.
    status: (statuses.has(status) ? status : 'disabled') as Rule['status'],
    problem: problem === null || problem === undefined ? null : decodeProblem(problem),
    runCount: number(rule, 'runs'),
    skippedCount: number(rule, 'skipped'),
    lastRunAt: optionalTime(rule, 'last_run_at'),
    createdAt: optionalTime(rule, 'created_at') ?? 0,
    updatedAt: optionalTime(rule, 'updated_at') ?? 0,
  }
  if (rule['kind'] === 'tag') return { kind: 'TagRule', ...common, tag: text(rule, 'tag') }
  return {
    kind: 'DropRule',
    ...common,
    filter: optionalText(rule, 'filter'),
    title: text(rule, 'title'),
    body: optionalText(rule, 'body'),
    threadKey: optionalText(rule, 'thread_key'),
    threadTitle: optionalText(rule, 'thread_title'),
    sourceId: rule['source'] === undefined ? null : number(rule, 'source'),
  }
}

function decodeProblem(value: unknown): Exclude<Rule['problem'], null> {
  const problem = record(value, 'a problem')
  return {
    code: text(problem, 'code'),
    message: text(problem, 'message'),
    at: optionalTime(problem, 'at') ?? 0,
  }
}
