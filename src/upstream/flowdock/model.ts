import type { UpstreamError } from '../../errors.ts'
/** The data of the upstream as the gateway uses it. Times are milliseconds since the epoch. Null means that there is no value. */

/** A part of a response, or the error that it cannot be decoded. Its field has the error, and the other fields their values. */
export type Decoded<T> = T | UpstreamError

export interface User {
  readonly id: number
  readonly nick: string
  readonly name: string
  readonly email: string | null
  readonly avatarUrl: string | null
  readonly websiteUrl: string | null
}

/** The invitation of an e-mail address to a flow. */
export interface Invitation {
  readonly flowId: string
  readonly id: number
  readonly email: string
  readonly state: 'pending' | 'accepted'
  readonly url: string
}

/** Extensions that only some upstreams have. */
export type Capability =
  | 'activity'
  | 'avatar'
  | 'createThread'
  | 'followFlows'
  | 'presence'
  | 'markRead'
  | 'moveMessage'
  | 'removeReaction'
  | 'rotatePushToken'
  | 'rules'
  | 'search'
  | 'typing'

/** An author without an account: of an integration, or with an external name. */
export interface ExternalAuthor {
  readonly name: string
  readonly avatarUrl: string | null
  readonly email: string | null
}

/** A user as a member of one flow. */
export interface FlowUser {
  readonly user: User
  readonly isBlocked: boolean
  readonly status: string | null
  readonly lastActivityAt: number | null
  /** When a client of the user last sent something. */
  readonly lastPingAt: number | null
}

/** A user as a member of one organization. */
export interface OrganizationUser {
  readonly user: User
  readonly isAdmin: boolean
}

export interface Organization {
  readonly id: number
  readonly slug: string
  readonly name: string
  readonly userCount: number | null
  readonly userLimit: number | null
  readonly isActive: boolean
  readonly url: string
  /** Null when the response does not have it. */
  readonly subscription: Subscription | null
}

/** The subscription of an organization. Dates are as the upstream writes them: `2026-10-26`. */
export interface Subscription {
  readonly isTrial: boolean
  readonly trialEndsOn: string | null
  readonly billingOn: string | null
}

export type AccessMode = 'invitation' | 'link' | 'organization'

export interface Flow {
  readonly id: string
  readonly slug: string
  /** The slugs of organization and flow, as in URLs: `example/main`. */
  readonly path: string
  readonly name: string
  readonly description: string | null
  readonly email: string | null
  readonly accessMode: AccessMode
  readonly isOpen: boolean
  readonly isJoined: boolean
  /** Whether it is archived; null where the upstream does not say. */
  readonly isDisabled: boolean | null
  readonly isAdmin: boolean | null
  readonly teamNotifications: boolean | null
  readonly url: string
  readonly webUrl: string
  readonly organization: Organization
  /** Null when the response does not list them. */
  readonly users: readonly FlowUser[] | null
  /** Null when the flow comes from the directory. */
  readonly details: FlowDetails | null
}

/** What of a flow changes with every message, or is a secret. It is read from the REST API when it is selected. */
export interface FlowDetails {
  readonly unreadMentions: number | null
  readonly lastMessageAt: number | null
  readonly lastMessageId: number | null
  /** The token of the legacy push API; null for users who may not see it. */
  readonly pushToken: string | null
  readonly joinUrl: string | null
}

/** A flow as the REST API returns it. */
export type DetailedFlow = Flow & { readonly details: FlowDetails }

export interface Source {
  readonly flowPath: string
  readonly id: number
  readonly name: string
  readonly url: string
  readonly externalUrl: string | null
  readonly application: {
    readonly id: number
    readonly name: string
    readonly iconUrl: string | null
    readonly url: string
  }
  readonly creator: Decoded<User> | null
  readonly configurationUrl: string | null
  readonly createdAt: number
  readonly updatedAt: number
}

