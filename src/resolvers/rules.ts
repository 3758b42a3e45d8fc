import type { Context } from '../context.ts'
import { NotFoundError, NotSupportedError, ValidationError } from '../errors.ts'
import type { DropRule, Flow, Rule, Source, TagRule, User } from '../upstream/flowdock/model.ts'
import type { RuleChanges, RuleParts } from '../upstream/flowdock/rules.ts'
import type { ThingsFilter } from '../upstream/flowthings/filter-text.ts'
import type { ThingsFlow } from '../upstream/flowthings/model.ts'
import type { FlowBy } from './flows.ts'
import { decodeGlobalId, encodeInFlow } from './global-id.ts'
import { checkFilled, resolveFlowPath, resolveInFlow } from './inputs.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'
import { resolveThingsFlowId, type ThingsFlowBy } from './things-ids.ts'
import { filterOf } from './things-mutations.ts'

type Maybe<T> = T | null | undefined

export function id({ kind, flowPath, id }: Rule): string {
  return encodeInFlow(kind, flowPath, id)
}

export async function flow({ flowPath }: Rule, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return flowdock.load.flowByPath(flowPath)
}

export async function thingsFlow(
  { thingsFlowId }: Rule,
  _: unknown,
  { flowthings }: Context,
): Promise<ThingsFlow | null> {
  return flowthings.load.flow(thingsFlowId)
}

export async function creator({ creatorId }: Rule, _: unknown, { flowdock }: Context): Promise<User | null> {
  return flowdock.load.user(creatorId)
}

export async function source(
  { flowPath, sourceId }: DropRule,
  _: unknown,
  { flowdock }: Context,
): Promise<Source | null> {
  if (sourceId === null) return null
  const sources = await flowdock.load.flowSources(flowPath)
  return sources.find(({ id }) => id === sourceId) ?? null
}

/** Makes the resolver of the rules of one kind of a flow. */
export function flowRules<Kind extends Rule['kind']>(kind: Kind) {
  type Item = Extract<Rule, { kind: Kind }>
  return async (flow: Flow, args: PageArgs, context: Context): Promise<Connection<Item>> => {
    const { flowdock } = context
    const rules = await flowdock.load
      .flowRules(flow.path)
      .catch((error: unknown) => requireRules(error, context))
    const ofKind = rules.filter((rule): rule is Item => rule.kind === kind)
    return listConnection('rule', ofKind, ({ id }) => id, args)
  }
}

/** Another server of the chat has no such routes, which is 404, too. @throws NotSupportedError, or the error itself */
async function requireRules(error: unknown, context: Context): Promise<never> {
  if (error instanceof NotFoundError && !(await context.flowdock.capabilities()).has('rules'))
    throw new NotSupportedError('The upstream of the chat has no rules')
  throw error
}

interface Texts {
  readonly titleTemplate?: Maybe<string>
  readonly bodyTemplate?: Maybe<string>
  readonly threadKeyTemplate?: Maybe<string>
  readonly threadTitleTemplate?: Maybe<string>
  readonly filter?: Maybe<ThingsFilter>
  readonly filterText?: Maybe<string>
}

function partsOf(input: Texts, context: Context): RuleParts {
  const { titleTemplate: title } = input
  return {
    title: title == null ? undefined : checkFilled(title, 'titleTemplate'),
    body: input.bodyTemplate ?? undefined,
    threadKey: input.threadKeyTemplate ?? undefined,
    threadTitle: input.threadTitleTemplate ?? undefined,
    filter: filterOf(input, context),
  }
}

interface Target {
  readonly flow: FlowBy
  readonly thingsFlow: ThingsFlowBy
}

