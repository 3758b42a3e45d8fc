import type { WireFlow, WireOrganization, WireUser } from './flowdock.ts'

/**
 * The service interface, version 1: what a gateway reads from its own backend under `/service/v1/`. Types only.
 *
 * `GET /service/v1/stream` is an event stream (`text/event-stream`) of the whole log, each event once. `event:` names the
 * frame, `data:` is its JSON, `id:` is the number of the event in the log. Frames of another name and unknown keys are
 * ignored, so that both may be added to this version.
 *
 * Request: `Authorization: Bearer <service token>`; `Last-Event-ID: N` to begin after event N, or `?back=N` to begin N events
 * before the end of the log; at its end with neither. `Flowdock-Known-Event: N T` names an event that was received, and its `t`.
 *
 * Response: 200 with the headers below; 401 for a wrong token, 403 with an `Origin`, 404 where there is no such interface,
 * 410 when N is not in the log (older than its first event less one, or past its end), or event N of `Flowdock-Known-Event` has
 * another time, because the database lost commits and gave their numbers again; 503 when it cannot be served now.
 *
 * | header | value |
 * |---|---|
 * | `Flowdock-Service` | `1` |
 * | `Flowdock-Log-Id` | the id of the log: another id is another log, with other numbers |
 * | `Flowdock-Event-Id` | the number after which the stream begins: every later event follows |
 * | `Flowdock-First-Event` | the number of the oldest event in the log; 1 for an empty log |
 *
 * Events come in the order of their numbers, without holes. Signals that say who is online come after the headers, before
 * the first `h`.
 */
export interface WireServiceFrames {
  /** An event of the log, with an id. */
  readonly e: WireServiceEvent
  /** A control event of the log, with an id. Clients of Flowdock's API never receive it. */
  readonly c: WireControlEvent
  /** A signal: it has no id, and is not stored. */
  readonly s: WireServiceSignal
  /** Everything up to `head` was sent. Comes once the stream has caught up, then every 5 s. */
  readonly h: WireServiceHead
}

/** Who receives an event: the members of a flow, by its id, or one user, by their number. */
export type WireAudience = `f:${string}` | `u:${number}`

export interface WireServiceEvent {
  readonly a: WireAudience
  /** When it was stored, in milliseconds since 1970. */
  readonly t: number
  /**
   * The payload as streams of Flowdock's API send it; URLs in it begin with the base URL of the request. Null for a message
   * that was removed since: its number stays. A message whose text was deleted since is sent without it, as by these streams.
   */
  readonly p: object | null
}

export type WireControlEvent =
  /** A credential is gone: revoked, expired or deleted. `g` is its grant. */
  | { readonly a: `u:${number}`; readonly k: 'token'; readonly g: string }
  /** The user was disabled, or signs in with another e-mail address: each of their credentials has to be proved again. */
  | { readonly a: `u:${number}`; readonly k: 'user' }
  /** The nick, name or picture of the user changed. */
  | { readonly a: `u:${number}`; readonly k: 'profile' }
  /**
   * The organizations of the user changed, or which of their flows are open: what no `flow-add` or `flow-remove` says. The
   * rights of the user have to be read again. `o`: the organization that the user came into or left, which has another number
   * of users since; or an organization of the user that has no flow, and has another name since.
   */
  | { readonly a: `u:${number}`; readonly k: 'reach'; readonly o?: number }
  /**
   * Of a flow changed what no other event says: its name, description, access, archived state or sources, the name of its
   * organization, the order of the tags of a message, or old messages that were imported. `o`: the organization, if that is what changed.
   */
  | { readonly a: `f:${string}`; readonly k: 'flow'; readonly o?: number }

export interface WireServiceSignal {
  /** The ids of the flows whose members receive it. */
  readonly f: readonly string[]
  /** A user who receives it whatever their flows are. */
  readonly u?: number
  /** Whether it says that a user came or went. */
  readonly presence?: boolean
  readonly p: object
}

export interface WireServiceHead {
  readonly head: number
}

