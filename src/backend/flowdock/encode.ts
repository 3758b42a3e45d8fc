import { formatIsoTime } from '../../iso-time.ts'
import type {
  WireAccessMode,
  WireApplication,
  WireConversation,
  WireFlow,
  WireFlowUser,
  WireInvitation,
  WireMessage,
  WireOrganization,
  WireOrganizationDetails,
  WireOrganizationUser,
  WireSource,
  WireThread,
  WireUser,
} from '../../wire/flowdock.ts'
import type { WireServiceFlows } from '../../wire/service.ts'
import { type BoundedText, cut, fitMessage, fitReactions, fitThread, maxCharacters } from '../bounds.ts'
import type { ConversationRow } from '../store/conversations.ts'
import { type Flow, type FlowRow, type FlowUserRow, isJoined } from '../store/flows.ts'
import type { InvitationRow } from '../store/invitations.ts'
import type { MessageRow } from '../store/messages.ts'
import type { OrganizationRow } from '../store/organizations.ts'
import type { SourceRow } from '../store/sources.ts'
import type { ThreadRow } from '../store/threads.ts'
import type { UserRow } from '../store/users.ts'
import { avatarUrl } from './avatar.ts'
import { encodeActions } from './thread-actions.ts'

/*
 * Rows as the API sends them. `base` is the public URL of the API, without a trailing slash. Texts that exceed the bounds,
 * because an earlier version stored them, are cut, so that no row makes a list or a stream unreadable.
 */

/** The placeholder of `base` in stored events. Streams replace it, because readers use different URLs. */
export const storedBase = 'http://base.flowdock-gateway.invalid'

/** A stored event with `base` in place of the placeholder. */
export function withBase(json: string, base: string): string {
  return json.replaceAll(storedBase, base)
}

export function encodeUser(user: UserRow, base: string): WireUser {
  return {
    id: user.id,
    nick: shown('nick', user.nick),
    email: shown('email', user.email),
    avatar: avatarUrl(user, base),
    name: shown('name', user.name),
    website: shownUrl(user.website),
  }
}

export function encodeOrganizationUser(
  user: UserRow & { admin: number },
  base: string,
): WireOrganizationUser {
  return { ...encodeUser(user, base), admin: user.admin === 1 }
}

export function encodeFlowUser(user: FlowUserRow, base: string): WireFlowUser {
  return {
    ...encodeUser(user, base),
    disabled: user.flow_disabled === 1,
    last_activity: user.last_activity,
    last_ping: user.last_activity,
    in_flow: user.flow_disabled === 0,
    status: user.flow_status && shown('status', user.flow_status),
  }
}

export function encodeOrganization(organization: OrganizationRow, base: string): WireOrganization {
  return {
    id: organization.id,
    parameterized_name: organization.slug,
    name: shown('name', organization.name),
    user_limit: organization.user_limit,
    user_count: organization.user_count,
    active: organization.active === 1,
    url: `${base}/organizations/${organization.slug}`,
  }
}

/**
 * An organization as its own resource has more members than inside a flow. [flowdock] organizations.md
 *
 * `subscription` says that there is no trial. Nothing is billed, so there is no date.
 */
export function encodeOrganizationDetails(
  organization: OrganizationRow,
  users: readonly (UserRow & { admin: number })[],
  base: string,
): WireOrganizationDetails {
  return {
    ...encodeOrganization(organization, base),
    subscription: { trial: false, billing_date: null },
    users: users.map(({ id, name, email, admin }) => ({ id, name, email, admin: admin === 1 })),
  }
}

/**
 * The join URL is for members whose credential may manage the flow. The push token posts under any name, so it is for
 * administrators, and for no application.
 *
 * @param scopes those of an application's token; undefined for a credential of the user's own
 */
export function encodeFlow(
  flow: FlowRow,
  organization: OrganizationRow,
  base: string,
  scopes: ReadonlySet<string> | undefined,
  users?: readonly FlowUserRow[],
): WireFlow {
  const path = `${organization.slug}/${flow.slug}`
  const mayManage = isJoined(flow) && (scopes === undefined || scopes.has('manage'))
  return {
    id: flow.id,
    name: shown('name', flow.name),
    parameterized_name: flow.slug,
    email: `${flow.slug}@${organization.slug}.flowdock.com`,
    description: shown('description', flow.description),
    url: `${base}/flows/${path}`,
    web_url: `${base}/app/${path}`,
    access_mode: flow.access_mode as WireAccessMode,
    flow_admin: flow.organization_admin === 1,
    // [flowdock] undocumented
    ...(mayManage && scopes === undefined && flow.organization_admin === 1
      ? { api_token: flow.push_token }
      : {}),
    open: flow.open === 1,
    disabled: flow.disabled === 1,
    joined: isJoined(flow),
    ...(mayManage && flow.access_mode !== 'invitation' ? { join_url: joinUrl(flow, base) } : {}),
    last_message_at: flow.last_message_at === null ? null : toIso(flow.last_message_at),
    last_message_id: flow.last_message_id,
    team_notifications: true,
    organization: encodeOrganization(organization, base),
    unread_mentions: flow.unread_mentions,
    flow_groups: [],
    ...(users === undefined ? {} : { users: users.map((user) => encodeFlowUser(user, base)) }),
  }
}

