import { decodeFlow, decodeFlowUser, decodeList } from './decode.ts'
import type { Flow, FlowUser } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Flows {
  /** The flows the caller has joined or, with `all`, could join too. @param withUsers lists their members as well */
  list(scope: 'joined' | 'all', withUsers: boolean): Promise<Flow[]>
  /** A flow with its members; null for none, or one the caller may not see. */
  find(by: { id: string } | { path: string }): Promise<Flow | null>
  users(path: string): Promise<FlowUser[]>
}

/** [flowdock] flows.md, users.md */
export function createFlows(calls: FlowdockCalls): Flows {
  return {
    async list(scope, withUsers) {
      const path = scope === 'all' ? ['flows', 'all'] : ['flows']
      const json = await calls.get(path, { query: { users: withUsers ? 1 : undefined }, doing: 'list flows' })
      return decodeList(json, decodeFlow)
    },
    async find(by) {
      const json =
        'id' in by
          ? await calls.find(['flows', 'find'], { query: by, doing: `read flow ${by.id}` })
          : await calls.find(['flows', ...by.path.split('/')], { doing: `read flow "${by.path}"` })
      return json === null ? null : decodeFlow(json)
    },
    async users(path) {
      const json = await calls.get(['flows', ...path.split('/'), 'users'], {
        doing: `list the users of "${path}"`,
      })
      return decodeList(json, decodeFlowUser)
    },
  }
}
