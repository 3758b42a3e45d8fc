import { type Access, type Audience, flowAudience, presenceAudience, userAudience } from './audience.ts'
import { go, type TransitionTable } from './transition-table.ts'

/** How an event of the log changes the access of principals. */
export type AccessChange =
  | { readonly kind: 'joined' | 'left'; readonly user: number; readonly flow: string }
  /** A credential was revoked or has expired. */
  | { readonly kind: 'grantEnded'; readonly grant: string }
  /** The rights of a user changed, and the event does not say how. */
  | { readonly kind: 'userChanged'; readonly user: number }

/** The access of a credential. The backend read it and the number of the newest event in one transaction. */
export interface Snapshot {
  /** The id of the log that `at` refers to. */
  readonly log: string
  /** The number of the newest event. */
  readonly at: number
  readonly user: number
  /** Identifies the credential, and cannot be used as one. */
  readonly grant: string
  /** The ids of the flows. */
  readonly flows: readonly string[]
  /** Whether the credential may receive events of flows. If not, `flows` stays empty, also when the user joins flows. */
  readonly receivesFlows: boolean
  /** Whether the credential may receive private events of its user. */
  readonly isPrivate: boolean
  /** When the credential expires, in milliseconds since 1970. */
  readonly expiresAt: number | undefined
  /** Whether the credential has all rights of its user and does not expire. By default that is not known. */
  readonly isPersonal?: boolean
}

export type EntitlementState =
  /** A snapshot was requested. */
  | 'proving'
  /** A snapshot was received, and the log in memory has not reached its number yet. */
  | 'waiting'
  /** The access is known, and follows the log in memory. */
  | 'held'
  | 'ended'

export type EntitlementEvent =
  /** A snapshot was compared with the log in memory, which covers (begin, end]. Its number is greater than `end`. */
  | 'snapshotAhead'
  /** Its number is from `begin` to `end`. The later events in memory say how the access has changed since. */
  | 'snapshotCovered'
  /** Its number is less than `begin`, so events since then are missing. */
  | 'snapshotForgotten'
  /** A later event says that the rights of its user changed, but not how. */
  | 'snapshotOutdated'
  /** It belongs to another log. */
  | 'snapshotOfOtherLog'
  /** The backend refused the credential. */
  | 'refused'
  /** The backend did not respond, and the access was never known. */
  | 'unreachable'
  /** The backend did not respond, and the access was known before. */
  | 'unreachableAgain'
  /** The log in memory has reached the number of the snapshot. */
  | 'reached'
  /** An event says that the user joined or left a flow. */
  | 'membership'
  /** An event says that the rights of the user changed, but not how. */
  | 'userChanged'
  /** An event says that the credential was revoked. */
  | 'grantEnded'
  /** The credential has expired. */
  | 'expired'
  /** The backend has another access for the principal. */
  | 'auditFailed'
  /** A reader subscribed while the stream is not live, so an event that ends the access may be missing. */
  | 'doubted'
  /** The log was replaced by another one. */
  | 'reset'
  /** It had no reader for a minute. */
  | 'unused'

export type EntitlementEffect =
  /** Requests a snapshot from the backend. */
  | 'prove'
  /** Requests it after a pause. */
  | 'proveLater'
  /** Starts or continues the readers. */
  | 'hold'
  /** Changes the audiences of the readers. */
  | 'change'
  /** Stops all deliveries to the readers until the access is known again. */
  | 'suspend'
  /** Ends the readers. */
  | 'end'

const ended = {
  refused: go('ended', 'end'),
  grantEnded: go('ended', 'end'),
  expired: go('ended', 'end'),
  unused: go('ended'),
} as const

const proveAgain = go('proving', 'suspend', 'prove')

