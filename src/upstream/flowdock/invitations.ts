import { decodeInvitation, decodeInvitationImport } from './decode.ts'
import { decodeList } from './lists.ts'
import type { FlowUser, Invitation } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Invitations {
  /** The pending invitations of a flow. */
  list(flowPath: string): Promise<Invitation[]>
  find(flowPath: string, id: number): Promise<Invitation | null>
  /** Invites an e-mail address. A second invitation of the same e-mail address is the first one. */
  create(flowPath: string, email: string): Promise<Invitation>
  /** Invites all e-mail addresses of a text. Users of the organization become members at once. */
  import(
    flowPath: string,
    list: string,
  ): Promise<{ invitations: Invitation[]; added: FlowUser[]; refused: string[] }>
  delete(flowPath: string, id: number): Promise<void>
}

/** [flowdock] invitations.md */
export function createInvitations(calls: FlowdockCalls): Invitations {
  const path = (flowPath: string) => ['flows', ...flowPath.split('/'), 'invitations']
  return {
    async list(flowPath) {
      const json = await calls.get(path(flowPath), { doing: `list the invitations to "${flowPath}"` })
      return decodeList(json, decodeInvitation, calls.onUnreadable)
    },
    async find(flowPath, id) {
      const json = await calls.find([...path(flowPath), String(id)], { doing: `read invitation ${id}` })
      return json === null ? null : decodeInvitation(json)
    },
    async create(flowPath, email) {
      const doing = `invite to "${flowPath}"`
      return decodeInvitation(await calls.post(path(flowPath), { body: { email }, doing }))
    },
    async import(flowPath, list) {
      const doing = `invite to "${flowPath}"`
      const json = await calls.post([...path(flowPath), 'import'], { body: { list }, doing })
      return decodeInvitationImport(json, calls.onUnreadable)
    },
    async delete(flowPath, id) {
      await calls.delete([...path(flowPath), String(id)], { doing: `cancel invitation ${id}` })
    },
  }
}
