import * as rules from '../resolvers/rules.ts'
import type { DropRule, Rule, TagRule } from '../upstream/flowdock/model.ts'
import { builder, type InputFields, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const RuleStatus = builder.enumType('RuleStatus', {
  description: 'Whether a rule runs.',
  values: {
    ACTIVE: { value: 'active', description: 'It runs.' },
    PAUSED: { value: 'paused', description: 'It was paused.' },
    DISABLED: {
      value: 'disabled',
      description:
        'It lacks a right or an object that it needs: `problem` says which. `resumeRule` starts it again.',
    },
  } as const,
})

const problemCodes = {
  CHAT_CREDENTIAL_REVOKED:
    'The token or password with which the rule was made or last changed is not valid any more.',
  FLOW_FORBIDDEN: 'Its owner is not a member of the flow any more.',
  FLOW_ARCHIVED: 'The flow is archived.',
  SOURCE_REMOVED: 'The source of its activities was removed.',
  THINGS_CREDENTIAL_REVOKED:
    'The token of flowthings with which the rule was made or last changed is not valid any more.',
  THINGS_FLOW_NOT_FOUND: 'The flow of flowthings was deleted, or is not shared with the account any more.',
  THINGS_FLOW_FORBIDDEN: 'The token of flowthings does not permit the drops of the flow any more.',
  REFUSED:
    'An activity or a drop was refused, such as by the filter of the flow of flowthings. The rule goes on.',
  UNKNOWN: 'A problem that this version of the gateway does not know.',
} as const

type ProblemCode = keyof typeof problemCodes

const RuleProblemCode = builder.enumType('RuleProblemCode', {
  description: 'Why a rule wrote nothing.',
  values: Object.fromEntries(
    Object.entries(problemCodes).map(([code, description]) => [code, { description }]),
  ) as Record<ProblemCode, { description: string }>,
})

const RuleProblem = builder.objectRef<Exclude<Rule['problem'], null>>('RuleProblem').implement({
  description: 'Why a rule wrote nothing the last time.',
  fields: (t) => ({
    code: t.field({
      type: RuleProblemCode,
      description: 'The kind of problem, for programs.',
      resolve: ({ code }) => (code in problemCodes ? (code as ProblemCode) : 'UNKNOWN'),
    }),
    message: t.exposeString('message', { description: 'A message for the owner of the rule.' }),
    occurredAt: t.field({
      type: 'DateTime',
      description: 'The time when it was noticed.',
      resolve: ({ at }) => at,
    }),
  }),
})

builder.interfaceType('Rule', {
  description:
    'A rule that joins a flow and a flow of flowthings. It acts with the rights that its owner and the token of flowthings have when it runs. Members of the flow see it.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: ({ kind }) => kind,
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: rules.id }),
    databaseId: t.exposeInt('id', { description: 'The number in the upstream.' }),
    name: t.exposeString('name', { description: 'The display name.' }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      description: 'The flow of the chat. Null when you cannot see it.',
      resolve: rules.flow,
    }),
    thingsFlow: t.field({
      type: 'ThingsFlow',
      nullable: true,
      calls: { isBulk: true },
      description: 'The flow of flowthings. Null when your account cannot see it.',
      resolve: rules.thingsFlow,
    }),
    thingsFlowId: t.exposeID('thingsFlowId', {
      description: 'The id of the flow of flowthings in the upstream: `f` and 24 hexadecimal digits.',
    }),
    creator: t.field({
      type: 'User',
      nullable: true,
      calls: { once: ['users'] },
      description: 'The user who made the rule and owns it. Null when you cannot see the user.',
      resolve: rules.creator,
    }),
    ruleStatus: t.field({
      type: RuleStatus,
      isVolatile: true,
      description: 'Whether it runs.',
      resolve: ({ status }) => status,
    }),
    problem: t.field({
      isVolatile: true,
      type: RuleProblem,
      nullable: true,
      description: 'Why it wrote nothing the last time. Null when there was no problem.',
      resolve: ({ problem }) => problem,
    }),
    runCount: t.exposeInt('runCount', {
      isVolatile: true,
      description: 'The number of activities or drops that it has made.',
    }),
    skippedCount: t.exposeInt('skippedCount', {
      isVolatile: true,
      description:
        'The number of drops or messages that it left out, because there were more than 60 in a minute, or 1,000 waited.',
    }),
    lastRunAt: t.field({
      isVolatile: true,
      type: 'DateTime',
      ...nullable('The time when it last made an activity or a drop. Null when it made none.'),
      resolve: ({ lastRunAt }) => lastRunAt,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'The time when it was made.',
      resolve: ({ createdAt }) => createdAt,
    }),
    updatedAt: t.field({
      isVolatile: true,
      type: 'DateTime',
      description: 'The time of the last change.',
      resolve: ({ updatedAt }) => updatedAt,
    }),
  }),
})

