import type { Topic } from './audience.ts'
import { go, type TransitionTable } from './transition-table.ts'

export type ReaderState =
  /** The access of its principal is not known. */
  | 'waiting'
  /** It reads events that are older than the log in memory from the upstream, with the credential of its principal. */
  | 'replaying'
  /** It reads the log in memory. */
  | 'draining'
  /** It receives events as they happen. */
  | 'live'
  | 'ended'

export type ReaderEvent =
  /** The access is known, and all events after the position of the reader are in memory. A reader may have no position. */
  | 'heldInMemory'
  /** The access is known, and some events after the position are older than the log in memory. */
  | 'heldOlder'
  /** The access is known, and the upstream's log does not contain the position. */
  | 'heldLost'
  /** A replay has reached the log in memory. */
  | 'met'
  /** The upstream has deleted the events after the position of a replay. */
  | 'replayGone'
  /** It has read all events in memory. */
  | 'drained'
  /** It read so slowly that its position is older than the log in memory. */
  | 'fellBehind'
  /** The access of its principal must be proved again. */
  | 'suspended'
  /** It left, its access ended, it waited for too long, or the hub was closed. */
  | 'ended'

export type ReaderEffect =
  /** Starts a replay. */
  | 'replay'
  /** Tells the reader that events are lost. */
  | 'gap'
  /** Reads the log in memory. */
  | 'drain'
  /** Includes the reader in live deliveries. */
  | 'join'
  /** Excludes the reader from live deliveries. */
  | 'part'

export const readerTransitions: TransitionTable<ReaderState, ReaderEvent, ReaderEffect> = {
  waiting: {
    heldInMemory: go('draining', 'drain'),
    heldOlder: go('replaying', 'replay'),
    heldLost: go('draining', 'gap', 'drain'),
    met: 'ignore',
    replayGone: 'ignore',
    drained: 'ignore',
    fellBehind: 'ignore',
    suspended: 'ignore',
    ended: go('ended'),
  },
  replaying: {
    heldInMemory: 'ignore',
    heldOlder: 'ignore',
    heldLost: 'ignore',
    met: go('draining', 'drain'),
    replayGone: go('draining', 'gap', 'drain'),
    drained: 'ignore',
    fellBehind: 'ignore',
    suspended: go('waiting'),
    ended: go('ended'),
  },
  draining: {
    heldInMemory: 'ignore',
    heldOlder: 'ignore',
    heldLost: 'ignore',
    met: 'ignore',
    replayGone: 'ignore',
    drained: go('live', 'join'),
    fellBehind: go('replaying', 'replay'),
    suspended: go('waiting'),
    ended: go('ended'),
  },
  live: {
    heldInMemory: 'ignore',
    heldOlder: 'ignore',
    heldLost: 'ignore',
    met: 'ignore',
    replayGone: 'ignore',
    drained: 'ignore',
    fellBehind: 'ignore',
    suspended: go('waiting', 'part'),
    ended: go('ended', 'part'),
  },
  ended: {
    heldInMemory: 'ignore',
    heldOlder: 'ignore',
    heldLost: 'ignore',
    met: 'ignore',
    replayGone: 'ignore',
    drained: 'ignore',
    fellBehind: 'ignore',
    suspended: 'ignore',
    ended: 'ignore',
  },
}

/** Why a reader ended. */
export type ReaderEnding =
  /** Its principal lost access to a flow that the reader names. */
  | { readonly kind: 'flowLost' }
  /** The credential was revoked or has expired. */
  | { readonly kind: 'grantEnded' }
  /** The backend refused the credential or did not respond, or the hub was closed. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The service stream did not open in time. */
  | { readonly kind: 'unavailable' }
  /** Its client ended the subscription. */
  | { readonly kind: 'left' }

/** A subscription of the hub. */
export interface Reader {
  readonly topic: Topic
  readonly state: ReaderState
  /** The number of the last event that it received or passed; undefined before its first delivery. */
  readonly position: number | undefined
}
