/**
 * Flowdock as the gateway works with it. Times are milliseconds since the epoch; null is "known to be absent".
 */

export interface User {
  readonly id: number
  readonly nick: string
  readonly name: string
  readonly email: string | null
  readonly avatarUrl: string | null
  readonly websiteUrl: string | null
}

/** Somebody who was asked into a flow. */
export interface Invitation {
  readonly flowId: string
  readonly id: number
  readonly email: string
  readonly state: 'pending' | 'accepted'
  readonly url: string
}

/** What only some upstreams can do. */
export type Capability =
  | 'activity'
  | 'createThread'
  | 'followFlows'
  | 'presence'
  | 'markRead'
  | 'moveMessage'
  | 'removeReaction'
  | 'rotatePushToken'
  | 'search'
  | 'typing'

/** Somebody who wrote without an account: through an integration, or under another name. */
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
  /** When a client of theirs was last heard of. */
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
  /** Null where the answer this came from does not have it. */
  readonly subscription: Subscription | null
}

/** What an organization pays for. Dates as the upstream writes them: `2026-10-26`. */
export interface Subscription {
  readonly isTrial: boolean
  readonly trialEndsOn: string | null
  readonly billingOn: string | null
}

export type AccessMode = 'invitation' | 'link' | 'organization'

export interface Flow {
  readonly id: string
  readonly slug: string
  /** Organization and flow slug, as in addresses: `example/main`. */
  readonly path: string
  readonly name: string
  readonly description: string | null
  readonly email: string | null
  readonly accessMode: AccessMode
  readonly isOpen: boolean
  readonly isJoined: boolean
  readonly isAdmin: boolean | null
  readonly unreadMentions: number | null
  readonly lastMessageAt: number | null
  readonly lastMessageId: number | null
  /** What old integrations push with; null for those who are not in the flow. */
  readonly pushToken: string | null
  readonly teamNotifications: boolean | null
  readonly joinUrl: string | null
  readonly url: string
  readonly webUrl: string
  readonly organization: Organization
  /** Null when the answer this came from does not list them. */
  readonly users: readonly FlowUser[] | null
}

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
  readonly creator: User | null
  readonly configurationUrl: string | null
  readonly createdAt: number
  readonly updatedAt: number
}

export interface Thread {
  readonly flowId: string
  readonly id: string
  readonly title: string
  readonly body: string | null
  readonly externalUrl: string | null
  readonly status: { readonly color: string; readonly value: string } | null
  readonly fields: readonly { readonly label: string; readonly value: string }[]
  readonly actions: readonly ThreadAction[]
  readonly source: Source | null
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

/** What an integration or a user says of a thread. */
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
  /** What the text of the message it came with refers to it by, as `cid:…`. */
  readonly contentId: string | null
  /** Below the REST address; a download needs the caller's credential. */
  readonly path: string
  readonly width: number | null
  readonly height: number | null
  readonly thumbnail: { readonly path: string; readonly width: number; readonly height: number } | null
}

/** A private conversation of the caller with somebody. */
export interface PrivateConversation {
  readonly user: User
  /** Whether the caller keeps a tab open for it. */
  readonly isOpen: boolean
  readonly unreadMentions: number | null
  readonly hasUnread: boolean | null
  readonly url: string
}

interface MessageBase {
  /** Where it is: the id of a flow, or `@` and the number of whom the caller has a private conversation with. */
  readonly channel: string
  readonly id: number
  readonly event: string
  readonly tags: readonly string[]
  /** Files that came with it; that of a file message, too. */
  readonly attachments: readonly File[]
  readonly uuid: string | null
  /** Who sent it; null for messages of integrations, and under external names where the upstream does not say. */
  readonly userId: number | null
  /** The name that a user or a program chose for this message. */
  readonly externalUserName: string | null
  readonly externalAuthor: ExternalAuthor | null
  readonly sentAt: number
  readonly editedAt: number | null
  readonly reactions: readonly { readonly emoji: string; readonly userIds: readonly number[] }[]
  readonly threadId: string | null
  /** A page about it, at the service it came from. */
  readonly externalUrl: string | null
  /** As it was when the message was read; null when the answer does not embed it. */
  readonly thread: Thread | null
}

