import { type Answer, basic, call } from './backend.ts'
import type { Json, ThingsClient } from './things.ts'

/** A user of the chat with an account of flowthings. */
export interface RuleMaker {
  readonly url: string
  /** The token of the user. */
  readonly token: string
  readonly things: ThingsClient
  readonly flow?: string
}

const rulesOf = ({ url, flow = 'example/main' }: RuleMaker) => `${url}/flows/${flow}/rules`

export async function takePermit(things: ThingsClient): Promise<string> {
  return (await things('POST', '/permit')).body.id
}

/** Adds a rule with a permit of its own. */
export async function postRule(maker: RuleMaker, rule: object): Promise<Answer> {
  const body = { name: 'Greenhouse', things_permit: await takePermit(maker.things), ...rule }
  return call(rulesOf(maker), 'POST', { authorization: basic(maker.token) }, body)
}

/** The same for a rule that must be accepted. */
export async function addRule(maker: RuleMaker, rule: object): Promise<Json> {
  const { status, json, text } = await postRule(maker, rule)
  if (status !== 201) throw new Error(text)
  return json
}

export async function putRule(maker: RuleMaker, id: number, changes: object): Promise<Answer> {
  const body = { things_permit: await takePermit(maker.things), ...changes }
  return call(`${rulesOf(maker)}/${id}`, 'PUT', { authorization: basic(maker.token) }, body)
}

export async function readRule(maker: RuleMaker, id: number): Promise<Json> {
  return (await call(`${rulesOf(maker)}/${id}`, 'GET', { authorization: basic(maker.token) })).json
}

/** The activities of rules and integrations in the flow, oldest first, without those that say that a source was added. */
export async function listActivities({ url, token, flow = 'example/main' }: RuleMaker): Promise<Json[]> {
  const query = 'event=activity&limit=100'
  const { json } = await call(`${url}/flows/${flow}/messages?${query}`, 'GET', {
    authorization: basic(token),
  })
  return json.filter(
    ({ title, author }: Json) => title !== 'added this source' && author.name === 'Greenhouse',
  )
}
