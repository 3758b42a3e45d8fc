import { addRuleJob, listActiveDropRules, type RuleRow } from '../../store/rules.ts'
import { toSubject } from '../drop-model.ts'
import type { Subject } from '../filter/subject.ts'
import { parseTemplate, type ValueTexts } from '../templates.ts'
import type { Arrival, Writing } from './writing.ts'

/** The texts of the activities of a drop rule, as templates or rendered. */
export interface ActivityTexts {
  /** HTML. */
  readonly title: string
  /** HTML; blank for none. */
  readonly body: string
  /** Activities with the same key are in one thread. */
  readonly threadKey: string
  readonly threadTitle: string
}

/** What a drop rule writes: an activity. */
export interface DropJob {
  /** Names the drop and its version. */
  readonly uuid: string
  readonly texts: ActivityTexts
}

/** The most characters of rendered texts: a message has 64 KiB at most, in UTF-8. */
const mostCharacters = { title: 1000, body: 12_000, threadKey: 500, threadTitle: 500 } as const

/** Gives drop rules their jobs for the drops of a change, within its transaction. */
export async function triggerDropRules(writing: Writing): Promise<void> {
  const { db, now, arrivals, isFromRule, filters } = writing
  if (isFromRule) return
  const byFlow = new Map<string, readonly RuleRow[]>()
  for (const arrival of arrivals) {
    const { flow, row, stored } = arrival
    const rules = byFlow.get(flow.id) ?? (await listActiveDropRules(db, flow.id))
    byFlow.set(flow.id, rules)
    if (rules.length === 0) continue
    const drop = toSubject(flow, row, stored)
    const known: ValueTexts = new Map()
    for (const rule of rules)
      if (
        filters.get(rule.filter, 'drop')(drop, now) &&
        (await addRuleJob(db, rule, () => describe(rule, arrival, drop, known), now))
      )
        writing.hasRuleJobs = true
  }
}

function describe(rule: RuleRow, { row, stored }: Arrival, drop: Subject, known: ValueTexts): DropJob {
  const templates = JSON.parse(rule.templates_json) as ActivityTexts
  const render = (name: keyof ActivityTexts, encode?: (text: string) => string) =>
    parseTemplate(templates[name]).render(drop, encode, known).slice(0, mostCharacters[name]).toWellFormed()
  const threadKey = render('threadKey')
  return {
    uuid: `rule-${rule.id}-${row.id}-${stored.version}`,
    texts: {
      title: render('title', escapeHtml).trim() || escapeHtml(rule.name),
      body: render('body', escapeHtml),
      threadKey,
      threadTitle: render('threadTitle') || threadKey || rule.name,
    },
  }
}

/** A value is text in an activity, whatever it contains. */
function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}
