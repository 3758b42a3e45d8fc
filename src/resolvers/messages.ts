import { randomBytes } from 'node:crypto'
import type { Context } from '../context.ts'
import { NotFoundError, UpstreamError, ValidationError } from '../errors.ts'
import type {
  ExternalAuthor,
  Flow,
  Message,
  PrivateConversation,
  Thread,
  User,
} from '../upstream/flowdock/model.ts'
import { decodeMessageCursor, messageCursor } from './cursor.ts'
import type { FlowBy } from './flows.ts'
import { encodeInFlow } from './global-id.ts'
import { requireCapability, resolveFlowPath, resolveMessage, resolveThread, resolveUser } from './inputs.ts'
import { type FilteredMessages, filteredMessages, type MessageFilter } from './message-filter.ts'
import { messagePage } from './message-page.ts'
import { type Connection, listConnection, type PageArgs, toConnection } from './pagination.ts'

interface SendMessageInput {
  readonly flow?: FlowBy | null | undefined
  readonly threadId?: string | null | undefined
  readonly userId?: string | null | undefined
  readonly content: string
  readonly tags?: readonly string[] | null | undefined
  readonly uuid?: string | null | undefined
  readonly externalUserName?: string | null | undefined
}

interface MessageArgs extends PageArgs {
  readonly filter?: MessageFilter | null | undefined
}

/** [flowdock] messages.md: the most characters a message may have. */
const maxContentLength = 8096

export function id(message: Message): string {
  return encodeInFlow('Message', message.channel, message.id)
}

export function author(
  { userId, externalAuthor }: Message,
  _: unknown,
  { flowdock }: Context,
): User | ExternalAuthor | null | Promise<User | null> {
  // An external name must not look like another author.
  return userId === null ? externalAuthor : flowdock.load.user(userId)
}

export function thread(
  message: Message,
  _: unknown,
  { flowdock }: Context,
): Thread | null | Promise<Thread | null> {
  if (message.thread !== null) return message.thread
  return message.threadId === null ? null : flowdock.load.thread(message.channel, message.threadId)
}

export function flow(
  message: Message,
  _: unknown,
  { flowdock }: Context,
): Flow | null | Promise<Flow | null> {
  return message.channel.startsWith('@') ? null : flowdock.load.flow(message.channel)
}

/** The URL in the REST API. */
export async function url(
  { channel, id }: Message,
  _: unknown,
  { flowdock }: Context,
): Promise<string | null> {
  if (channel.startsWith('@')) return flowdock.address('private', channel.slice(1), 'messages', String(id))
  const flow = await flowdock.load.flow(channel)
  return flow && `${flow.url}/messages/${id}`
}

/** [flowdock] flows.md: conversations are below `…/app`, messages below their flow or conversation. */
export async function webUrl(
  { channel, id }: Message,
  _: unknown,
  { flowdock }: Context,
): Promise<string | null> {
  if (channel.startsWith('@'))
    return flowdock.address('app', 'private', channel.slice(1), 'messages', String(id))
  const flow = await flowdock.load.flow(channel)
  return flow && `${flow.webUrl}/messages/${id}`
}

export async function blockedUser(
  { blockedUserId }: Extract<Message, { kind: 'ActionMessage' }>,
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return blockedUserId === null ? null : flowdock.load.user(blockedUserId)
}

export async function parent(
  { channel, parentId }: Extract<Message, { kind: 'Comment' }>,
  _: unknown,
  { flowdock }: Context,
): Promise<Message | null> {
  return parentId === null ? null : flowdock.load.message(channel, parentId)
}

export async function flowMessage(
  flow: Flow,
  { databaseId }: { databaseId: number },
  { flowdock }: Context,
): Promise<Message | null> {
  return flowdock.load.message(flow.id, databaseId)
}

export async function flowMessages(
  flow: Flow,
  args: MessageArgs,
  context: Context,
): Promise<FilteredMessages> {
  return messages(flow.id, flow.path, undefined, args, context)
}

