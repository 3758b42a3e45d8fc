import { decodeList, decodeMessage } from './decode.ts'
import type { Message } from './model.ts'
import type { FlowdockCalls } from './request.ts'

/** A range of messages between two ids, both exclusive. */
export interface MessagePage {
  readonly after?: number | undefined
  readonly before?: number | undefined
  /** Which end of the range to take when it has more than `limit`. */
  readonly from: 'oldest' | 'newest'
  /** 1 to 100. */
  readonly limit: number
}

export interface NewMessage {
  readonly event: 'message' | 'status'
  readonly content: string
  readonly tags: readonly string[]
  /** Makes repeating this safe: the upstream keeps one message per uuid. */
  readonly uuid: string
  readonly threadId?: string | undefined
  readonly externalUserName?: string | undefined
}

export interface Messages {
  /** The messages of a flow, or of one of its threads, in ascending order. */
  list(flowPath: string, threadId: string | undefined, page: MessagePage): Promise<Message[]>
  find(flowPath: string, id: number): Promise<Message | null>
  send(flowPath: string, message: NewMessage): Promise<Message>
  edit(flowPath: string, id: number, edit: { content?: string; tags?: readonly string[] }): Promise<void>
  delete(flowPath: string, id: number): Promise<void>
  /** Adds a reaction of the caller's; taking one back is for some upstreams only. */
  react(flowPath: string, id: number, type: 'add' | 'remove', emoji: string): Promise<void>
  /** Moves a message to another thread, or with null to one of its own. Only some upstreams can. */
  move(flowPath: string, id: number, threadId: string | null): Promise<void>
}

/** [flowdock] messages.md */
export function createMessages(calls: FlowdockCalls): Messages {
  const flow = (path: string) => ['flows', ...path.split('/')]
  return {
    async list(flowPath, threadId, page) {
      const container = threadId === undefined ? [] : ['threads', threadId]
      // `sort` picks which end of the range to read; the answer is ascending either way.
      // [flowdock] messages.md, "List Messages"
      const json = await calls.get([...flow(flowPath), ...container, 'messages'], {
        query: {
          since_id: page.after,
          until_id: page.before,
          sort: page.from === 'oldest' ? 'asc' : 'desc',
          limit: page.limit,
        },
        doing: `list the messages of "${flowPath}"`,
      })
      return decodeList(json, decodeMessage)
    },
    async find(flowPath, id) {
      const json = await calls.find([...flow(flowPath), 'messages', String(id)], {
        doing: `read message ${id}`,
      })
      return json === null ? null : decodeMessage(json)
    },
    async send(flowPath, { threadId, externalUserName, ...message }) {
      const json = await calls.post([...flow(flowPath), 'messages'], {
        body: {
          ...message,
          ...(threadId === undefined ? {} : { thread_id: threadId }),
          ...(externalUserName === undefined ? {} : { external_user_name: externalUserName }),
        },
        doing: `post to flow "${flowPath}"`,
      })
      return decodeMessage(json)
    },
    async edit(flowPath, id, edit) {
      await calls.put([...flow(flowPath), 'messages', String(id)], {
        body: edit,
        doing: `edit message ${id}`,
      })
    },
    async delete(flowPath, id) {
      await calls.delete([...flow(flowPath), 'messages', String(id)], { doing: `delete message ${id}` })
    },
    async react(flowPath, id, type, emoji) {
      await calls.post([...flow(flowPath), 'messages', String(id), 'emoji_reaction'], {
        body: { type, emoji },
        doing: `react to message ${id}`,
      })
    },
    async move(flowPath, id, threadId) {
      await calls.put([...flow(flowPath), 'messages', String(id)], {
        body: { thread_id: threadId ?? '' },
        doing: `move message ${id}`,
      })
    },
  }
}