/** A flow without what depends on its viewer, and without what each message changes: gateways remember it. */
export function encodeFlowItself(
  flow: Flow,
  organization: OrganizationRow,
  base: string,
): WireServiceFlows['flows'][number] {
  const unseen = { ...flow, open: null, blocked: null, organization_admin: null, unread_mentions: 0 }
  const encoded = encodeFlow(unseen, organization, base, undefined)
  const { flow_admin: _a, joined: _b, open: _c, unread_mentions: _d, ...seen } = encoded
  const { last_message_at: _e, last_message_id: _f, ...itself } = seen
  return itself
}

export function joinUrl(flow: Pick<FlowRow, 'join_code' | 'slug'>, base: string): string {
  return `${base}/invitations/${flow.join_code}-${flow.slug}`
}

/** @param flowToken only in the response to the creation */
export function encodeSource(source: SourceRow, base: string, flowToken?: string): WireSource {
  const externalUrl = shownUrl(source.external_url)
  const configurationUrl = shownUrl(source.configuration_url)
  return {
    id: source.id,
    name: shown('name', source.name),
    url: `${base}/flows/${source.flow_path}/sources/${source.id}`,
    ...(externalUrl === null ? {} : { external_url: externalUrl }),
    created_at: toIso(source.created_at),
    updated_at: toIso(source.updated_at),
    ...(flowToken === undefined ? {} : { flow_token: flowToken }),
    _links: configurationUrl === null ? {} : { configure: { href: configurationUrl } },
    application: encodeApplication(source, base),
    creator: encodeUser(source.creator, base),
  }
}

function encodeApplication(source: SourceRow, base: string): WireApplication {
  return {
    id: source.application_id,
    name: shown('name', source.application_name),
    icon_url: shownUrl(source.application_icon_url),
    url: `${base}/oauth/applications/${source.application_id}`,
  }
}

export function encodeThread(
  row: ThreadRow,
  flowId: string,
  source: SourceRow | undefined,
  base: string,
): WireThread {
  const thread = fitThread(row)
  return {
    body: thread.body,
    ...(source === undefined ? {} : { source: encodeSourceAlone(source, base) }),
    external_url: thread.external_url,
    external_comments: thread.external_comments,
    activities: thread.activities,
    id: thread.id,
    flow: flowId,
    status: thread.status_json === null ? null : JSON.parse(thread.status_json),
    fields: JSON.parse(thread.fields_json),
    actions: encodeActions(thread.id, thread.actions_json, base),
    created_at: toIso(thread.created_at),
    title: thread.title,
    updated_at: toIso(thread.updated_at),
    initial_message: thread.initial_message,
    internal_comments: thread.internal_comments,
  }
}

/** A source without its creator, whose name and address are not for the holder of a flow token. */
export function encodeSourceAlone(source: SourceRow, base: string): WireSource {
  const { creator: _, ...rest } = encodeSource(source, base)
  return rest
}

/** The receiver of a message: a flow, or the other user of a private conversation. */
export type Destination = { readonly flow: string } | { readonly to: string }

/** A message's thread and, for threads of integrations, their source. */
export interface ThreadContext {
  readonly row: ThreadRow
  readonly source: SourceRow | undefined
}

/** The thread of a message, in JSON. The creation time is in milliseconds; the threads resource has it in ISO 8601. */
export function encodeMessageThread({ row, source }: ThreadContext, flowId: string, base: string): string {
  const thread = fitThread(row)
  return jsonObject<keyof WireThread>({
    body: JSON.stringify(thread.body),
    source: source === undefined ? undefined : JSON.stringify(encodeSourceAlone(source, base)),
    external_url: JSON.stringify(thread.external_url),
    external_comments: String(thread.external_comments),
    activities: String(thread.activities),
    id: JSON.stringify(thread.id),
    flow: JSON.stringify(flowId),
    status: thread.status_json === null ? 'null' : storedJson(thread.status_json),
    fields: storedJson(thread.fields_json),
    actions:
      thread.actions_json === '[]'
        ? '[]'
        : JSON.stringify(encodeActions(thread.id, thread.actions_json, base)),
    created_at: String(thread.created_at),
    title: JSON.stringify(thread.title),
    updated_at: `"${toIso(thread.updated_at)}"`,
    initial_message: String(thread.initial_message),
    internal_comments: String(thread.internal_comments),
  })
}