export async function conversationMessages(
  { user }: PrivateConversation,
  args: MessageArgs,
  context: Context,
): Promise<FilteredMessages> {
  return messages(`@${user.id}`, `@${user.id}`, undefined, args, context)
}

/** The private conversation of a message. Null for a message of a flow. */
export async function conversation(
  { channel }: Message,
  _: unknown,
  { flowdock }: Context,
): Promise<PrivateConversation | null> {
  return channel.startsWith('@') ? flowdock.load.conversation(Number(channel.slice(1))) : null
}

export async function threadMessages(
  thread: Thread,
  args: MessageArgs,
  context: Context,
): Promise<FilteredMessages> {
  const flow = await context.flowdock.load.flow(thread.flowId)
  if (flow === null) throw new NotFoundError('Cannot list the messages of a thread: its flow is not there')
  return messages(flow.id, flow.path, thread.id, args, context)
}

export async function sendMessage(
  _: unknown,
  { input }: { input: SendMessageInput },
  context: Context,
): Promise<{ message: Message }> {
  checkContent(input.content)
  const { channel, threadId } = await sendTarget(input, context)
  const message = await context.flowdock.messages.send(channel, {
    event: 'message',
    content: input.content,
    tags: input.tags ?? [],
    uuid: input.uuid ?? makeUuid(),
    threadId,
    externalUserName: input.externalUserName ?? undefined,
  })
  return { message }
}

interface CommentInput {
  readonly messageId: string
  readonly content: string
  readonly tags?: readonly string[] | null | undefined
  readonly uuid?: string | null | undefined
}

/** [flowdock] messages.md, "Comment": private messages and comments cannot have comments. */
export async function comment(
  _: unknown,
  { input }: { input: CommentInput },
  context: Context,
): Promise<{ message: Message }> {
  checkContent(input.content)
  const path = ['input', 'messageId']
  const { channel, messageId } = await resolveMessage(input.messageId, context, path)
  if (channel.startsWith('@'))
    throw new ValidationError('Cannot comment on a private message: send a message to the user instead', [], {
      inputPath: path,
    })
  const message = await context.flowdock.messages.comment(channel, messageId, {
    content: input.content,
    tags: input.tags ?? [],
    uuid: input.uuid ?? makeUuid(),
  })
  return { message }
}

/** [flowdock] messages.md: a message of the kind `status` sets the text that the flow shows beside the user's name. */
export async function setStatus(
  _: unknown,
  { input }: { input: { flow: FlowBy; content: string; uuid?: string | null | undefined } },
  context: Context,
): Promise<{ message: Message }> {
  checkContent(input.content)
  const channel = await resolveFlowPath(input.flow, context, ['input', 'flow'])
  const message = await context.flowdock.messages.send(channel, {
    event: 'status',
    content: input.content,
    tags: [],
    uuid: input.uuid ?? makeUuid(),
  })
  return { message }
}

/** With a uuid, a message whose response was lost can be sent again without a second message. */
function makeUuid(): string {
  return randomBytes(16).toString('base64url')
}

export async function editMessage(
  _: unknown,
  { input }: { input: { messageId: string; content: string; tags?: readonly string[] | null | undefined } },
  context: Context,
): Promise<{ message: Message }> {
  checkContent(input.content)
  return changeMessage(context, input.messageId, async (path, messageId) => {
    const tags = input.tags == null ? {} : { tags: input.tags }
    await context.flowdock.messages.edit(path, messageId, { content: input.content, ...tags })
  })
}

export async function deleteMessage(
  _: unknown,
  { input }: { input: { messageId: string } },
  context: Context,
): Promise<{ messageId: string; message: Message | null }> {
  const { channel, messageId } = await resolveMessage(input.messageId, context, ['input', 'messageId'])
  await context.flowdock.messages.delete(channel, messageId)
  const message = await context.flowdock.messages.find(channel, messageId)
  return { messageId: input.messageId, message }
}

