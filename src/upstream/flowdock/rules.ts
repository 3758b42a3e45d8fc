import { decodeRule } from './decode-rule.ts'
import { decodeList } from './lists.ts'
import type { Rule } from './model.ts'
import type { FlowdockCalls } from './request.ts'

/** The rules of flows, an extension: they make activities of drops, and drops of messages. */
export interface Rules {
  listOf(flowPath: string): Promise<Rule[]>
  find(flowPath: string, id: number): Promise<Rule | null>
  create(flowPath: string, rule: NewRule): Promise<Rule>
  /** @param changes with a permit, unless they only pause the rule */
  update(flowPath: string, id: number, changes: RuleChanges): Promise<Rule>
  delete(flowPath: string, id: number): Promise<void>
}

/** The parts of a rule that can be changed. A blank text removes one. */
export interface RuleParts {
  readonly filter?: string | undefined
  readonly title?: string | undefined
  readonly body?: string | undefined
  readonly threadKey?: string | undefined
  readonly threadTitle?: string | undefined
  readonly tag?: string | undefined
}

export interface NewRule extends RuleParts {
  readonly kind: Rule['kind']
  readonly name: string
  readonly thingsFlowId: string
  /** From the flowthings upstream. */
  readonly permit: string
}

export interface RuleChanges extends RuleParts {
  readonly permit?: string
  readonly status?: 'active' | 'paused'
}

export function createRules(calls: FlowdockCalls): Rules {
  const pathOf = (flowPath: string, ...rest: string[]) => ['flows', ...flowPath.split('/'), 'rules', ...rest]
  return {
    async listOf(flowPath) {
      const json = await calls.get(pathOf(flowPath), { doing: `list the rules of "${flowPath}"` })
      return decodeList(json, decodeRule, calls.onUnreadable)
    },
    async find(flowPath, id) {
      const json = await calls.find(pathOf(flowPath, String(id)), { doing: `read rule ${id}` })
      return json === null ? null : decodeRule(json)
    },
    async create(flowPath, { kind, name, thingsFlowId, permit, ...parts }) {
      const json = await calls.post(pathOf(flowPath), {
        body: {
          ...{ kind: kind === 'DropRule' ? 'drop' : 'tag', name },
          ...{ things_flow: thingsFlowId, things_permit: permit, ...encodeParts(parts) },
        },
        doing: `add a rule to "${flowPath}"`,
      })
      return decodeRule(json)
    },
    async update(flowPath, id, { permit, status, ...parts }) {
      const json = await calls.put(pathOf(flowPath, String(id)), {
        body: { things_permit: permit, status, ...encodeParts(parts) },
        doing: `change rule ${id}`,
      })
      return decodeRule(json)
    },
    async delete(flowPath, id) {
      await calls.delete(pathOf(flowPath, String(id)), { doing: `delete rule ${id}` })
    },
  }
}

function encodeParts({
  filter,
  threadKey,
  threadTitle,
  ...parts
}: RuleParts): Readonly<Record<string, unknown>> {
  return { ...parts, drop_filter: filter, thread_key: threadKey, thread_title: threadTitle }
}
