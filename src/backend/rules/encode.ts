import type { WireRule } from '../../wire/flowdock.ts'
import type { ActivityTexts } from '../flowthings/operations/drop-rules.ts'
import type { Flow } from '../store/flows.ts'
import type { RuleRow } from '../store/rules.ts'

export function encodeRule(rule: RuleRow, flow: Pick<Flow, 'organization_slug' | 'slug'>): WireRule {
  const { problem_code: code, problem_message: message, problem_at: at } = rule
  return {
    id: rule.id,
    flow: `${flow.organization_slug}/${flow.slug}`,
    kind: rule.kind,
    name: rule.name,
    things_flow: rule.things_flow_id,
    ...(rule.kind === 'tag' ? { tag: rule.tag ?? '' } : encodeDropRule(rule)),
    creator: rule.user_id,
    status: rule.status,
    problem: code === null || at === null ? null : { code, message: message ?? '', at: toIso(at) },
    runs: rule.runs,
    skipped: rule.skipped,
    last_run_at: rule.last_run_at === null ? null : toIso(rule.last_run_at),
    created_at: toIso(rule.created_at),
    updated_at: toIso(rule.updated_at),
  }
}

function encodeDropRule({ filter, templates_json: json, source_id: source }: RuleRow): Partial<WireRule> {
  const { title, body, threadKey, threadTitle } = JSON.parse(json) as ActivityTexts
  return {
    ...{
      filter,
      title,
      body: body || null,
      thread_key: threadKey || null,
      thread_title: threadTitle || null,
    },
    ...(source === null ? {} : { source }),
  }
}

function toIso(ms: number): string {
  return new Date(ms).toISOString()
}
