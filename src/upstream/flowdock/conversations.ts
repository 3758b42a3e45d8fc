import { decodeConversation } from './decode.ts'
import { decodeList } from './lists.ts'
import type { PrivateConversation } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Conversations {
  /** The conversations of the user, in the order in which they were created. */
  list(): Promise<PrivateConversation[]>
  /** The first request creates the conversation. Null for an unknown user, or one of no common organization. */
  find(userId: number): Promise<PrivateConversation | null>
  setOpen(userId: number, isOpen: boolean): Promise<PrivateConversation>
}

/** [flowdock] private-conversations.md */
export function createConversations(calls: FlowdockCalls): Conversations {
  return {
    async list() {
      const json = await calls.get(['private'], { doing: 'list private conversations' })
      return decodeList(json, decodeConversation, calls.onUnreadable)
    },
    async find(userId) {
      const doing = `read the conversation with user ${userId}`
      const json = await calls.find(['private', String(userId)], { doing })
      return json === null ? null : decodeConversation(json)
    },
    async setOpen(userId, isOpen) {
      const json = await calls.put(['private', String(userId)], {
        body: { open: isOpen },
        doing: `${isOpen ? 'open' : 'close'} the conversation with user ${userId}`,
      })
      return decodeConversation(json)
    },
  }
}