interface RuleBase {
  readonly flowPath: string
  readonly id: number
  readonly name: string
  /** The id of its flow of flowthings. */
  readonly thingsFlowId: string
  readonly creatorId: number
  readonly status: 'active' | 'paused' | 'disabled'
  readonly problem: { readonly code: string; readonly message: string; readonly at: number } | null
  readonly runCount: number
  readonly skippedCount: number
  readonly lastRunAt: number | null
  readonly createdAt: number
  readonly updatedAt: number
}

/** Makes activities of drops. */
export interface DropRule extends RuleBase {
  readonly kind: 'DropRule'
  readonly filter: string | null
  /** Templates, like the three after it. */
  readonly title: string
  readonly body: string | null
  readonly threadKey: string | null
  readonly threadTitle: string | null
  readonly sourceId: number | null
}

/** Makes drops of messages with a tag. */
export interface TagRule extends RuleBase {
  readonly kind: 'TagRule'
  readonly tag: string
}

/** Joins a flow of the chat and a flow of flowthings. */
export type Rule = DropRule | TagRule

export interface Thread {
  readonly flowId: string
  readonly id: string
  readonly title: string
  readonly body: string | null
  readonly externalUrl: string | null
  readonly status: Decoded<{ readonly color: string; readonly value: string }> | null
  readonly fields: readonly { readonly label: string; readonly value: string }[]
  readonly actions: readonly ThreadAction[]
  readonly source: Decoded<Source> | null
  readonly activityCount: number
  readonly internalCommentCount: number
  readonly externalCommentCount: number
  readonly initialMessageId: number | null
  readonly createdAt: number
  readonly updatedAt: number
}

/** A button of a thread. */
export type ThreadAction =
  | {
      readonly kind: 'ViewAction'
      readonly name: string
      readonly url: string
      readonly description: string | null
      readonly imageUrl: string | null
    }
  | {
      readonly kind: 'UpdateAction'
      readonly name: string
      readonly target: { readonly urlTemplate: string; readonly httpMethod: string }
    }

/** The state of a thread, as an integration or a user sets it. */
export interface ThreadState {
  readonly title?: string | undefined
  readonly body?: string | undefined
  readonly externalUrl?: string | undefined
  readonly status?: { readonly color: string; readonly value: string } | undefined
  readonly fields?: readonly { readonly label: string; readonly value: string }[] | undefined
  readonly actions?: readonly ThreadAction[] | undefined
}

export interface File {
  readonly name: string
  readonly contentType: string
  readonly byteSize: number
  /** The id by which the text of its message refers to the file, as `cid:…`. */
  readonly contentId: string | null
  /** The path in the REST API. A download needs the credential of the viewer. */
  readonly path: string
  readonly width: number | null
  readonly height: number | null
  readonly thumbnail: Decoded<{
    readonly path: string
    readonly width: number
    readonly height: number
  }> | null
}

/** A private conversation of the viewer with another user. */
export interface PrivateConversation {
  readonly user: User
  /** Whether the conversation is open in the viewer's list. */
  readonly isOpen: boolean
  readonly unreadMentions: number | null
  readonly hasUnread: boolean | null
  readonly url: string
}

interface MessageBase {
  /** The id of the flow, or `@` and the id of the other user of the private conversation. */
  readonly channel: string
  readonly id: number
  readonly event: string
  readonly tags: readonly string[]
  /** The files of the message, also that of a file message. */
  readonly attachments: readonly File[]
  readonly uuid: string | null
  /** The sender. Null for messages of integrations, and for external names if the upstream does not name the user. */
  readonly userId: number | null
  /** The name that the sender chose for this message. */
  readonly externalUserName: string | null
  readonly externalAuthor: ExternalAuthor | null
  readonly sentAt: number
  readonly editedAt: number | null
  readonly reactions: readonly { readonly emoji: string; readonly userIds: readonly number[] }[]
  readonly threadId: string | null
  /** A page about it at the service that sent it. */
  readonly externalUrl: string | null
  /** The thread as it was when the message was read. Null when the response does not contain it. */
  readonly thread: Thread | null
}

