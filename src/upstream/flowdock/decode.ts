import { UpstreamError } from '../../errors.ts'
import { parseIsoTime } from '../../iso-time.ts'
import { isRecord } from '../../json-values.ts'
import type { DecodePart } from '../equal-bodies.ts'
import { decodeLegacy } from './decode-legacy.ts'
import { decodeList, decodePage, type OnUnreadable, type Page } from './lists.ts'
import type {
  ActivityCount,
  Decoded,
  DetailedFlow,
  ExternalAuthor,
  File,
  FlowChange,
  FlowEvent,
  FlowUser,
  Invitation,
  MailAddress,
  Message,
  MessageContent,
  Organization,
  OrganizationUser,
  PresenceState,
  PrivateConversation,
  Source,
  Thread,
  ThreadAction,
  User,
} from './model.ts'

/**
 * Decodes JSON of the upstream. Members that the gateway needs must exist with their type. The others may be missing, as they
 * were on the service over the years.
 */
type Json = Readonly<Record<string, unknown>>

/** @throws UpstreamError `UPSTREAM_INVALID` when `value` is not a list, or an item cannot be decoded */
function decodeAll<T>(value: unknown, decode: (item: unknown) => T): T[] {
  if (!Array.isArray(value)) throw broken('a list')
  return value.map(decode)
}

export function decodeUser(value: unknown): User {
  const user = record(value, 'a user')
  return {
    id: number(user, 'id'),
    nick: text(user, 'nick'),
    name: optionalText(user, 'name') ?? text(user, 'nick'),
    email: optionalText(user, 'email'),
    avatarUrl: optionalText(user, 'avatar'),
    websiteUrl: optionalText(user, 'website'),
  }
}

export function decodeFlowUser(value: unknown): FlowUser {
  const user = record(value, 'a user')
  return {
    user: decodeUser(user),
    isBlocked: user['disabled'] === true,
    status: optionalText(user, 'status'),
    lastActivityAt: optionalNumber(user, 'last_activity'),
    lastPingAt: optionalNumber(user, 'last_ping'),
  }
}

const decodeFlowUsers = (users: unknown): FlowUser[] => decodeAll(users, decodeFlowUser)

export function decodeOrganizationUser(value: unknown): OrganizationUser {
  return { user: decodeUser(value), isAdmin: record(value, 'a user')['admin'] === true }
}

export function decodeOrganization(value: unknown): Organization {
  const organization = record(value, 'an organization')
  const { subscription } = organization
  return {
    id: number(organization, 'id'),
    slug: text(organization, 'parameterized_name'),
    name: text(organization, 'name'),
    userCount: optionalNumber(organization, 'user_count'),
    userLimit: optionalNumber(organization, 'user_limit'),
    isActive: organization['active'] !== false,
    url: optionalText(organization, 'url') ?? '',
    subscription: isRecord(subscription)
      ? {
          isTrial: subscription['trial'] === true,
          trialEndsOn: optionalText(subscription, 'trial_ends'),
          billingOn: optionalText(subscription, 'billing_date'),
        }
      : null,
  }
}

/** @param decodePart decodes its users, if several responses have them in common */
export function decodeFlow(value: unknown, decodePart?: DecodePart): DetailedFlow {
  const flow = record(value, 'a flow')
  const organization = decodeOrganization(flow['organization'])
  const slug = text(flow, 'parameterized_name')
  const accessMode = optionalText(flow, 'access_mode')
  const users = flow['users']
  return {
    id: text(flow, 'id'),
    slug,
    path: `${organization.slug}/${slug}`,
    name: text(flow, 'name'),
    description: optionalText(flow, 'description'),
    email: optionalText(flow, 'email'),
    accessMode: accessMode === 'link' || accessMode === 'organization' ? accessMode : 'invitation',
    isOpen: flow['open'] === true,
    // Missing where the service documents a single flow, which only members could read.
    isJoined: flow['joined'] !== false,
    isDisabled: typeof flow['disabled'] === 'boolean' ? flow['disabled'] : null,
    isAdmin: typeof flow['flow_admin'] === 'boolean' ? flow['flow_admin'] : null,
    teamNotifications: typeof flow['team_notifications'] === 'boolean' ? flow['team_notifications'] : null,
    url: optionalText(flow, 'url') ?? '',
    webUrl: optionalText(flow, 'web_url') ?? '',
    organization,
    // Null as for an upstream that leaves them out: they are requested when they are needed.
    users:
      users === undefined || users === null
        ? null
        : orNull(() => decodePart?.(users, decodeFlowUsers) ?? decodeFlowUsers(users)),
    details: {
      unreadMentions: optionalNumber(flow, 'unread_mentions'),
      lastMessageAt: optionalTime(flow, 'last_message_at'),
      lastMessageId: optionalNumber(flow, 'last_message_id'),
      pushToken: optionalText(flow, 'api_token'),
      joinUrl: optionalText(flow, 'join_url'),
    },
  }
}