/** What the kinds differ in. */
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
      /** A feed's address, or what was searched for. */
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
      /** For what old integrations pushed. */
      readonly source: string | null
      readonly project: string | null
      readonly link: string | null
    }
  | LegacyMessage
  | { readonly kind: 'UnknownMessage'; readonly raw: unknown }

/** What integrations of before 2014 told, each in words of its own. */
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
      /** Of what the action names; each kind of thing has other fields. */
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

/** What happened in a flow besides messages. */
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
  /** Without a time for somebody who is there but idle. */
  | { readonly kind: 'UserActive'; readonly lastActivityAt: number | null }

/** What messages are counted by. */
export type ActivityGroupBy = 'author' | 'kind' | 'tag' | 'source'

/** How much was written in a stretch of time that begins at `start`. */
export interface ActivityCount {
  readonly start: number
  readonly count: number
  readonly groups: readonly ActivityGroup[]
}

/** What was asked to be told apart; the rest is null. */
export interface ActivityGroup {
  readonly count: number
  readonly userId: number | null
  /** Of somebody without an account. */
  readonly authorName: string | null
  readonly event: string | null
  readonly tag: string | null
  readonly sourceId: number | null
}

/** Why something that happened cannot be told. */
export type GapReason =
  /** The upstream keeps events for a while only. */
  | 'forgotten'
  /** The reader was too far behind, and nothing says where. */
  | 'fellBehind'
  /** The upstream sent an event that is too long, or is none. */
  | 'unreadable'

/** Whether somebody is there; idle is there, and doing something else. */
export type PresenceState = 'active' | 'idle' | 'offline'

/** How a stream is: as usual, cut and about to catch up, asked for now and then instead, or about to end. */
export type StreamState = 'live' | 'catchingUp' | 'polling' | 'closing'

/** Something told on a stream. `cursor` is its place in the stream. */
export type FlowEvent =
  /**
   * What happened after `after` cannot be had: until now, or up to the place `cursor` where that is another one.
   */
  | {
      readonly type: 'gap'
      readonly cursor: string
      readonly flowId: null
      /** Null when it is not known, or there was none. */
      readonly after: string | null
      readonly reason: GapReason
      /** When the last event before it was; null when it is not known. */
      readonly from: number | null
      /** When what is told next began. */
      readonly to: number
      /** What its reader listens to. */
      readonly flowIds: readonly string[] | 'all'
    }
  /** How the stream itself is. */
  | {
      readonly type: 'status'
      readonly cursor: string
      readonly flowId: null
      readonly state: StreamState
      /** When to come back at the latest, for one that closes. */
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
      /** Who did it, or whom it is about. */
      readonly userId: number
      readonly change: FlowChange
    }
  | {
      readonly type: 'message'
      readonly cursor: string
      /** Null for a private message. */
      readonly flowId: string | null
      readonly message: Message
      /** It was read from a list: it has no place in the log, and its cursor is that of the list. */
      readonly isListed?: true
    }
  /** Somebody came, went or fell idle; told to everybody who shares a flow with them. */
  | {
      readonly type: 'presence'
      readonly cursor: string
      readonly flowId: null
      readonly userId: number
      readonly state: PresenceState
      readonly changedAt: number | null
    }
  /** The caller came into a flow, or is out of it. */
  | {
      readonly type: 'membership'
      readonly cursor: string
      readonly flowId: string
      readonly isAdded: boolean
    }
  /** What is no message, or of a kind without a type here. */
  | {
      readonly type: 'other'
      readonly cursor: string
      /** Null for what is told to the user rather than to a flow. */
      readonly flowId: string | null
      readonly event: string
      readonly sentAt: number | null
      readonly raw: unknown
    }