/** The content of each kind. */
export type MessageContent =
  | { readonly kind: 'ChatMessage'; readonly content: string }
  | {
      readonly kind: 'Comment'
      readonly content: string
      readonly title: string
      readonly parentId: number | null
    }
  | { readonly kind: 'StatusMessage'; readonly content: string }
  | { readonly kind: 'LineMessage'; readonly content: string }
  | { readonly kind: 'FileMessage'; readonly file: File }
  | {
      readonly kind: 'ActionMessage'
      readonly action: string
      readonly addedNicks: readonly string[] | null
      readonly blockedUserId: number | null
      readonly email: string | null
      /** The URL of a feed, or the search term. */
      readonly term: string | null
      readonly details: unknown
    }
  | {
      readonly kind: 'TagChange'
      readonly messageId: number
      readonly added: readonly string[]
      readonly removed: readonly string[]
    }
  | { readonly kind: 'MessageEdit'; readonly messageId: number; readonly content: string }
  | { readonly kind: 'MessageDelete'; readonly messageId: number }
  | { readonly kind: 'Activity'; readonly title: string; readonly body: string | null }
  | { readonly kind: 'Discussion'; readonly title: string; readonly body: string | null }
  | {
      readonly kind: 'MailMessage'
      readonly subject: string
      readonly body: string | null
      readonly from: readonly MailAddress[]
      readonly to: readonly MailAddress[]
      readonly cc: readonly MailAddress[]
      readonly replyTo: readonly string[]
      /** The source and project of a push by an old integration. */
      readonly source: string | null
      readonly project: string | null
      readonly link: string | null
    }
  | LegacyMessage
  | { readonly kind: 'UnknownMessage'; readonly raw: unknown }

/** The messages of integrations of before 2014, each with fields of its own. */
export type LegacyMessage =
  | {
      readonly kind: 'RssMessage'
      readonly title: string | null
      readonly body: string | null
      readonly link: string | null
      readonly authorName: string | null
      readonly feedTitle: string | null
      readonly feedUrl: string | null
      readonly categories: readonly string[]
    }
  | { readonly kind: 'TwitterMessage'; readonly text: string | null; readonly screenName: string | null }
  | {
      readonly kind: 'ZendeskMessage'
      readonly title: string | null
      readonly body: string | null
      readonly latestComment: string | null
      readonly status: string | null
      readonly priority: string | null
      readonly ticketUrl: string | null
      readonly requesterName: string | null
      readonly assigneeName: string | null
    }
  | {
      readonly kind: 'JiraMessage'
      readonly action: string | null
      readonly issueKey: string | null
      readonly summary: string | null
      readonly body: string | null
      readonly comment: string | null
      readonly status: string | null
      readonly priority: string | null
      readonly issueType: string | null
      readonly issueUrl: string | null
      readonly projectName: string | null
      readonly actorName: string | null
    }
  | {
      readonly kind: 'ConfluenceMessage'
      readonly action: string | null
      readonly pageTitle: string | null
      readonly pageUrl: string | null
      readonly spaceName: string | null
      readonly summary: string | null
      readonly comment: string | null
      readonly actorName: string | null
    }
  | {
      readonly kind: 'VcsMessage'
      readonly action: string | null
      readonly repositoryName: string | null
      readonly repositoryUrl: string | null
      readonly ref: string | null
      readonly title: string | null
      readonly itemUrl: string | null
      readonly comment: string | null
      readonly actorName: string | null
      readonly commits: readonly Commit[]
    }
  | {
      readonly kind: 'SvnMessage'
      readonly action: string | null
      readonly repositoryName: string | null
      readonly branch: string | null
      readonly revision: string | null
      readonly revisionUrl: string | null
      readonly text: string | null
      readonly actorName: string | null
    }
  | {
      readonly kind: 'PivotalTrackerMessage'
      readonly action: string | null
      readonly text: string | null
      readonly actorName: string | null
      readonly storyNames: readonly string[]
    }
  | {
      readonly kind: 'UserVoiceMessage'
      readonly action: string | null
      /** The object of the action; each type has other fields. */
      readonly details: unknown
    }

export interface Commit {
  readonly id: string
  readonly message: string
  readonly authorName: string | null
  readonly url: string | null
}

export interface MailAddress {
  readonly name: string | null
  readonly address: string
}