export function decodeSource(value: unknown): Source {
  const source = record(value, 'a source')
  const application = record(source['application'], 'an application')
  const url = text(source, 'url')
  const creator = source['creator']
  return {
    // Only the URL names the flow: …/flows/:organization/:flow/sources/:id
    flowPath: /\/flows\/([^/]+\/[^/]+)\/sources\//.exec(url)?.[1] ?? '',
    id: number(source, 'id'),
    name: text(source, 'name'),
    url,
    externalUrl: optionalText(source, 'external_url'),
    application: {
      id: Number(application['id']),
      name: text(application, 'name'),
      iconUrl: optionalText(application, 'icon_url'),
      url: optionalText(application, 'url') ?? '',
    },
    creator: creator === undefined || creator === null ? null : attempt(() => decodeUser(creator)),
    configurationUrl: linkTo(source['_links'], 'configure'),
    createdAt: optionalTime(source, 'created_at') ?? 0,
    updatedAt: optionalTime(source, 'updated_at') ?? 0,
  }
}

/** The URL of a link of a resource. */
function linkTo(links: unknown, name: string): string | null {
  const link = isRecord(links) ? links[name] : undefined
  return isRecord(link) ? optionalText(link, 'href') : null
}

export function decodeThread(value: unknown): Thread {
  const thread = record(value, 'a thread')
  const status = thread['status']
  const source = thread['source']
  return {
    flowId: optionalText(thread, 'flow') ?? '',
    id: text(thread, 'id'),
    title: optionalText(thread, 'title') ?? '',
    body: optionalText(thread, 'body'),
    externalUrl: optionalText(thread, 'external_url'),
    status: isRecord(status)
      ? attempt(() => ({ color: text(status, 'color'), value: optionalText(status, 'value') ?? '' }))
      : null,
    fields: optionalRecords(thread['fields']).map((field) => ({
      label: optionalText(field, 'label') ?? '',
      value: optionalText(field, 'value') ?? '',
    })),
    actions: optionalRecords(thread['actions']).flatMap(decodeThreadAction),
    // Older responses name only the application, which is not enough for a source.
    source: isRecord(source) && isRecord(source['application']) ? attempt(() => decodeSource(source)) : null,
    activityCount: optionalNumber(thread, 'activities') ?? 0,
    internalCommentCount: optionalNumber(thread, 'internal_comments') ?? 0,
    externalCommentCount: optionalNumber(thread, 'external_comments') ?? 0,
    initialMessageId: optionalNumber(thread, 'initial_message'),
    createdAt: optionalTime(thread, 'created_at') ?? 0,
    updatedAt: optionalTime(thread, 'updated_at') ?? 0,
  }
}

/** [flowdock] thread-actions.md. Unknown kinds are left out. */
function decodeThreadAction(action: Json): ThreadAction[] {
  const name = optionalText(action, 'name') ?? ''
  const { target } = action
  if (action['@type'] === 'ViewAction')
    return [
      {
        kind: 'ViewAction',
        name,
        url: optionalText(action, 'url') ?? '',
        description: optionalText(action, 'description'),
        imageUrl: optionalText(action, 'image'),
      },
    ]
  if (action['@type'] !== 'UpdateAction' || !isRecord(target)) return []
  const urlTemplate = optionalText(target, 'urlTemplate') ?? ''
  const httpMethod = optionalText(target, 'httpMethod') ?? 'POST'
  return [{ kind: 'UpdateAction', name, target: { urlTemplate, httpMethod } }]
}

