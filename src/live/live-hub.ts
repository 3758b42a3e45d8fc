import type { ChangeTracker } from '../events/change-tracker.ts'
import type { Channel, EventReader } from '../events/channel.ts'
import type { EntitlementState } from '../events/entitlement.ts'
import type { ReaderState } from '../events/reader.ts'
import type { HubState } from '../events/stream-hub.ts'
import type { Credential } from '../upstream/flowdock/credentials.ts'
import type { Directory } from '../upstream/flowdock/directory.ts'
import type { PrincipalEntities } from '../upstream/flowdock/entities.ts'
import type { FlowEvent } from '../upstream/flowdock/model.ts'
import type { OperationCalls } from './query-entities.ts'

/** Whose rights a subscription has. */
export interface Listener {
  readonly credential: Credential
  /** The number of the user, once the upstream has told it. */
  readonly userId: number | undefined
}

/** What a subscription receives. */
export interface ReadRequest {
  readonly listener: Listener
  /** The flows by their ids, each checked to be one of the user's, or all of them, now and later. */
  readonly flowIds: readonly string[] | 'all'
  /** Whether it receives what is sent to its user alone, too. */
  readonly isPrivate: boolean
  /** A position in the upstream's log: what happened since comes first. It begins with what happens unless given. */
  readonly after: string | undefined
  /** Which events; a gap is not asked about. */
  readonly wants: (event: FlowEvent) => boolean
}

/** Reads as a user, without a credential of theirs. */
export interface Actor {
  readonly credential: Credential
  readonly headers: Readonly<Record<string, string>>
}

/** What is known of the events of one upstream, and of who may receive them. */
export interface LiveHub {
  /** Brings a reader to what happens now, and lets it go on there. Resolves when it is over. */
  read(request: ReadRequest, reader: EventReader<FlowEvent>, signal: AbortSignal): Promise<void>
  /** The number of the user of a principal, once it is known. */
  userIdOf(principal: string): number | undefined
  /** Whether that is known whenever an event is received. */
  readonly knowsUsers: boolean
  /**
   * What need not be asked for when an event of a channel is executed.
   *
   * @param viewer whom it is executed for
   * @param isOwn whether nobody else gets the result
   */
  directoryOf(
    channel: Channel<FlowEvent>,
    event: FlowEvent,
    viewer: Listener,
    isOwn: boolean,
  ): Directory | undefined
  /** What an operation need not ask the REST API for; undefined where it has to. */
  entitiesOf(credential: Credential, calls: OperationCalls): PrincipalEntities | undefined
  /** A principal's own credential is used at the upstream. */
  called(principal: string): void
  /** How something is read whose result several principals get; undefined where that is done with the credential of one. */
  actorFor(userId: number): Actor | undefined
  /** Undefined where responses are not cached. */
  readonly changes: ChangeTracker<Listener> | undefined
  /** Tells every subscription that the gateway closes, and asks its client to come back within so many milliseconds. */
  announceClosing(retryWithinMs: number): void
  /** Upstream streams that are open. */
  readonly size: number
  streams(): readonly StreamState[]
  /** Null without a service stream. */
  figures(): ServiceStreamFigures | null
  /** Ends every subscription. */
  close(error: unknown): void
}

/** What can be seen of a service stream. */
export interface ServiceStreamFigures {
  readonly state: HubState
  readonly principals: Record<EntitlementState, number>
  readonly readers: Record<ReaderState, number>
  readonly proofs: { readonly underWay: number; readonly waiting: number }
  readonly replaysWaiting: number
  /** The number of the newest event that was received; null before the first connection. */
  readonly position: number | null
  /** The events in memory. */
  readonly log: { readonly events: number; readonly bytes: number }
  /** The flows and users in memory. */
  readonly directory: number
}

/** A stream to the upstream, and who receives it. */
export interface StreamState {
  /** Tells streams apart; says nothing of the principal. */
  readonly key: string
  readonly subscriptions: number
  readonly borrowers: number
  readonly channels: number
  readonly isOpen: boolean
  readonly keptEvents: number
  /** The position of its newest event. */
  readonly offset: string | undefined
  /** When its connection was lost last, and why. */
  readonly lastDisconnect: { readonly at: string; readonly reason: string } | null
}
