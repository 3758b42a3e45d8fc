/**
 * The Flowdock protocol as it is sent: the gateway's client reads it, and the embedded backend writes it. Types only. Users are
 * numbers in user objects and strings inside messages; times are milliseconds unless a field is named `*_at`, which is ISO 8601.
 */

export interface WireUser {
  id: number
  nick: string
  email: string
  /** Null only at the service, for some users. */
  avatar: string | null
  name: string
  website: string | null
}

/** A user as listed by an organization. */
export interface WireOrganizationUser extends WireUser {
  admin: boolean
}

/** A user as listed by a flow. */
export interface WireFlowUser extends WireUser {
  disabled: boolean
  last_activity: number | null
  last_ping: number | null
  in_flow: boolean
  status: string | null
}

export interface WireOrganization {
  id: number
  parameterized_name: string
  name: string
  user_limit: number
  user_count: number
  active: boolean
  url: string
}

/** An organization as its own resource. */
export interface WireOrganizationDetails extends WireOrganization {
  subscription: { trial: boolean; trial_ends?: string; billing_date?: string | null }
  users: { id: number; name: string; email: string; admin: boolean }[]
}

export type WireAccessMode = 'invitation' | 'link' | 'organization'

export interface WireFlow {
  id: string
  name: string
  parameterized_name: string
  email?: string
  description?: string
  url: string
  web_url: string
  access_mode: WireAccessMode
  flow_admin?: boolean
  api_token?: string
  open: boolean
  /** Whether the flow is archived. Documented for updates only. */
  disabled?: boolean
  joined?: boolean
  join_url?: string
  last_message_at?: string | null
  last_message_id?: number | null
  team_notifications?: boolean
  organization: WireOrganization
  unread_mentions?: number
  flow_groups?: unknown[]
  users?: WireFlowUser[]
}

export interface WireSource {
  id: number
  name: string
  url: string
  external_url?: string
  created_at: string
  updated_at: string
  flow_token?: string
  _links: Record<string, { href: string }>
  application: WireApplication
  creator?: WireUser
}

export interface WireApplication {
  id: number
  name: string
  icon_url: string | null
  url: string
}

export interface WireThreadField {
  label: string
  value: string
}

export interface WireThreadStatus {
  color: string
  value: string
}

export interface WireThread {
  id: string
  flow: string
  title: string
  body: string | null
  external_url: string | null
  status: WireThreadStatus | null
  fields: WireThreadField[]
  actions: Record<string, unknown>[]
  source?: WireSource
  activities?: number
  internal_comments?: number
  external_comments?: number
  initial_message?: number | null
  /** ISO 8601 in the threads resource, milliseconds where a message embeds the thread. */
  created_at: string | number
  updated_at: string
}

export interface WireAuthor {
  name: string
  avatar?: string | null
  email?: string | null
}

export interface WireAttachment {
  content_type: string
  file_name: string
  file_size: number
  path: string
  image?: { width: number; height: number }
  thumbnail?: { path: string; width: number; height: number }
  /** The id by which the body of an integration's message refers to it: `cid:…`. */
  content_id?: string
}

/** A message or a stored event. `event` says how to read `content`. */
export interface WireMessage {
  thread_id?: string
  author?: WireAuthor
  body?: string | null
  event: string
  tags: string[]
  uuid?: string | null
  thread?: WireThread
  to?: string
  id: number
  flow?: string
  content: unknown
  sent: number
  app: 'chat' | 'influx' | null
  title?: string
  created_at: string
  edited?: number | null
  external_user_name?: string
  /** An extension: the id of the user who sent it under that name; `user` is "0" then. */
  sent_by?: string
  attachments: WireAttachment[]
  emojiReactions?: Record<string, string[]>
  user: string
}

export interface WireInvitation {
  id: number
  state: 'pending' | 'accepted'
  email: string
  /** The flow's id. */
  flow: string
  url: string
}

export interface WireConversation {
  /** The other user's id. */
  id: number
  url: string
  name: string
  open: boolean
  activity: { inbox: boolean; mentions: number; chat: boolean }
  users: Omit<WireUser, 'website'>[]
}

/** The number of messages in periods of time. An extension. */
export interface WireActivity {
  since: string
  until: string
  /** The periods with messages, in order. */
  buckets: { start: string; count: number; groups: WireActivityGroup[] }[]
}

/** Only the member of the requested grouping: an author, a kind, a tag, or a source, which is null for conversations. */
export interface WireActivityGroup {
  count: number
  user?: string
  name?: string
  event?: string
  tag?: string
  source?: number | null
}

/** A rule that joins a flow and a flow of flowthings. An extension. */
export interface WireRule {
  id: number
  /** The path of the flow. */
  flow: string
  kind: 'drop' | 'tag'
  name: string
  things_flow: string
  /** Of a tag rule. */
  tag?: string
  /** Of a drop rule, like the texts and the source. */
  filter?: string | null
  title?: string
  body?: string | null
  thread_key?: string | null
  thread_title?: string | null
  source?: number
  /** The id of the user. */
  creator: number
  status: 'active' | 'paused' | 'disabled'
  problem: { code: string; message: string; at: string } | null
  runs: number
  skipped: number
  last_run_at: string | null
  created_at: string
  updated_at: string
}

export interface WireError {
  message: string
  errors?: Record<string, string[]>
}
