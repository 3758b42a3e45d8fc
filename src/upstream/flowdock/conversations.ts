import { decodeConversation } from './decode.ts'
import { decodeList } from './lists.ts'
import type { PrivateConversation } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Conversations {
  /** The caller's, in the order they began. */
  list(): Promise<PrivateConversation[]>
  /** It begins when it is first asked for; null with nobody, or somebody the caller shares no organization with. */
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
