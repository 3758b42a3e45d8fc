import { makeToken } from '../../flowdock/auth.ts'
import { addSource, deleteSource, editSource } from '../../flowdock/operations/sources.ts'
import type { UserRequest } from '../../flowdock/route.ts'
import { checkWritable } from '../../flowdock/routes/access.ts'
import type { FilterCache } from '../../flowthings/filter-cache.ts'
import type { ActivityTexts } from '../../flowthings/operations/drop-rules.ts'
import { usePermit } from '../../flowthings/operations/permits.ts'
import type { ThingsPrincipal } from '../../flowthings/principal.ts'
import { accessDenied, invalid, notFound } from '../../http/errors.ts'
import type { Change } from '../../store/change.ts'
import { type FlowItself, findFlowAccess, isJoined } from '../../store/flows.ts'
import {
  countRules,
  deleteRule as deleteRow,
  deleteRuleJobs,
  findRule,
  insertRule,
  type RuleRow,
  updateRule as updateRow,
} from '../../store/rules.ts'
import { findSources } from '../../store/sources.ts'
import { hashToken } from '../../token-hash.ts'
import { chatCredential, findThingsSide } from '../rights.ts'

/** What a rule does. */
export type RuleSettings = {
  readonly filter: string | null
  readonly texts: ActivityTexts
}

export interface NewRule {
  readonly name: string
  readonly thingsFlowId: string
  /** The text that `createPermit` made. */
  readonly permit: string
  readonly settings: RuleSettings
  /** The tag of a tag rule; null for a drop rule. */
  readonly tag: string | null
}

/** The most rules of an account, and of a flow on each side: each message and drop is compared with those of its flow. */
const maxRules = { account: 50, flow: 20 } as const

type Sender = Pick<UserRequest, 'user' | 'signedInBy' | 'applicationId'>

/** Adds a rule to a flow of the chat. @throws HttpError 400, 403 */
export async function addRule(
  change: Change,
  filters: FilterCache,
  flow: FlowItself,
  sender: Sender,
  rule: NewRule,
): Promise<RuleRow> {
  const { db } = change
  const { user } = sender
  await checkWritable(db, user.id, flow.id)
  const now = change.now()
  const kind = rule.tag === null ? 'drop' : 'tag'
  const principal = await requirePermit(change, rule.permit)
  await requireThingsFlow(change, filters, { kind, things_flow_id: rule.thingsFlowId }, principal)
  await checkCounts(change, flow.id, rule.thingsFlowId, principal)
  const { name, tag, settings } = rule
  const source =
    kind === 'tag'
      ? undefined
      : // Its flow token is discarded, so that only the server can write as this source.
        await addSource(change, flow, user, {
          ...{ name, tokenHash: hashToken(makeToken()), applicationId: sender.applicationId },
        })
  return insertRule(db, {
    ...{ kind, flow_id: flow.id, user_id: user.id, ...chatCredential(sender.signedInBy) },
    ...{ account_id: principal.account.id, things_flow_id: rule.thingsFlowId },
    ...{ things_token_hash: principal.tokenHash, name, source_id: source?.id ?? null, tag },
    ...{ filter: settings.filter, templates_json: JSON.stringify(settings.texts), status: 'active' },
    ...{ problem_code: null, problem_message: null, problem_at: null, last_run_at: null },
    ...{ created_at: now, updated_at: now },
  })
}

async function requirePermit({ db, now }: Change, permit: string): Promise<ThingsPrincipal> {
  const principal = await usePermit(db, permit, now())
  if (principal !== undefined) return principal
  throw invalid({ things_permit: ['is not valid: it was used, has expired, or is of another server'] })
}

async function requireThingsFlow(
  { db, now }: Change,
  filters: FilterCache,
  rule: Pick<RuleRow, 'kind' | 'things_flow_id'>,
  principal: ThingsPrincipal,
): Promise<void> {
  const side = await findThingsSide(db, filters, rule, principal, now())
  if ('code' in side) throw invalid({ things_flow: [`cannot be used: ${side.message}`] })
}