export async function setTags(
  _: unknown,
  { input }: { input: { messageId: string; tags: readonly string[] } },
  context: Context,
): Promise<{ message: Message }> {
  return changeMessage(context, input.messageId, (path, messageId) =>
    context.flowdock.messages.edit(path, messageId, { tags: input.tags }),
  )
}

export async function addTags(
  _: unknown,
  { input }: { input: { messageId: string; tags: readonly string[] } },
  context: Context,
): Promise<{ message: Message }> {
  return changeMessage(context, input.messageId, async (path, messageId) => {
    const message = await requireMessage(context.flowdock, path, messageId)
    await context.flowdock.messages.edit(path, messageId, { tags: [...message.tags, ...input.tags] })
  })
}

export async function removeTags(
  _: unknown,
  { input }: { input: { messageId: string; tags: readonly string[] } },
  context: Context,
): Promise<{ message: Message }> {
  return changeMessage(context, input.messageId, async (path, messageId) => {
    const message = await requireMessage(context.flowdock, path, messageId)
    const unwanted = new Set(input.tags.map((tag) => tag.replace(/^#/, '').normalize().toLowerCase()))
    const tags = message.tags.filter((tag) => !unwanted.has(tag.normalize().toLowerCase()))
    if (tags.length < message.tags.length) await context.flowdock.messages.edit(path, messageId, { tags })
  })
}

/** @param key the channel as in `Message.channel` @param channel the channel as in requests to the upstream */
async function messages(
  key: string,
  channel: string,
  threadId: string | undefined,
  { filter, ...args }: MessageArgs,
  context: Context,
): Promise<FilteredMessages> {
  if (filter != null) return filteredMessages({ key, channel, threadId }, args, filter, context)
  const { flowdock } = context
  const { from, size, limit } = messagePage(args)
  const after = args.after == null ? undefined : decodeMessageCursor(key, args.after, 'after')
  const before = args.before == null ? undefined : decodeMessageCursor(key, args.before, 'before')
  const front = from === 'front'
  const page = { after, before, from: front ? ('oldest' as const) : ('newest' as const) }
  const listed = await flowdock.load.messages(channel, threadId, { ...page, limit })
  const { items: found, sent } = listed
  const items = front ? found.slice(0, size) : found.slice(-size)

  const goesOn = async () => {
    if (sent > size || sent < limit) return sent > size
    const edge = front ? items.at(-1) : items[0]
    const rest = front ? { ...page, after: edge?.id } : { ...page, before: edge?.id }
    try {
      return (await flowdock.messages.list(channel, threadId, { ...rest, limit: 1 })).sent > 0
    } catch (error) {
      // There is a message that cannot be decoded. The next page reports it.
      if (error instanceof UpstreamError && error.code === 'UPSTREAM_INVALID') return true
      throw error
    }
  }
  const isNewest = front ? sent < limit : before === undefined
  const last = items.at(-1)
  const cursorOf = (message: Message) =>
    messageCursor(message, isNewest && message === last ? listed.at : undefined)
  const connection = toConnection(items, cursorOf, {
    next: front ? goesOn : before !== undefined,
    previous: front ? after !== undefined : goesOn,
  })
  return { ...connection, isExhaustive: true }
}

/** The channel and thread to send to. */
export async function sendTarget(
  { flow, threadId, userId }: Pick<SendMessageInput, 'flow' | 'threadId' | 'userId'>,
  context: Context,
): Promise<{ channel: string; threadId: string | undefined }> {
  if ([flow, threadId, userId].filter((target) => target != null).length !== 1)
    throw new ValidationError('Expected exactly one of input.flow, input.threadId and input.userId', [], {
      inputPath: ['input'],
    })
  if (flow != null)
    return { channel: await resolveFlowPath(flow, context, ['input', 'flow']), threadId: undefined }
  if (userId != null) return { channel: `@${resolveUser(userId, ['input', 'userId'])}`, threadId: undefined }
  const thread = await resolveThread(threadId ?? '', context, ['input', 'threadId'])
  return { channel: thread.flowPath, threadId: thread.threadId }
}

function checkContent(content: string): void {
  const problem =
    content.trim() === ''
      ? "can't be blank"
      : content.length > maxContentLength
        ? `is too long: ${content.length} characters, at most ${maxContentLength} are stored`
        : undefined
  if (problem !== undefined)
    throw new ValidationError(`The content ${problem}`, [{ field: 'content', message: problem }], {
      inputPath: ['input', 'content'],
    })
}

export async function addReaction(
  _: unknown,
  { input }: { input: { messageId: string; emoji: string } },
  context: Context,
): Promise<{ message: Message }> {
  return changeMessage(context, input.messageId, (path, messageId) =>
    context.flowdock.messages.react(path, messageId, 'add', input.emoji),
  )
}

export async function removeReaction(
  _: unknown,
  { input }: { input: { messageId: string; emoji: string } },
  context: Context,
): Promise<{ message: Message }> {
  await requireCapability('removeReaction', context)
  return changeMessage(context, input.messageId, (path, messageId) =>
    context.flowdock.messages.react(path, messageId, 'remove', input.emoji),
  )
}

export async function moveMessageToThread(
  _: unknown,
  { input }: { input: { messageId: string; threadId?: string | null | undefined } },
  context: Context,
): Promise<{ message: Message }> {
  await requireCapability('moveMessage', context)
  const thread =
    input.threadId == null ? null : await resolveThread(input.threadId, context, ['input', 'threadId'])
  return changeMessage(context, input.messageId, (path, messageId) =>
    context.flowdock.messages.move(path, messageId, thread?.threadId ?? null),
  )
}

/** Notifies subscribers; nothing is stored. */
export async function setTyping(
  _: unknown,
  { input }: { input: Pick<SendMessageInput, 'flow' | 'threadId' | 'userId'> },
  context: Context,
): Promise<{ isDelivered: boolean }> {
  await requireCapability('typing', context)
  const { channel, threadId } = await sendTarget(input, context)
  await context.flowdock.messages.setTyping(channel, threadId)
  return { isDelivered: true }
}

export async function reactionUsers(
  { userIds }: Message['reactions'][number],
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<User>> {
  const { edges, pageInfo } = listConnection('user', userIds, (userId) => userId, args)
  const users = await Promise.all(edges.map(({ node }) => flowdock.load.user(node)))
  return {
    pageInfo,
    edges: edges.flatMap(({ cursor }, index) => {
      const node = users[index] ?? null
      return node === null ? [] : [{ cursor, node }]
    }),
  }
}

export function fileUrl({ path }: { path: string }, _: unknown, context: Context): string {
  return context.fileAddress(path)
}

/** Whether the viewer can edit the message. */
export async function viewerCanEdit(message: Message, _: unknown, { viewer }: Context): Promise<boolean> {
  if (message.kind !== 'ChatMessage' && message.kind !== 'Comment') return false
  return message.userId !== null && viewer.is(message.userId)
}

/** [flowdock] messages.md: users can delete messages of integrations, and their own messages, comments and files. */
export async function viewerCanDelete(message: Message, _: unknown, { viewer }: Context): Promise<boolean> {
  if (['Activity', 'Discussion', 'MailMessage'].includes(message.kind)) return true
  if (!['ChatMessage', 'Comment', 'FileMessage'].includes(message.kind)) return false
  return message.userId !== null && viewer.is(message.userId)
}

/** Changes a message and reads it: the response to the change is empty. */
async function changeMessage(
  context: Context,
  globalId: string,
  change: (channel: string, messageId: number) => Promise<void>,
): Promise<{ message: Message }> {
  const { channel, messageId } = await resolveMessage(globalId, context, ['input', 'messageId'])
  await change(channel, messageId)
  return { message: await requireMessage(context.flowdock, channel, messageId) }
}

async function requireMessage(
  flowdock: Context['flowdock'],
  channel: string,
  messageId: number,
): Promise<Message> {
  const message = await flowdock.messages.find(channel, messageId)
  if (message === null)
    throw new NotFoundError(`There is no message ${messageId} in "${channel}"`, {
      inputPath: ['input', 'messageId'],
    })
  return message
}