/**
 * A message in JSON. It is written as text, because most of it is stored as JSON: a list of 100 takes half of the time. The
 * keys have the order in which the service sent them.
 *
 * [flowdock] messages.md: `external_user_name` makes a message of a flow anonymous, so `user` is "0". `sent_by`, an extension,
 * names the sender, so that no user can write under the name of another. In a private conversation `user` stays, since it
 * says which of the two wrote the message.
 *
 * @param thread as `encodeMessageThread` returns it; undefined for a message without one
 * @throws SyntaxError when what is stored is not JSON
 */
export function encodeMessage(
  row: MessageRow,
  destination: Destination,
  thread: string | undefined,
  base: string,
): string {
  const message = fitMessage(row)
  const isInFlow = 'flow' in destination
  const isAnonymous = isInFlow && message.external_user_name !== null && message.user_id !== 0
  return jsonObject<keyof WireMessage>({
    thread_id: message.thread_id === null ? undefined : JSON.stringify(message.thread_id),
    author: message.author_json === null ? undefined : storedJson(message.author_json),
    body: message.app === 'influx' ? JSON.stringify(message.body) : undefined,
    event: JSON.stringify(message.event),
    tags: storedJson(message.tags_json),
    uuid: JSON.stringify(message.uuid),
    thread: isInFlow ? thread : undefined,
    to: isInFlow ? undefined : JSON.stringify(destination.to),
    id: String(message.id),
    flow: isInFlow ? JSON.stringify(destination.flow) : undefined,
    // Texts that users write contain no URL of this server. An event about a user contains that of the avatar.
    content: storedJson(message.app === null ? withBase(message.content_json, base) : message.content_json),
    sent: String(message.sent),
    app: JSON.stringify(message.app),
    title: message.title === null ? undefined : JSON.stringify(message.title),
    created_at: `"${toIso(message.sent)}"`,
    edited: String(message.edited),
    external_user_name:
      message.external_user_name === null ? undefined : JSON.stringify(message.external_user_name),
    sent_by: isAnonymous ? `"${message.user_id}"` : undefined,
    attachments: storedJson(message.attachments_json),
    emojiReactions: storedJson(fitReactions(message.reactions_json)),
    user: isAnonymous ? '"0"' : `"${message.user_id}"`,
  })
}

/** An object whose members are JSON; those that are undefined are left out. */
function jsonObject<Key extends string>(members: Readonly<Record<Key, string | undefined>>): string {
  let text = ''
  for (const name in members) {
    const json = members[name]
    if (json !== undefined) text += text === '' ? `{"${name}":${json}` : `,"${name}":${json}`
  }
  return `${text}}`
}

/** JSON from the store, checked, so that a damaged row does not make a list unreadable. */
function storedJson(json: string): string {
  if (json !== '[]' && json !== '{}') JSON.parse(json)
  return json
}

/**
 * @param viewer the conversation has the id and the nick of the other user
 * @param unread the number of messages that the viewer has not read; each counts as a mention, because it is for them alone
 */
export function encodeConversation(
  conversation: ConversationRow,
  viewer: UserRow,
  other: UserRow,
  unread: number,
  base: string,
): WireConversation {
  const open = conversation.low_user_id === viewer.id ? conversation.low_open : conversation.high_open
  return {
    id: other.id,
    url: `${base}/private/${other.id}`,
    name: `@${shown('nick', other.nick)}`,
    open: open === 1,
    activity: { inbox: false, mentions: unread, chat: unread > 0 },
    users: [viewer, other].map((user) => {
      const { website: _, ...rest } = encodeUser(user, base)
      return rest
    }),
  }
}

/** [flowdock] invitations.md */
export function encodeInvitation(invitation: InvitationRow, flowPath: string, base: string): WireInvitation {
  const { id, flow_id: flow, state } = invitation
  return {
    id,
    state: state as WireInvitation['state'],
    email: shown('email', invitation.email),
    flow,
    url: `${base}/flows/${flowPath}/invitations/${id}`,
  }
}

/** [ecma] 21.4.1.1: the last millisecond of `Date`. A later stored time would throw a RangeError. */
const lastMs = 8.64e15

/** A time in ISO 8601. For a later one than `Date` can hold: the last one. */
export function toIso(ms: number): string {
  return formatIsoTime(Math.max(-lastMs, Math.min(ms, lastMs)))
}

function shown(field: BoundedText, text: string): string {
  return cut(text, maxCharacters[field])
}

/** A shortened URL would lead elsewhere, so one that is too long is left out. */
function shownUrl(url: string | null): string | null {
  return url !== null && url.length > maxCharacters.url ? null : url
}