export type Message = MessageBase & MessageContent

export type MessageKind = Message['kind']

/** A change in a flow that is not a message. */
export type FlowChange =
  | {
      readonly kind: 'ReactionChanged'
      readonly messageId: number
      readonly emoji: string
      readonly isAdded: boolean
    }
  | { readonly kind: 'MessageMoved'; readonly messageId: number; readonly threadId: string }
  | { readonly kind: 'MemberJoined' }
  | { readonly kind: 'MemberBlocked'; readonly blockedUserId: number }
  | { readonly kind: 'UserEdited' }
  | { readonly kind: 'UserTyping'; readonly threadId: string | null }
  /** Null times for an idle user. */
  | { readonly kind: 'UserActive'; readonly lastActivityAt: number | null }

/** How counted messages are grouped. */
export type ActivityGroupBy = 'author' | 'kind' | 'tag' | 'source'

/** The number of messages in the period that begins at `start`. */
export interface ActivityCount {
  readonly start: number
  readonly count: number
  readonly groups: readonly ActivityGroup[]
}

/** The members of the requested grouping; the others are null. */
export interface ActivityGroup {
  readonly count: number
  readonly userId: number | null
  /** The name of an author without an account. */
  readonly authorName: string | null
  readonly event: string | null
  readonly tag: string | null
  readonly sourceId: number | null
}

/** Why events are missing. */
export type GapReason =
  /** The upstream does not store the events any more. */
  | 'forgotten'
  /** The reader was interrupted at an unknown position. */
  | 'fellBehind'
  /** The upstream sent an event that is too long or broken. */
  | 'unreadable'

/** The presence of a user. An idle user is online, but not active. */
export type PresenceState = 'active' | 'idle' | 'offline'

/** The state of a stream: live, interrupted, replaced by polls, or about to end. */
export type StreamState = 'live' | 'catchingUp' | 'polling' | 'closing'

/** An event of a stream. `cursor` is its position in the stream. */
export type FlowEvent =
  /** The events after `after` are lost: up to `cursor` if it differs from `after`, else up to now. */
  | {
      readonly type: 'gap'
      readonly cursor: string
      readonly flowId: null
      /** Null when it is unknown, or there was none. */
      readonly after: string | null
      readonly reason: GapReason
      /** The time of the last event before the gap. Null when it is unknown. */
      readonly from: number | null
      /** The time from which on events are delivered again. */
      readonly to: number
      /** The flows of the subscription. */
      readonly flowIds: readonly string[] | 'all'
    }
  /** The state of the stream. */
  | {
      readonly type: 'status'
      readonly cursor: string
      readonly flowId: null
      readonly state: StreamState
      /** For a stream that closes: within what time to reconnect. */
      readonly retryWithinMs: number | null
    }
  | {
      readonly type: 'change'
      readonly cursor: string
      /** Null for a private conversation. */
      readonly flowId: string | null
      /** As in `Message.channel`. */
      readonly channel: string
      readonly sentAt: number
      /** The user who made the change, or whom it is about. */
      readonly userId: number
      readonly change: FlowChange
    }
  | {
      readonly type: 'message'
      readonly cursor: string
      /** Null for a private message. */
      readonly flowId: string | null
      readonly message: Message
      /** Set when the message was read from a list. It has no offset in the log then, and its cursor is that of the list. */
      readonly isListed?: true
    }
  /** The presence of a user changed. Delivered to all users who share a flow with them. */
  | {
      readonly type: 'presence'
      readonly cursor: string
      readonly flowId: null
      readonly userId: number
      readonly state: PresenceState
      readonly changedAt: number | null
    }
  /** The viewer joined or lost a flow. */
  | {
      readonly type: 'membership'
      readonly cursor: string
      readonly flowId: string
      readonly isAdded: boolean
    }
  /** An event that is not a message, or of an unknown kind. */
  | {
      readonly type: 'other'
      readonly cursor: string
      /** Null for an event for the user. */
      readonly flowId: string | null
      readonly event: string
      readonly sentAt: number | null
      readonly raw: unknown
    }
