import type { Topic } from './audience.ts'
import { go, type TransitionTable } from './transition-table.ts'

export type ReaderState =
  /** The access of its principal is not held. */
  | 'waiting'
  /** It reads what is older than the log in memory from the upstream, with the credential of its principal. */
  | 'replaying'
  /** It reads the log in memory. */
  | 'draining'
  /** It receives events as they come. */
  | 'live'
  | 'ended'

export type ReaderEvent =
  /** The access is held, and the events after the reader's position are in memory; so they are for one without a position. */
  | 'heldInMemory'
  /** The access is held, and some of the events after its position are older than the memory. */
  | 'heldOlder'
  /** The access is held, and its position is older than the log, past its end, or of another log. */
  | 'heldLost'
  /** A replay came to the log in memory. */
  | 'met'
  /** The upstream has forgotten the position of a replay. */
  | 'replayGone'
  /** It has read everything in memory. */
  | 'drained'
  /** It reads so slowly that its position is older than the memory. */
  | 'fellBehind'
  /** The access of its principal has to be proved again. */
  | 'suspended'
  /** It left, its access ended, it is too slow, or the hub was closed. */
  | 'ended'

export type ReaderEffect =
  /** Begins a replay. */
  | 'replay'
  /** Says that events are lost. */
  | 'gap'
  /** Reads the log in memory. */
  | 'drain'
  /** It becomes a member of its audiences. */
  | 'join'
  /** It is no member of its audiences any more. */
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

/** Why a reader was ended. */
export type ReaderEnding =
  /** A flow that it names is not its principal's any more. */
  | { readonly kind: 'flowLost' }
  /** The credential is gone, or has ended by itself. */
  | { readonly kind: 'grantEnded' }
  /** The backend refused the credential or could not be asked, or the hub was closed. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The service stream did not open in time. */
  | { readonly kind: 'unavailable' }
  /** It left by itself. */
  | { readonly kind: 'left' }

/** A subscription, as the hub's users see it. */
export interface Reader {
  readonly topic: Topic
  readonly state: ReaderState
  /** The number after which it goes on; undefined until it began. */
  readonly position: number | undefined
}