/** The options of a part that `updateDropRule` changes: no event says so. */
function changing(description: string) {
  return { ...nullable(description), isVolatile: true }
}

builder.objectType('DropRule', {
  description: 'A rule that makes activities in a flow of drops of a flow of flowthings.',
  interfaces: ['Rule', builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: rules.id }),
    filter: t.exposeString(
      'filter',
      changing('The drops that it takes, in the filter language. Null for all.'),
    ),
    titleTemplate: t.exposeString('title', {
      isVolatile: true,
      description: 'The template of the title of activities, as HTML.',
    }),
    bodyTemplate: t.exposeString(
      'body',
      changing('The template of the body of activities, as HTML. Null for activities without a body.'),
    ),
    threadKeyTemplate: t.exposeString(
      'threadKey',
      changing('The template of the key by which activities are joined to threads. Null for one thread.'),
    ),
    threadTitleTemplate: t.exposeString(
      'threadTitle',
      changing('The template of the title of threads. Null for the key, or the name of the rule.'),
    ),
    source: t.field({
      type: 'Source',
      nullable: true,
      calls: { batch: 'flow sources' },
      description: 'The source of its activities. Null when it was removed.',
      resolve: rules.source,
    }),
  }),
})

builder.objectType('TagRule', {
  description:
    'A rule that makes drops in a flow of flowthings of messages with a tag. A drop has the elements `text`, `author`, `authorId`, `tags`, `tag`, `kind`, `flow`, `messageId`, `uuid`, `threadId`, `sentAt` and `url`.',
  interfaces: ['Rule', builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: rules.id }),
    tag: t.exposeString('tag', { isVolatile: true, description: 'The tag, without `#`.' }),
  }),
})

const rulesOf = {
  ...{ nullable: true, isVolatile: true, listSize: 20 },
  calls: { once: ['capabilities'], batch: 'flow rules' },
} as const

builder.objectFields('Flow', (t) => ({
  dropRules: t.connection(
    {
      type: 'DropRule',
      ...rulesOf,
      description:
        'The rules that make activities in the flow, ordered by id; `first: 100` by default. Null when they cannot be read.',
      resolve: rules.flowRules('DropRule'),
    },
    { name: 'DropRuleConnection' },
    { name: 'DropRuleEdge' },
  ),
  tagRules: t.connection(
    {
      type: 'TagRule',
      ...rulesOf,
      description:
        'The rules that make drops of messages of the flow, ordered by id; `first: 100` by default. Null when they cannot be read.',
      resolve: rules.flowRules('TagRule'),
    },
    { name: 'TagRuleConnection' },
    { name: 'TagRuleEdge' },
  ),
}))

const DropRulePayload = mutationPayload<{ rule: DropRule }>('DropRulePayload', {
  description: 'The result of a new or changed rule for drops.',
  fields: (t) => ({
    dropRule: t.field({ type: 'DropRule', description: 'The rule.', resolve: ({ rule }) => rule }),
  }),
})

const TagRulePayload = mutationPayload<{ rule: TagRule }>('TagRulePayload', {
  description: 'The result of a new or changed rule for a tag.',
  fields: (t) => ({
    tagRule: t.field({ type: 'TagRule', description: 'The rule.', resolve: ({ rule }) => rule }),
  }),
})

const RulePayload = mutationPayload<{ rule: Rule }>('RulePayload', {
  description: 'The result of a rule that was paused or resumed.',
  fields: (t) => ({
    rule: t.field({ type: 'Rule', description: 'The rule after the change.', resolve: ({ rule }) => rule }),
  }),
})

const flows = (t: InputFields) => ({
  flow: t.field({
    type: 'FlowBy',
    required: true,
    description: 'The flow of the chat. You must be a member.',
  }),
  thingsFlow: t.field({ type: 'ThingsFlowBy', required: true, description: 'The flow of flowthings.' }),
})

