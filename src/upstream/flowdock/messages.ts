import type { Decode } from '../equal-bodies.ts'
import { decodeMessage, decodeMessages } from './decode.ts'
import type { Page } from './lists.ts'
import type { MessagePages } from './message-pages.ts'
import type { Message, ThreadState } from './model.ts'
import { type FlowdockCalls, pageHeader } from './request.ts'
import { encodeThreadState } from './threads.ts'

/** A range of messages between two ids, both exclusive. */
export interface MessagePage {
  readonly after?: number | undefined
  readonly before?: number | undefined
  /** Which end of the range to take when it has more than `limit`. */
  readonly from: 'oldest' | 'newest'
  /** 1 to 100. */
  readonly limit: number
  /** Only these kinds, by their names in the upstream. */
  readonly events?: readonly string[]
}

export interface NewMessage {
  readonly event: 'message' | 'status'
  readonly content: string
  readonly tags: readonly string[]
  /** Makes repetition safe: the upstream stores one message for each uuid. */
  readonly uuid: string
  readonly threadId?: string | undefined
  readonly externalUserName?: string | undefined
}

/** A file to send. */
export interface Upload {
  /** The channel, as in `Messages`. */
  readonly channel: string
  readonly threadId: string | undefined
  readonly name: string
  readonly contentType: string
  readonly tags: readonly string[]
  readonly uuid: string
}

/** A channel is the path of a flow, or `@` and the id of a user for the private conversation with them. */
export interface Messages {
  /** The messages of a flow, or of one of its threads, in ascending order. */
  list(channel: string, threadId: string | undefined, page: MessagePage): Promise<Page<Message>>
  /** The same, with the offset of the upstream's event log at that time; undefined where the upstream does not say it. */
  listAt(
    channel: string,
    threadId: string | undefined,
    page: MessagePage,
  ): Promise<Page<Message> & { readonly at: string | undefined }>
  find(channel: string, id: number): Promise<Message | null>
  send(channel: string, message: NewMessage): Promise<Message>
  /** Comments on a message of a flow. */
  comment(
    channel: string,
    id: number,
    comment: Pick<NewMessage, 'content' | 'tags' | 'uuid'>,
  ): Promise<Message>
  edit(channel: string, id: number, edit: { content?: string; tags?: readonly string[] }): Promise<void>
  delete(channel: string, id: number): Promise<void>
  /** Posts as an integration, with its flow token. Null when the upstream does not return the message. */
  present(flowToken: string, presentation: Presentation): Promise<Message | null>
  /** Sends a file, read as it is sent. */
  sendFile(upload: Upload, bytes: AsyncIterable<Uint8Array>): Promise<Message>
  /**
   * The newest matches in all joined flows, oldest first. Only some upstreams support this.
   *
   * @param newest how many of them are needed, where the upstream can leave out the others: they count in `sent` all the same
   */
  search(query: MessageQuery, newest?: number): Promise<Page<Message>>
  /** The newest matches in one channel, or in one of its threads, oldest first. */
  searchIn(channel: string, threadId: string | undefined, query: MessageQuery): Promise<Page<Message>>
  /** Signals that the user types. It is not stored. Only some upstreams support this. */
  setTyping(channel: string, threadId: string | undefined): Promise<void>
  /** Adds or removes a reaction of the user. Only some upstreams support removing. */
  react(channel: string, id: number, type: 'add' | 'remove', emoji: string): Promise<void>
  /** Moves a message to another thread, or with null to a new one. Only some upstreams support this. */
  move(channel: string, id: number, threadId: string | null): Promise<void>
}

/** The query of a search: messages with all words, together with messages that have the tags. */
export interface MessageQuery {
  readonly text: string | undefined
  readonly tags: readonly string[]
  readonly anyTag: boolean
  /** The number of newest matches to leave out. */
  readonly skip?: number
  /** 1 to 100. */
  readonly limit: number
}

/** The post of an integration about an item: a discussion if it has a body, else an activity. */
export interface Presentation {
  readonly title: string
  readonly body: string | undefined
  readonly author: { readonly name: string; readonly avatar?: string; readonly email?: string }
  readonly tags: readonly string[]
  readonly uuid: string
  readonly threadId: string | undefined
  readonly externalThreadId: string | undefined
  readonly thread: ThreadState | undefined
  /** Files that go with it. */
  readonly attachments: readonly Attachment[]
}

export interface Attachment {
  readonly name: string
  readonly contentType: string
  readonly bytes: AsyncIterable<Uint8Array>
}

const decodeFlowMessages: Decode<Page<Message>> = (json, onUnreadable, decodePart) =>
  decodeMessages(json, undefined, onUnreadable, decodePart)