/** Emoji names with lists of user ids as text. */
function decodeReactions(value: unknown): Message['reactions'] {
  if (!isRecord(value)) return []
  return Object.entries(value).map(([emoji, ids]) => ({
    emoji,
    userIds: (Array.isArray(ids) ? ids : []).map(Number).filter(Number.isSafeInteger),
  }))
}

/** [flowdock] private-conversations.md: its id is that of the other user, who is one of its two users. */
export function decodeConversation(value: unknown): PrivateConversation {
  const conversation = record(value, 'a private conversation')
  const other = decodeAll(conversation['users'], decodeUser).find(({ id }) => id === conversation['id'])
  if (other === undefined) throw broken('the other one of a private conversation')
  const { activity } = conversation
  return {
    user: other,
    isOpen: conversation['open'] === true,
    unreadMentions: isRecord(activity) ? optionalNumber(activity, 'mentions') : null,
    hasUnread: isRecord(activity) && typeof activity['chat'] === 'boolean' ? activity['chat'] : null,
    url: optionalText(conversation, 'url') ?? '',
  }
}

export function decodeInvitation(value: unknown): Invitation {
  const invitation = record(value, 'an invitation')
  return {
    flowId: text(invitation, 'flow'),
    id: number(invitation, 'id'),
    email: text(invitation, 'email'),
    state: invitation['state'] === 'accepted' ? 'accepted' : 'pending',
    url: optionalText(invitation, 'url') ?? '',
  }
}

/** The flow token of a source, which is only in the response to its creation. */
export function decodeFlowToken(value: unknown): string {
  return text(record(value, 'a source'), 'flow_token')
}

/** The number of messages that were marked as read. */
export function decodeReadCount(value: unknown): number {
  return number(record(value, 'a count'), 'read')
}

export function decodeActivity(value: unknown): ActivityCount[] {
  return decodeAll(record(value, 'an activity')['buckets'], (item) => {
    const bucket = record(item, 'a bucket')
    return {
      start: optionalTime(bucket, 'start') ?? 0,
      count: number(bucket, 'count'),
      groups: optionalRecords(bucket['groups']).map((group) => {
        const userId = Number(group['user'] ?? 0)
        return {
          count: number(group, 'count'),
          userId: userId > 0 ? userId : null,
          authorName: optionalText(group, 'name'),
          event: optionalText(group, 'event'),
          tag: optionalText(group, 'tag'),
          sourceId: optionalNumber(group, 'source'),
        }
      }),
    }
  })
}

/** The names of the upstream's extensions. */
export function decodeCapabilities(value: unknown): string[] {
  return strings(record(value, 'capabilities')['extensions'])
}

/** The id of a user, and their presence. */
export function decodePresence(value: unknown): readonly [userId: number, state: PresenceState] {
  const presence = record(value, 'a presence')
  return [number(presence, 'user_id'), presenceState(number(presence, 'state'))]
}

/** The number of seconds until something expires. */
export function decodeExpiry(value: unknown): number {
  return optionalNumber(record(value, 'how long it lasts'), 'expires_in') ?? 0
}

export function decodeInvitationImport(
  value: unknown,
  onUnreadable: OnUnreadable,
): {
  invitations: Invitation[]
  added: FlowUser[]
  refused: string[]
} {
  const outcome = record(value, 'the outcome of an import')
  return {
    invitations: decodeList(outcome['invitations'] ?? [], decodeInvitation, onUnreadable),
    added: decodeList(outcome['added_users'] ?? [], decodeFlowUser, onUnreadable),
    refused: optionalRecords(outcome['erroneous_emails']).flatMap(Object.keys),
  }
}

/**
 * A page of messages. Many of them have the same thread, which is decoded once.
 *
 * @param channel the private conversation that it was read from; undefined for a flow
 * @param decodePart decodes messages that several responses have in common; only for a flow
 */