const templates = (t: InputFields) => ({
  filter: t.field({
    type: 'ThingsFilter',
    description: 'The drops to take; all by default. Not together with `filterText`.',
  }),
  filterText: t.string({ description: 'The same in the filter language. A blank text takes all drops.' }),
  bodyTemplate: t.string({
    description: 'The template of the body of activities, as HTML. A blank text removes it.',
  }),
  threadKeyTemplate: t.string({
    description:
      'The template of a key: activities with the same key are in one thread, such as `{{sensor}}`, or `{{id}}` for a thread for each drop. By default all are in one thread.',
  }),
  threadTitleTemplate: t.string({
    description: 'The template of the title of threads; by default the key, or the name of the rule.',
  }),
})

const title =
  'The template of the title of activities, as HTML. Names of elements in double braces, as in `{{celsius}} degrees`, become their values. Members of drops are named as in filters, such as `{{creationDate}}`.'

/** Looks up both flows, makes a permit and adds the rule. Where that fails, it asks whether the upstream has rules. */
const creation = { each: 4, once: ['capabilities'] } as const

const ruleId = (what: string) => ({ required: true as const, description: `The global id of the ${what}.` })

mutation('createDropRule', {
  description:
    'Makes activities in a flow of the drops of a flow of flowthings, from the next drop on. It needs both credentials. A source with the name of the rule is added to the flow.',
  input: mutationInput('CreateDropRuleInput', {
    description: 'The rule to add.',
    fields: (t) => ({
      ...flows(t),
      name: t.string({
        required: true,
        description: 'The display name, also that of the author of activities.',
      }),
      titleTemplate: t.string({ required: true, description: title }),
      ...templates(t),
    }),
  }),
  payload: DropRulePayload,
  calls: creation,
  resolve: rules.createDropRule,
})

mutation('updateDropRule', {
  description:
    'Changes a rule for drops that you own. From then on it acts with the credentials of this request.',
  input: mutationInput('UpdateDropRuleInput', {
    description: 'The changes to a rule. Fields that are not given keep their values.',
    fields: (t) => ({
      ruleId: t.id(ruleId('rule')),
      titleTemplate: t.string({ description: title }),
      ...templates(t),
    }),
  }),
  payload: DropRulePayload,
  resolve: rules.updateDropRule,
})

mutation('createTagRule', {
  description:
    'Makes drops in a flow of flowthings of the messages of a flow that have a tag, from the next message on, also when the tag is added later. It needs both credentials.',
  input: mutationInput('CreateTagRuleInput', {
    description: 'The rule to add.',
    fields: (t) => ({
      ...flows(t),
      tag: t.string({ required: true, description: 'The tag, with or without `#`.' }),
      name: t.string({ description: 'The display name; by default the tag with `#`.' }),
    }),
  }),
  payload: TagRulePayload,
  calls: creation,
  resolve: rules.createTagRule,
})

mutation('updateTagRule', {
  description:
    'Changes a rule for a tag that you own. From then on it acts with the credentials of this request.',
  input: mutationInput('UpdateTagRuleInput', {
    description: 'The changes to a rule. Fields that are not given keep their values.',
    fields: (t) => ({
      ruleId: t.id(ruleId('rule')),
      tag: t.string({ description: 'Another tag, with or without `#`.' }),
    }),
  }),
  payload: TagRulePayload,
  resolve: rules.updateTagRule,
})

mutation('pauseRule', {
  description:
    'Pauses a rule. Drops and messages until `resumeRule` are left out. Its owner and administrators of the organization may.',
  input: mutationInput('PauseRuleInput', {
    description: 'The rule to pause.',
    fields: (t) => ({ ruleId: t.id(ruleId('rule')) }),
  }),
  payload: RulePayload,
  resolve: rules.pauseRule,
})

mutation('resumeRule', {
  description:
    'Starts a rule again that you own and that was paused or disabled. From then on it acts with the credentials of this request.',
  input: mutationInput('ResumeRuleInput', {
    description: 'The rule to start.',
    fields: (t) => ({ ruleId: t.id(ruleId('rule')) }),
  }),
  payload: RulePayload,
  resolve: rules.resumeRule,
})

mutation('deleteRule', {
  description:
    'Deletes a rule and its source. Its messages and drops stay. Its owner and administrators of the organization may.',
  input: mutationInput('DeleteRuleInput', {
    description: 'The rule to delete.',
    fields: (t) => ({ ruleId: t.id(ruleId('rule')) }),
  }),
  payload: mutationPayload<{ deletedId: string }>('DeleteRulePayload', {
    description: 'The result of a deleted rule.',
    fields: (t) => ({
      deletedRuleId: t.id({
        description: 'The global id of the deleted rule.',
        resolve: ({ deletedId }) => deletedId,
      }),
    }),
  }),
  resolve: rules.deleteRule,
})