async function checkCounts(
  { db }: Change,
  flowId: string,
  thingsFlowId: string,
  { account }: ThingsPrincipal,
): Promise<void> {
  if ((await countRules(db, 'account_id', account.id)) >= maxRules.account)
    throw invalid({ rules: [`of the account are ${maxRules.account} already, and more are not stored`] })
  if ((await countRules(db, 'flow_id', flowId)) >= maxRules.flow)
    throw invalid({ flow: [`has ${maxRules.flow} rules already, and more are not stored`] })
  if ((await countRules(db, 'things_flow_id', thingsFlowId)) >= maxRules.flow)
    throw invalid({ things_flow: [`has ${maxRules.flow} rules already, and more are not stored`] })
}

/** A rule of a flow. @throws HttpError 404 */
export async function requireRule({ db }: Pick<Change, 'db'>, flowId: string, id: number): Promise<RuleRow> {
  const rule = await findRule(db, id)
  if (rule === undefined || rule.flow_id !== flowId) throw notFound()
  return rule
}

export interface RuleChanges {
  readonly permit: string
  readonly filter?: string | null
  readonly texts?: Partial<ActivityTexts>
  readonly tag?: string
  /** Whether it starts again if it is paused or disabled. */
  readonly isResumed: boolean
}

/**
 * Changes a rule. From then on it acts with the credentials of this request.
 *
 * @throws HttpError 403 for another user's rule
 */
export async function changeRule(
  change: Change,
  filters: FilterCache,
  flow: FlowItself,
  sender: Sender,
  id: number,
  changes: RuleChanges,
): Promise<RuleRow> {
  const { db } = change
  await checkWritable(db, sender.user.id, flow.id)
  const rule = await requireRule(change, flow.id, id)
  if (rule.user_id !== sender.user.id) throw accessDenied()
  const principal = await requirePermit(change, changes.permit)
  if (principal.account.id !== rule.account_id)
    throw invalid({ things_permit: ['is of another account than that of the rule'] })
  await requireThingsFlow(change, filters, rule, principal)
  const [source] = rule.source_id === null ? [] : await findSources(db, [rule.source_id])
  if (changes.isResumed && source !== undefined && source.deleted_at !== null)
    throw invalid({ status: ['cannot be active: the source of the rule was removed; make another rule'] })
  if (changes.isResumed && source?.error_message != null)
    await editSource(change, source.id, { error_message: null })
  const { filter, texts, tag, isResumed } = changes
  await updateRow(db, id, {
    ...chatCredential(sender.signedInBy),
    things_token_hash: principal.tokenHash,
    ...(filter === undefined ? {} : { filter }),
    ...(texts === undefined
      ? {}
      : { templates_json: JSON.stringify({ ...JSON.parse(rule.templates_json), ...texts }) }),
    ...(tag === undefined ? {} : { tag }),
    ...(isResumed
      ? { status: 'active' as const, problem_code: null, problem_message: null, problem_at: null }
      : {}),
    updated_at: change.now(),
  })
  return requireRule(change, flow.id, id)
}

/** Pauses a rule, and deletes what waits for it. @throws HttpError 403, 404 */
export async function pauseRule(
  change: Change,
  flow: FlowItself,
  userId: number,
  id: number,
): Promise<RuleRow> {
  const rule = await requireOwned(change, flow, userId, id)
  if (rule.status === 'active') {
    await updateRow(change.db, id, { status: 'paused', updated_at: change.now() })
    await deleteRuleJobs(change.db, id)
  }
  return requireRule(change, flow.id, id)
}

/** Deletes a rule and its source. What it wrote stays. @throws HttpError 403, 404 */
export async function removeRule(
  change: Change,
  flow: FlowItself,
  userId: number,
  id: number,
): Promise<void> {
  const rule = await requireOwned(change, flow, userId, id)
  const [source] = rule.source_id === null ? [] : await findSources(change.db, [rule.source_id])
  await deleteRow(change.db, id)
  if (source?.deleted_at === null) await deleteSource(change, source.id)
}

/** Its owner and administrators of the organization may end a rule while they are members of its flow. */
async function requireOwned(
  change: Change,
  { id: flowId }: FlowItself,
  userId: number,
  id: number,
): Promise<RuleRow> {
  const rule = await requireRule(change, flowId, id)
  const access = await findFlowAccess(change.db, userId, flowId)
  if (access === undefined || !isJoined(access)) throw accessDenied()
  if (rule.user_id !== userId && access.organization_admin !== 1) throw accessDenied()
  return rule
}