async function create(
  kind: Rule['kind'],
  { flow, thingsFlow }: Target,
  rule: RuleParts & { readonly name: string },
  context: Context,
): Promise<Rule> {
  const flowPath = await resolveFlowPath(flow, context, ['input', 'flow'])
  const thingsFlowId = await resolveThingsFlowId(thingsFlow, context, ['input', 'thingsFlow'])
  const permit = await context.flowthings.createPermit()
  return context.flowdock.rules
    .create(flowPath, { kind, thingsFlowId, permit, ...rule })
    .catch((error: unknown) => requireRules(error, context))
}

/** The upstream stores no longer names, and tags may be longer. */
const maxNameCharacters = 100

export async function createDropRule(
  _: unknown,
  { input }: { input: Target & Texts & { readonly name: string } },
  context: Context,
): Promise<{ rule: DropRule }> {
  const name = checkFilled(input.name, 'name')
  const rule = { name, ...partsOf(input, context) }
  return { rule: (await create('DropRule', input, rule, context)) as DropRule }
}

export async function createTagRule(
  _: unknown,
  { input }: { input: Target & { readonly name?: Maybe<string>; readonly tag: string } },
  context: Context,
): Promise<{ rule: TagRule }> {
  const tag = checkFilled(input.tag, 'tag')
  const name =
    input.name == null
      ? `#${tag.replace(/^#/, '')}`.slice(0, maxNameCharacters)
      : checkFilled(input.name, 'name')
  return { rule: (await create('TagRule', input, { name, tag }, context)) as TagRule }
}

async function update(
  typename: Rule['kind'],
  ruleId: string,
  changes: RuleChanges,
  context: Context,
): Promise<Rule> {
  const { flowPath, id } = resolveInFlow(typename, ruleId, ['input', 'ruleId'])
  const permit = await context.flowthings.createPermit()
  return context.flowdock.rules.update(flowPath, id, { ...changes, permit })
}

export async function updateDropRule(
  _: unknown,
  { input }: { input: Texts & { readonly ruleId: string } },
  context: Context,
): Promise<{ rule: DropRule }> {
  const rule = await update('DropRule', input.ruleId, partsOf(input, context), context)
  return { rule: rule as DropRule }
}

export async function updateTagRule(
  _: unknown,
  { input }: { input: { readonly ruleId: string; readonly tag?: Maybe<string> } },
  context: Context,
): Promise<{ rule: TagRule }> {
  const changes = input.tag == null ? {} : { tag: checkFilled(input.tag, 'tag') }
  return { rule: (await update('TagRule', input.ruleId, changes, context)) as TagRule }
}

interface RuleInput {
  readonly input: { readonly ruleId: string }
}

export async function pauseRule(
  _: unknown,
  { input }: RuleInput,
  { flowdock }: Context,
): Promise<{ rule: Rule }> {
  const { flowPath, id } = resolveInFlow(typeOf(input.ruleId), input.ruleId, ['input', 'ruleId'])
  return { rule: await flowdock.rules.update(flowPath, id, { status: 'paused' }) }
}

export async function resumeRule(
  _: unknown,
  { input }: RuleInput,
  context: Context,
): Promise<{ rule: Rule }> {
  return { rule: await update(typeOf(input.ruleId), input.ruleId, { status: 'active' }, context) }
}

export async function deleteRule(
  _: unknown,
  { input }: RuleInput,
  { flowdock }: Context,
): Promise<{ deletedId: string }> {
  const { flowPath, id } = resolveInFlow(typeOf(input.ruleId), input.ruleId, ['input', 'ruleId'])
  await flowdock.rules.delete(flowPath, id)
  return { deletedId: input.ruleId }
}

/** @throws ValidationError for the id of anything but a rule */
function typeOf(globalId: string): Rule['kind'] {
  const path = ['input', 'ruleId']
  const { typename } = decodeGlobalId(globalId, path)
  if (typename === 'DropRule' || typename === 'TagRule') return typename
  throw new ValidationError(`Expected input.ruleId to be the id of a rule, got that of a ${typename}`, [], {
    inputPath: path,
  })
}