export function decodeMessages(
  value: unknown,
  channel: string | undefined,
  onUnreadable: OnUnreadable,
  decodePart?: DecodePart,
): Page<Message> {
  const threads = new Map<unknown, Thread>()
  const decode = (item: unknown) => decodeMessage(item, channel, threads)
  return decodePage(value, decode, onUnreadable, decodePart, decodeFlowMessage)
}

const decodeFlowMessage = (message: unknown): Message => decodeMessage(message)

/**
 * @param channel the private conversation that it was read from; undefined for a flow
 * @param threads the threads of the same response that are decoded already, by id
 */
export function decodeMessage(value: unknown, channel?: string, threads?: Map<unknown, Thread>): Message {
  const message = record(value, 'a message')
  const event = text(message, 'event')
  const thread = message['thread']
  // An upstream that hides the sender of a message with an external name may name them in `sent_by`.
  const userId = Number(message['sent_by'] ?? message['user'] ?? 0)
  const base = {
    channel: channel ?? optionalText(message, 'flow') ?? '',
    id: number(message, 'id'),
    event,
    tags: strings(message['tags']),
    attachments: optionalRecords(message['attachments']).map(decodeFile),
    uuid: optionalText(message, 'uuid'),
    userId: Number.isSafeInteger(userId) && userId > 0 ? userId : null,
    externalUserName: optionalText(message, 'external_user_name'),
    externalAuthor: decodeExternalAuthor(message),
    sentAt: number(message, 'sent'),
    editedAt: optionalTime(message, 'edited'),
    reactions: decodeReactions(message['emojiReactions']),
    threadId: optionalText(message, 'thread_id'),
    externalUrl: optionalText(message, 'external_url'),
    // Null as for an upstream that does not embed it: it is requested when it is needed.
    thread: isRecord(thread) ? orNull(() => decodeOnce(thread, threads)) : null,
  }
  return Object.assign(base, decodeContent(event, message))
}

function decodeOnce(json: Json, threads: Map<unknown, Thread> | undefined): Thread {
  const thread = threads?.get(json['id']) ?? decodeThread(json)
  threads?.set(thread.id, thread)
  return thread
}

function decodeExternalAuthor(message: Json): ExternalAuthor | null {
  const name = optionalText(message, 'external_user_name')
  if (name !== null) return { name, avatarUrl: null, email: null }
  const author = message['author']
  if (!isRecord(author)) return null
  return {
    name: optionalText(author, 'name') ?? '',
    avatarUrl: optionalText(author, 'avatar'),
    email: optionalText(author, 'email'),
  }
}

/**
 * An event as a stream sends it.
 *
 * @param cursor its SSE id
 * @param viewerId the user of the stream; the other user of a private message follows from its sender and receiver
 */
export function decodeEvent(value: unknown, cursor: string, viewerId: number | null): FlowEvent {
  const event = record(value, 'an event')
  const flowId = optionalText(event, 'flow')
  const channel = flowId ?? privateChannel(event, viewerId)
  if (channel !== null && typeof event['id'] === 'number' && typeof event['sent'] === 'number') {
    const message = decodeMessage(event, channel)
    if (message.kind !== 'UnknownMessage') return { type: 'message', cursor, flowId, message }
    const change = decodeChange(event)
    const { userId, sentAt } = message
    if (change !== undefined && userId !== null)
      return { type: 'change', cursor, flowId, channel, sentAt, userId, change }
  }
  const name = text(event, 'event')
  const { content } = event
  if (name === 'presence' && isRecord(content)) {
    const userId = number(content, 'user_id')
    return {
      type: 'presence',
      cursor,
      flowId: null,
      userId,
      state: presenceState(number(content, 'state')),
      changedAt: optionalTime(content, 'updated_at'),
    }
  }
  if ((name === 'flow-add' || name === 'flow-remove') && isRecord(content))
    return { type: 'membership', cursor, flowId: text(content, 'id'), isAdded: name === 'flow-add' }
  return { type: 'other', cursor, flowId, event: name, sentAt: optionalNumber(event, 'sent'), raw: event }
}

