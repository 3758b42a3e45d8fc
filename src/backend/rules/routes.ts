import type { Route, UserRequest } from '../flowdock/route.ts'
import { idSegment, joinedFlow } from '../flowdock/routes/access.ts'
import type { FilterCache } from '../flowthings/filter-cache.ts'
import { invalid } from '../http/errors.ts'
import type { Params } from '../http/params.ts'
import { listRules, type RuleRow } from '../store/rules.ts'
import { decodeFilter, decodeName, decodeTag, decodeTexts, requiredText } from './decode.ts'
import { encodeRule } from './encode.ts'
import {
  addRule,
  changeRule,
  type NewRule,
  pauseRule,
  type RuleChanges,
  removeRule,
  requireRule,
} from './operations/rules.ts'

/** An extension: the rules of a flow. Members of the flow see them. */
export function createRuleRoutes(filters: FilterCache): readonly Route[] {
  const all = '/flows/:organization/:flow/rules'
  const one = `${all}/:rule`
  return [
    {
      method: 'GET',
      pattern: all,
      auth: 'user',
      scopes: ['flow', 'integration'],
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const rules = await listRules(backend.store.reader, flow.id)
        return { status: 200, body: rules.map((rule) => encodeRule(rule, flow)) }
      },
    },
    {
      method: 'GET',
      pattern: one,
      auth: 'user',
      scopes: ['flow', 'integration'],
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const rule = await requireRule({ db: backend.store.reader }, flow.id, idSegment(request, 'rule'))
        return { status: 200, body: encodeRule(rule, flow) }
      },
    },
    {
      method: 'POST',
      pattern: all,
      auth: 'user',
      scopes: ['flow'],
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const rule = decodeRule(request.params)
        requireOwnRights(request)
        const added = await backend.log.write((change) => addRule(change, filters, flow, request, rule))
        return { status: 201, body: encodeRule(added, flow) }
      },
    },
    {
      method: 'PUT',
      pattern: one,
      auth: 'user',
      scopes: ['flow'],
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const id = idSegment(request, 'rule')
        const status = request.params.string('status')
        if (status !== undefined && status !== 'active' && status !== 'paused')
          throw invalid({ status: ['must be active or paused'] })
        if (status === 'paused') {
          const paused = await backend.log.write((change) => pauseRule(change, flow, request.user.id, id))
          return { status: 200, body: encodeRule(paused, flow) }
        }
        const rule = await requireRule({ db: backend.store.reader }, flow.id, id)
        const changes = decodeChanges(request.params, rule)
        requireOwnRights(request)
        const changed = await backend.log.write((change) =>
          changeRule(change, filters, flow, request, id, changes),
        )
        return { status: 200, body: encodeRule(changed, flow) }
      },
    },
    {
      method: 'DELETE',
      pattern: one,
      auth: 'user',
      scopes: ['flow'],
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const id = idSegment(request, 'rule')
        await backend.log.write((change) => removeRule(change, flow, request.user.id, id))
        return { status: 204 }
      },
    },
  ]
}

/** A rule would end with a token that expires: within a day. @throws HttpError 400 */
function requireOwnRights({ expiresAt }: UserRequest): void {
  if (expiresAt !== undefined)
    throw invalid({ rule: ['needs a credential that does not expire, such as a personal token'] })
}

function decodeRule(params: Params): NewRule {
  const kind = params.string('kind')
  if (kind !== 'drop' && kind !== 'tag') throw invalid({ kind: ['must be drop or tag'] })
  const name = decodeName(params)
  const thingsFlowId = requiredText(params, 'things_flow')
  const permit = requiredText(params, 'things_permit')
  const blank = { title: '', body: '', threadKey: '', threadTitle: '' }
  if (kind === 'tag') {
    const tag = decodeTag(params)
    if (tag === undefined) throw invalid({ tag: ["can't be blank"] })
    return { name, thingsFlowId, permit, tag, settings: { filter: null, texts: blank } }
  }
  const texts = { ...blank, ...decodeTexts(params) }
  if (texts.title === '') throw invalid({ title: ["can't be blank"] })
  const settings = { filter: decodeFilter(params) ?? null, texts }
  return { name, thingsFlowId, permit, tag: null, settings }
}

function decodeChanges(params: Params, { kind }: RuleRow): RuleChanges {
  const permit = requiredText(params, 'things_permit')
  const isResumed = params.string('status') === 'active'
  if (kind === 'tag') {
    const tag = decodeTag(params)
    return { permit, isResumed, ...(tag === undefined ? {} : { tag }) }
  }
  const filter = decodeFilter(params)
  return { permit, isResumed, texts: decodeTexts(params), ...(filter === undefined ? {} : { filter }) }
}
