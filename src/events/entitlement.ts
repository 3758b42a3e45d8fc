import { type Access, type Audience, flowAudience, presenceAudience, userAudience } from './audience.ts'
import { go, type TransitionTable } from './transition-table.ts'

/** What an event of the log changes in the rights of principals. */
export type AccessChange =
  | { readonly kind: 'joined' | 'left'; readonly user: number; readonly flow: string }
  /** A credential is gone. */
  | { readonly kind: 'grantEnded'; readonly grant: string }
  /** The rights of a user changed in a way that the log does not say. */
  | { readonly kind: 'userChanged'; readonly user: number }

/** What a credential may receive, as the backend read it in one transaction with the end of the log. */
export interface Snapshot {
  /** The id of the log. */
  readonly log: string
  /** The number of the newest event. */
  readonly at: number
  readonly user: number
  /** Names the credential without being one. */
  readonly grant: string
  /** The ids of the flows. */
  readonly flows: readonly string[]
  /** Whether the credential may receive what is sent to flows. If not, it has no flow, whatever its user joins. */
  readonly receivesFlows: boolean
  /** Whether the credential may receive what is sent to its user alone. */
  readonly isPrivate: boolean
  /** When the credential ends, in milliseconds since 1970. */
  readonly expiresAt: number | undefined
}

export type EntitlementState =
  /** A proof is under way. */
  | 'proving'
  /** A snapshot is there, of a later number than the log has in memory. */
  | 'waiting'
  /** The access is known at the end of the log in memory. */
  | 'held'
  | 'ended'

export type EntitlementEvent =
  /** A snapshot came, or is compared again with the log in memory, which covers (begin, end]. Its number is greater than `end`. */
  | 'snapshotAhead'
  /** Its number is between them; the events since change it as they say. */
  | 'snapshotCovered'
  /** Its number is less than `begin`. */
  | 'snapshotForgotten'
  /** An event since says that the rights of its user changed. */
  | 'snapshotOutdated'
  /** It is of another log. */
  | 'snapshotOfOtherLog'
  /** The backend refused the credential. */
  | 'refused'
  /** The backend could not be asked, and the access was never held. */
  | 'unreachable'
  /** The same after it was held. */
  | 'unreachableAgain'
  /** The log reached the number of the snapshot. */
  | 'reached'
  /** An event says that the user joined or left a flow. */
  | 'membership'
  /** An event says that the rights of the user changed otherwise. */
  | 'userChanged'
  /** An event says that the credential is gone. */
  | 'grantEnded'
  /** The credential ended by itself. */
  | 'expired'
  /** The backend found other rights than those that are held. */
  | 'auditFailed'
  /** A reader came while the service stream is not live: an event that ends the access may be missing. */
  | 'doubted'
  /** The log is another one. */
  | 'reset'
  /** No reader needs it any more. */
  | 'unused'

export type EntitlementEffect =
  /** Asks the backend for a snapshot. */
  | 'prove'
  /** The same after a pause. */
  | 'proveLater'
  /** Lets the readers begin, or go on. */
  | 'hold'
  /** Changes the audiences of the readers. */
  | 'change'
  /** Readers receive nothing until the access is held again. */
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
      // The snapshot that comes is compared with the log that is there then.
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
      // What the log says up to the number of the snapshot is in the snapshot.
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

/** An access that follows the log. Never changed. */
export class HeldAccess implements Access {
  readonly user: number
  readonly grant: string
  readonly flows: ReadonlySet<Audience>
  readonly receivesFlows: boolean
  readonly isPrivate: boolean
  #all: ReadonlySet<Audience> | undefined

  constructor(of: Omit<Snapshot, 'log' | 'at' | 'flows' | 'expiresAt'>, flows: ReadonlySet<Audience>) {
    this.user = of.user
    this.grant = of.grant
    this.receivesFlows = of.receivesFlows
    this.isPrivate = of.isPrivate
    this.flows = flows
  }

  /** Made when it is first read: few subscriptions ask for everything. */
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

/** @returns the same object when the change leaves the access as it is */
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

/** How the changes since a snapshot affect it. */
export type SnapshotOutcome =
  | { readonly event: 'snapshotCovered'; readonly access: HeldAccess }
  | { readonly event: 'snapshotOutdated' | 'grantEnded' }

/** @param changes those of the events after the snapshot, in order */
export function bringUpToDate(snapshot: Snapshot, changes: Iterable<AccessChange>): SnapshotOutcome {
  let access = accessOf(snapshot)
  for (const change of changes) {
    if (change.kind === 'grantEnded' && change.grant === snapshot.grant) return { event: 'grantEnded' }
    if (change.kind === 'userChanged' && change.user === snapshot.user) return { event: 'snapshotOutdated' }
    access = applyChange(access, change)
  }
  return { event: 'snapshotCovered', access }
}