/** [flowdock] oulu: 0 is away, from 1000000 on idle, from 2000000 on active */
function presenceState(state: number): PresenceState {
  return state >= 2_000_000 ? 'active' : state >= 1_000_000 ? 'idle' : 'offline'
}

/** The private conversation of an event; null for an event that is not private. */
function privateChannel(event: Json, viewerId: number | null): string | null {
  const to = Number(event['to'] ?? Number.NaN)
  const from = Number(event['user'] ?? Number.NaN)
  if (viewerId === null || !Number.isSafeInteger(to) || !Number.isSafeInteger(from)) return null
  return `@${to === viewerId ? from : to}`
}

/** [flowdock] message-types.md, "Service events". Undefined for any other event. */
function decodeChange(event: Json): FlowChange | undefined {
  const content = isRecord(event['content']) ? event['content'] : {}
  const messageId = optionalNumber(content, 'message')
  const threadId = optionalText(content, 'thread_id')
  switch (event['event']) {
    case 'emoji-reaction': {
      const emoji = optionalText(content, 'emoji')
      if (messageId === null || emoji === null) return undefined
      return { kind: 'ReactionChanged', messageId, emoji, isAdded: content['type'] === 'add' }
    }
    case 'thread-change':
      return messageId === null || threadId === null
        ? undefined
        : { kind: 'MessageMoved', messageId, threadId }
    case 'backend.user.join':
      return { kind: 'MemberJoined' }
    case 'backend.user.block': {
      const blockedUserId = Number(event['content'])
      return Number.isSafeInteger(blockedUserId) ? { kind: 'MemberBlocked', blockedUserId } : undefined
    }
    case 'user-edit':
      return { kind: 'UserEdited' }
    case 'activity.user':
      return content['typing'] === true
        ? { kind: 'UserTyping', threadId }
        : { kind: 'UserActive', lastActivityAt: optionalNumber(content, 'last_activity') }
    default:
      return undefined
  }
}

function decodeContent(event: string, message: Json): MessageContent {
  const content = message['content']
  const body = optionalText(message, 'body')
  if (event === 'activity' || event === 'discussion') {
    const kind = event === 'activity' ? 'Activity' : 'Discussion'
    return { kind, title: optionalText(message, 'title') ?? '', body }
  }
  if (typeof content === 'string') {
    if (event === 'message') return { kind: 'ChatMessage', content }
    if (event === 'status') return { kind: 'StatusMessage', content }
    if (event === 'line') return { kind: 'LineMessage', content }
    return { kind: 'UnknownMessage', raw: message }
  }
  if (!isRecord(content)) return { kind: 'UnknownMessage', raw: message }
  return decodeObjectContent(event, content, message) ?? { kind: 'UnknownMessage', raw: message }
}

function decodeObjectContent(event: string, content: Json, message: Json): MessageContent | undefined {
  const messageId = optionalNumber(content, 'message')
  switch (event) {
    case 'comment':
      return {
        kind: 'Comment',
        content: optionalText(content, 'text') ?? '',
        title: optionalText(content, 'title') ?? '',
        parentId: parentId(strings(message['tags'])),
      }
    case 'file':
      return { kind: 'FileMessage', file: decodeFile(content) }
    case 'action':
      return decodeAction(content)
    case 'mail':
      return {
        kind: 'MailMessage',
        subject: optionalText(content, 'subject') ?? '',
        body: optionalText(content, 'content'),
        from: mailAddresses(content['from']),
        to: mailAddresses(content['to']),
        cc: mailAddresses(content['cc']),
        replyTo: mailAddresses(content['replyTo']).map(({ address }) => address),
        source: optionalText(content, 'source'),
        project: optionalText(content, 'project'),
        link: optionalText(content, 'link'),
      }
    case 'tag-change':
      if (messageId === null) return undefined
      return {
        kind: 'TagChange',
        messageId,
        added: strings(content['add']),
        removed: strings(content['remove']),
      }
    case 'message-edit':
      if (messageId === null) return undefined
      return { kind: 'MessageEdit', messageId, content: editedText(content['updated_content']) }
    case 'message-delete':
      return messageId === null ? undefined : { kind: 'MessageDelete', messageId }
    default:
      return decodeLegacy(event, content)
  }
}