/** [flowdock] messages.md */
export function createMessages(calls: FlowdockCalls, pages?: MessagePages): Messages {
  const decodeIn = (channel: string, json: unknown) =>
    channel.startsWith('@')
      ? decodeMessages(json, channel, calls.onUnreadable)
      : calls.decode(json, decodeFlowMessages)

  async function listAt(channel: string, threadId: string | undefined, page: MessagePage) {
    const container = threadId === undefined ? [] : ['threads', threadId]
    // `sort` selects the end of the range to read; the response is ascending either way.
    // [flowdock] messages.md, "List Messages"
    const path = [...segments(channel), ...container, 'messages']
    const query = {
      since_id: page.after,
      until_id: page.before,
      sort: page.from === 'oldest' ? 'asc' : 'desc',
      limit: page.limit,
      event: page.events?.join(','),
    }
    const key = JSON.stringify([path, query])
    const held = pages?.find(key)
    const begunAt = pages?.now() ?? 0
    const { body, at, version, isUnchanged, bytes } = await calls.getAt(path, {
      query,
      ...(held === undefined ? {} : { headers: { [pageHeader]: held.version } }),
      doing: `list the messages of "${channel}"`,
    })
    if (isUnchanged && held !== undefined) {
      if (version !== undefined) pages?.confirm(key, held, version)
      return { ...held.page, at }
    }
    const decoded = decodeIn(channel, body)
    const isWhole = decoded.items.length === decoded.sent
    if (version !== undefined && isWhole) pages?.keep(key, { page: decoded, version }, begunAt, bytes)
    return { ...decoded, at }
  }

  return {
    list: listAt,
    listAt,
    async find(channel, id) {
      const json = await calls.find([...segments(channel), 'messages', String(id)], {
        doing: `read message ${id}`,
      })
      return json === null ? null : decodeMessage(json, privateChannel(channel))
    },
    async send(channel, { threadId, externalUserName, ...message }) {
      const json = await calls.post([...segments(channel), 'messages'], {
        body: {
          ...message,
          ...(threadId === undefined ? {} : { thread_id: threadId }),
          ...(externalUserName === undefined ? {} : { external_user_name: externalUserName }),
        },
        doing: `post to "${channel}"`,
      })
      return decodeMessage(json, privateChannel(channel))
    },
    async comment(channel, id, comment) {
      const json = await calls.post([...segments(channel), 'messages', String(id), 'comments'], {
        body: { event: 'comment', ...comment },
        doing: `comment on message ${id}`,
      })
      return decodeMessage(json, privateChannel(channel))
    },
    async edit(channel, id, edit) {
      await calls.put([...segments(channel), 'messages', String(id)], {
        body: edit,
        doing: `edit message ${id}`,
      })
    },
    async delete(channel, id) {
      await calls.delete([...segments(channel), 'messages', String(id)], { doing: `delete message ${id}` })
    },
    async present(flowToken, { body, threadId, externalThreadId, thread, attachments, ...presentation }) {
      // The body names attachments by their number: `cid:file1`. [flowdock] files.md
      const files = attachments.map((file, index) => ({ field: `attachments[file${index + 1}]`, ...file }))
      const request = {
        body: {
          ...presentation,
          flow_token: flowToken,
          event: body === undefined ? 'activity' : 'discussion',
          body,
          thread_id: threadId,
          external_thread_id: externalThreadId,
          thread: thread && encodeThreadState(thread),
        },
        // [flowdock] messages.md: without it the response is 202 without the message.
        headers: { 'x-flowdock-wait-for-message': 'true' },
        anonymous: true,
        doing: 'present an item',
      }
      const json = await (files.length === 0
        ? calls.post(['messages'], request)
        : calls.upload(['messages'], files, request))
      return isEmpty(json) ? null : decodeMessage(json)
    },
    async sendFile({ channel, threadId, name, contentType, tags, uuid }, bytes) {
      const json = await calls.upload(
        [...segments(channel), 'messages'],
        [{ field: 'content', name, contentType, bytes }],
        { body: { event: 'file', uuid, tags, thread_id: threadId }, doing: 'upload the file' },
      )
      return decodeMessage(json, privateChannel(channel))
    },
    async search(query, newest) {
      const { body, matches } = await calls.getAt(['search'], {
        query: { ...encodeQuery(query), newest },
        doing: 'search every flow',
      })
      const page = decodeMessages(body, undefined, calls.onUnreadable)
      return { ...page, sent: Math.max(matches ?? 0, page.sent) }
    },
    async searchIn(channel, threadId, query) {
      const container = threadId === undefined ? [] : ['threads', threadId]
      const json = await calls.get([...segments(channel), ...container, 'messages'], {
        query: encodeQuery(query),
        doing: `search "${channel}"`,
      })
      return decodeIn(channel, json)
    },
    async setTyping(channel, threadId) {
      await calls.post([...segments(channel), 'typing'], {
        body: threadId === undefined ? {} : { thread_id: threadId },
        doing: `say that you type in "${channel}"`,
      })
    },
    async react(channel, id, type, emoji) {
      await calls.post([...segments(channel), 'messages', String(id), 'emoji_reaction'], {
        body: { type, emoji },
        doing: `react to message ${id}`,
      })
    },
    async move(channel, id, threadId) {
      await calls.put([...segments(channel), 'messages', String(id)], {
        body: { thread_id: threadId ?? 'new' },
        doing: `move message ${id}`,
      })
    },
  }
}

/** [flowdock] messages.md, "List Messages" */
function encodeQuery({ text, tags, anyTag, skip, limit }: MessageQuery) {
  return {
    search: text,
    tags: tags.length === 0 ? undefined : tags.join(','),
    tag_mode: anyTag ? 'or' : undefined,
    skip: skip === 0 ? undefined : skip,
    limit,
  }
}

function isEmpty(json: unknown): boolean {
  return json === null || json === undefined || Object.keys(json).length === 0
}

/** The path segments of a channel. */
function segments(channel: string): string[] {
  return channel.startsWith('@') ? ['private', channel.slice(1)] : ['flows', ...channel.split('/')]
}

function privateChannel(channel: string): string | undefined {
  return channel.startsWith('@') ? channel : undefined
}