/**
 * `GET /service/v1/entitlement`, with the credential of a user, not with the service token: what that credential may receive,
 * read in one transaction with the end of the log. 401 and 403 as everywhere in the API.
 */
export interface WireEntitlement {
  /** The id of the log, as in `Flowdock-Log-Id`. */
  readonly log: string
  /** The number of the newest event of the log. */
  readonly at: number
  /** The number of the user. */
  readonly user: number
  /** Names the credential without being one. */
  readonly grant: string
  /** The ids of the flows that the user has joined; empty for the token of an application without the scope `flow`. */
  readonly flows: readonly string[]
  /** Whether it may receive what is sent to its user alone: the token of an application needs the scope `private`. */
  readonly private: boolean
  readonly organizations: readonly { readonly id: number; readonly admin: boolean }[]
  /** The scopes of the token of an application; null for every other credential. */
  readonly scopes: readonly string[] | null
  /** When the credential ends, in milliseconds since 1970; null when it does not end by itself. */
  readonly expires_at: number | null
}

/**
 * `POST /service/v1/entitlements`, with the service token, takes at most 100 values of `Authorization` as a JSON array: the
 * credentials of users, whose entitlements are read in one transaction. The response has an outcome for each, in order.
 */
export type WireEntitlementOutcome =
  | WireEntitlement
  /** 401: it is not valid. 501: a password, which has to be asked about by itself. */
  | { readonly status: 401 | 501 }

/** `POST /service/v1/audit` takes at most 1,000 of these as a JSON array: what a gateway believes of credentials. */
export interface WireAuditClaim {
  readonly grant: string
  readonly user: number
  /** SHA-256, as hex, of the flows' ids in ascending order of their characters' codes, each followed by `\n`. */
  readonly flowsHash: string
  /** The number up to which the gateway has applied the log. */
  readonly at: number
}

/** The response: the claims that are wrong. A claim may be wrong only because events after its `at` changed the flows. */
export type WireAuditFindings = readonly {
  readonly grant: string
  readonly user: number
  /** Whether the credential is gone, or its user has other flows. */
  readonly state: 'gone' | 'differs'
}[]

/**
 * `GET /service/v1/head`: where the log ends now. Whatever was committed before the request has no higher number, so a gateway
 * that has received every event up to `at` knows all of it.
 */
export interface WireServiceLogHead {
  /** The id of the log, as in `Flowdock-Log-Id`. */
  readonly log: string
  /** The number of the newest event. */
  readonly at: number
}

/** `GET /service/v1/users?ids=1,2`: those that exist, at most 500 ids. */
export interface WireServiceUsers {
  /** The number of the newest event when they were read. */
  readonly at: number
  readonly users: readonly (WireUser & {
    readonly disabled: boolean
    /** The ids of the organizations that the user is a member of. */
    readonly organizations: readonly number[]
    /** Those of them that the user administers. */
    readonly administers: readonly number[]
    /** The ids of the flows that the user has joined, archived ones included. */
    readonly joined: readonly string[]
    /** Those of them that the user has open. */
    readonly open: readonly string[]
    /** The ids of the flows that the user left, or was blocked in. */
    readonly left: readonly string[]
  })[]
}

/**
 * `GET /service/v1/flows?ids=a,b`: those that exist, at most 500 ids. What depends on the viewer is left out, and so is what each
 * message changes, because a gateway remembers the flow until an event says that it changed.
 */
export interface WireServiceFlows {
  /** The number of the newest event when they were read. */
  readonly at: number
  readonly flows: readonly Omit<
    WireFlow,
    | 'api_token'
    | 'flow_admin'
    | 'join_url'
    | 'joined'
    | 'last_message_at'
    | 'last_message_id'
    | 'open'
    | 'unread_mentions'
    | 'users'
  >[]
}

/** `GET /service/v1/organizations?ids=1,2`: those that exist, at most 500 ids. */
export interface WireServiceOrganizations {
  /** The number of the newest event when they were read. */
  readonly at: number
  readonly organizations: readonly WireOrganization[]
}