/** [flowdock] message-types.md, "action". Each type has another description. */
function decodeAction(content: Json): MessageContent {
  const action = optionalText(content, 'type') ?? ''
  const { description, message } = content
  const data = isRecord(description) ? description : {}
  const words = typeof description === 'string' ? description : null
  const blockedUserId = Number(data['user'] ?? Number.NaN)
  const nicks = words === null ? strings(message) : words.split(',').map((nick) => nick.trim())
  return {
    kind: 'ActionMessage',
    action,
    addedNicks: action === 'add_people' ? nicks : null,
    blockedUserId: Number.isSafeInteger(blockedUserId) ? blockedUserId : null,
    email: optionalText(data, 'email'),
    term: /^(add|remove)_(rss|twitter)_/.test(action) ? words : null,
    details: content,
  }
}

/** Objects with a name and an e-mail address, or e-mail addresses only. */
function mailAddresses(value: unknown): MailAddress[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((item) => {
    if (typeof item === 'string') return [{ name: null, address: item }]
    const address = isRecord(item) ? optionalText(item, 'address') : null
    return address === null ? [] : [{ name: optionalText(item, 'name'), address }]
  })
}

function decodeFile(content: Json): File {
  const image = isRecord(content['image']) ? content['image'] : {}
  const { thumbnail } = content
  return {
    name: optionalText(content, 'file_name') ?? '',
    contentType: optionalText(content, 'content_type') ?? 'application/octet-stream',
    byteSize: optionalNumber(content, 'file_size') ?? 0,
    contentId: optionalText(content, 'content_id'),
    path: optionalText(content, 'path') ?? '',
    width: optionalNumber(image, 'width'),
    height: optionalNumber(image, 'height'),
    thumbnail: isRecord(thumbnail)
      ? attempt(() => ({
          path: text(thumbnail, 'path'),
          width: optionalNumber(thumbnail, 'width') ?? 0,
          height: optionalNumber(thumbnail, 'height') ?? 0,
        }))
      : null,
  }
}

/** [flowdock] messages.md, "Comment": the tag `influx:ID` names the parent of a comment. */
function parentId(tags: readonly string[]): number | null {
  const tag = tags.find((candidate) => candidate.startsWith('influx:'))
  const id = Number(tag?.slice('influx:'.length))
  return Number.isSafeInteger(id) ? id : null
}

/** The new text: a string, or `{ title, text }` for a comment. */
function editedText(updated: unknown): string {
  if (typeof updated === 'string') return updated
  return isRecord(updated) ? (optionalText(updated, 'text') ?? '') : ''
}

/** Decodes a part. An error becomes its value, so that the rest is not lost. */
function attempt<T>(decode: () => T): Decoded<T> {
  try {
    return decode()
  } catch (error) {
    if (error instanceof UpstreamError) return error
    throw error
  }
}

/** Null for a part that cannot be decoded. */
function orNull<T>(decode: () => T): T | null {
  const part = attempt(decode)
  return part instanceof UpstreamError ? null : part
}

export function record(value: unknown, what: string): Json {
  if (!isRecord(value)) throw broken(what)
  return value
}

export function text(json: Json, key: string): string {
  const value = json[key]
  if (typeof value !== 'string') throw broken(`text in "${key}"`)
  return value
}

export function optionalText(json: Json, key: string): string | null {
  const value = json[key]
  return typeof value === 'string' ? value : null
}

export function number(json: Json, key: string): number {
  const value = json[key]
  if (typeof value !== 'number') throw broken(`a number in "${key}"`)
  return value
}

function optionalNumber(json: Json, key: string): number | null {
  const value = json[key]
  return typeof value === 'number' ? value : null
}

/** Milliseconds, or an ISO 8601 time, which is in UTC when it has no offset. */
export function optionalTime(json: Json, key: string): number | null {
  const value = json[key]
  if (typeof value === 'number') return value
  return typeof value === 'string' ? (parseIsoTime(value) ?? null) : null
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function optionalRecords(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function broken(expected: string): UpstreamError {
  return new UpstreamError('UPSTREAM_INVALID', `The upstream answered without ${expected}`)
}
