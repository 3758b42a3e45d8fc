import type { SignedInBy } from '../flowdock/open-credentials.ts'
import { type Access, createAccess } from '../flowthings/access.ts'
import type { FilterCache } from '../flowthings/filter-cache.ts'
import type { Rights } from '../flowthings/permissions.ts'
import { findPrincipalByHash, type ThingsPrincipal } from '../flowthings/principal.ts'
import { ThingsError } from '../flowthings/things-error.ts'
import { grantOfPassword } from '../grants.ts'
import type { Database } from '../store/db.ts'
import { findFlowAccess, isJoined } from '../store/flows.ts'
import type { RuleProblem, RuleRow } from '../store/rules.ts'
import type { FlowRow as ThingsFlowRow } from '../store/things/flows.ts'
import { findUser, findUserByTokenHash } from '../store/users.ts'

/*
 * A rule has the rights of two credentials: that of the user and that of the account who last changed it. No credential is
 * stored. The rule has the hash of each token, as the tables of tokens have it, and ends with the token.
 */

/** The columns that name the credential of the chat. */
export function chatCredential(signedInBy: SignedInBy): Pick<RuleRow, 'token_hash' | 'password_grant'> {
  if ('tokenHash' in signedInBy) return { token_hash: signedInBy.tokenHash, password_grant: null }
  const { userId, passwordHash } = signedInBy
  return { token_hash: null, password_grant: grantOfPassword(userId, passwordHash) }
}

/** Why a rule may not read and write its flow of the chat now; undefined when it may. */
export async function findChatProblem(db: Database, rule: RuleRow): Promise<RuleProblem | undefined> {
  if (!(await isCredentialValid(db, rule)))
    return {
      code: 'CHAT_CREDENTIAL_REVOKED',
      message: 'The token or password that the rule was made with is not valid any more',
    }
  const flow = await findFlowAccess(db, rule.user_id, rule.flow_id)
  if (flow === undefined || !isJoined(flow))
    return { code: 'FLOW_FORBIDDEN', message: 'The owner of the rule is not a member of the flow any more' }
  if (flow.disabled === 1) return { code: 'FLOW_ARCHIVED', message: 'The flow is archived' }
  return undefined
}

async function isCredentialValid(db: Database, rule: RuleRow): Promise<boolean> {
  const { token_hash: hash, password_grant: grant, user_id: userId } = rule
  if (hash !== null) {
    const user = await findUserByTokenHash(db, hash)
    return user?.disabled === 0 && user.id === userId
  }
  const user = await findUser(db, userId)
  return user?.disabled === 0 && grantOfPassword(userId, user.password_hash) === grant
}

/** The right that a rule needs at its flow of flowthings. */
export function neededRight(kind: RuleRow['kind']): keyof Rights {
  return kind === 'drop' ? 'dropRead' : 'dropWrite'
}

interface ThingsSide {
  readonly access: Access
  readonly flow: ThingsFlowRow
}

/** The flow of flowthings as the token of a rule reads it now, or why it may not. */
export async function findThingsSide(
  db: Database,
  filters: FilterCache,
  rule: Pick<RuleRow, 'kind' | 'things_flow_id'>,
  principal: ThingsPrincipal | undefined,
  now: number,
): Promise<ThingsSide | RuleProblem> {
  if (principal === undefined)
    return {
      code: 'THINGS_CREDENTIAL_REVOKED',
      message: 'The token of flowthings that the rule was made with is not valid any more',
    }
  const access = createAccess({ db, filters, principal, now, style: 'typed' })
  try {
    return { access, flow: await access.requireFlow(rule.things_flow_id, neededRight(rule.kind)) }
  } catch (error) {
    if (!(error instanceof ThingsError)) throw error
    const code = error.status === 403 ? 'THINGS_FLOW_FORBIDDEN' : 'THINGS_FLOW_NOT_FOUND'
    return { code, message: error.message }
  }
}

export async function findThingsSideOf(
  db: Database,
  filters: FilterCache,
  rule: RuleRow,
  now: number,
): Promise<ThingsSide | RuleProblem> {
  return findThingsSide(db, filters, rule, await findPrincipalByHash(db, rule.things_token_hash, now), now)
}