export const entitlementTransitions: TransitionTable<EntitlementState, EntitlementEvent, EntitlementEffect> =
  {
    proving: {
      ...ended,
      snapshotAhead: go('waiting'),
      snapshotCovered: go('held', 'hold'),
      snapshotForgotten: go('proving', 'prove'),
      snapshotOutdated: go('proving', 'prove'),
      snapshotOfOtherLog: go('proving', 'proveLater'),
      unreachable: go('ended', 'end'),
      unreachableAgain: go('proving', 'proveLater'),
      reached: 'ignore',
      membership: 'ignore',
      userChanged: 'ignore',
      auditFailed: 'ignore',
      doubted: 'ignore',
      // The requested snapshot will be compared with the new log.
      reset: 'ignore',
    },
    waiting: {
      ...ended,
      snapshotAhead: go('waiting'),
      snapshotCovered: go('held', 'hold'),
      snapshotForgotten: go('proving', 'prove'),
      snapshotOutdated: go('proving', 'prove'),
      snapshotOfOtherLog: go('proving', 'prove'),
      refused: 'ignore',
      unreachable: 'ignore',
      unreachableAgain: 'ignore',
      reached: go('held', 'hold'),
      membership: 'ignore',
      userChanged: 'ignore',
      // The snapshot includes all changes up to its number.
      grantEnded: 'ignore',
      auditFailed: go('proving', 'prove'),
      doubted: 'ignore',
      reset: go('proving', 'prove'),
    },
    held: {
      ...ended,
      snapshotAhead: 'ignore',
      snapshotCovered: 'ignore',
      snapshotForgotten: 'ignore',
      snapshotOutdated: 'ignore',
      snapshotOfOtherLog: 'ignore',
      refused: 'ignore',
      unreachable: 'ignore',
      unreachableAgain: 'ignore',
      reached: 'ignore',
      membership: go('held', 'change'),
      userChanged: proveAgain,
      auditFailed: proveAgain,
      doubted: proveAgain,
      reset: proveAgain,
    },
    ended: {
      snapshotAhead: 'ignore',
      snapshotCovered: 'ignore',
      snapshotForgotten: 'ignore',
      snapshotOutdated: 'ignore',
      snapshotOfOtherLog: 'ignore',
      refused: 'ignore',
      unreachable: 'ignore',
      unreachableAgain: 'ignore',
      reached: 'ignore',
      membership: 'ignore',
      userChanged: 'ignore',
      grantEnded: 'ignore',
      expired: 'ignore',
      auditFailed: 'ignore',
      doubted: 'ignore',
      reset: 'ignore',
      unused: 'ignore',
    },
  }

/** An access at a position of the log. Immutable. */
export class HeldAccess implements Access {
  readonly user: number
  readonly grant: string
  readonly flows: ReadonlySet<Audience>
  readonly receivesFlows: boolean
  readonly isPrivate: boolean
  readonly isPersonal: boolean
  #all: ReadonlySet<Audience> | undefined

  constructor(of: Omit<Snapshot, 'log' | 'at' | 'flows' | 'expiresAt'>, flows: ReadonlySet<Audience>) {
    this.user = of.user
    this.grant = of.grant
    this.receivesFlows = of.receivesFlows
    this.isPrivate = of.isPrivate
    this.isPersonal = of.isPersonal ?? false
    this.flows = flows
  }

  /** Created when it is first read, because few subscriptions need all events. */
  get all(): ReadonlySet<Audience> {
    if (this.#all === undefined) {
      const all = new Set(this.flows)
      for (const audience of this.flows) all.add(presenceAudience(audience.slice(2)))
      if (this.isPrivate) all.add(userAudience(this.user))
      this.#all = all
    }
    return this.#all
  }

  with(flows: ReadonlySet<Audience>): HeldAccess {
    return new HeldAccess(this, flows)
  }
}

export function accessOf(snapshot: Omit<Snapshot, 'log' | 'at' | 'expiresAt'>): HeldAccess {
  return new HeldAccess(snapshot, new Set(snapshot.flows.map(flowAudience)))
}

/** @returns the same object when the change does not concern this access */
export function applyChange(access: HeldAccess, change: AccessChange): HeldAccess {
  if ((change.kind !== 'joined' && change.kind !== 'left') || change.user !== access.user) return access
  if (!access.receivesFlows) return access
  const audience = flowAudience(change.flow)
  if (access.flows.has(audience) === (change.kind === 'joined')) return access
  const flows = new Set(access.flows)
  if (change.kind === 'joined') flows.add(audience)
  else flows.delete(audience)
  return access.with(flows)
}

/** Applies the changes since a snapshot. */
export type SnapshotOutcome =
  | { readonly event: 'snapshotCovered'; readonly access: HeldAccess }
  | { readonly event: 'snapshotOutdated' | 'grantEnded' }

/** @param changes the changes by the events after the snapshot, in order */
export function bringUpToDate(snapshot: Snapshot, changes: Iterable<AccessChange>): SnapshotOutcome {
  let access = accessOf(snapshot)
  for (const change of changes) {
    if (change.kind === 'grantEnded' && change.grant === snapshot.grant) return { event: 'grantEnded' }
    if (change.kind === 'userChanged' && change.user === snapshot.user) return { event: 'snapshotOutdated' }
    access = applyChange(access, change)
  }
  return { event: 'snapshotCovered', access }
}
