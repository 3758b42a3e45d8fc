import type { Entry } from './recent-log.ts'

/** Who receives an entry: the members of these audiences, or all members. */
export type EntryAudiences = readonly string[] | 'all'

/** One stream of events, and those who receive them. */
export interface Channel<T> {
  readonly key: string
  readonly log: ChannelLog
  /** Calls `listener` with each entry from now on, until the returned function is called. */
  listen(listener: (entry: Entry<T>) => void): () => void
  audiencesOf(entry: Entry<T>): EntryAudiences
}

/** The positions of the entries of a channel. */
export interface ChannelLog {
  /** The position of the newest entry. */
  readonly seq: number
  /** The position right before the first entry in memory. */
  readonly beginSeq: number
  /** The cursor of an entry, or of the last one before it that has one; undefined when it is not known. */
  offsetAt(seq: number): string | undefined
}

/** A reader that receives the entries of a channel as they come. */
export interface Membership {
  /** From the next entry on the reader has these audiences, in place of those it had. */
  move(audiences: ReadonlySet<string>): void
  /** Ends it. @returns the position of the last entry that the reader took */
  leave(): number
}

/** What receives the events of a subscription. */
export interface EventReader<T> {
  /**
   * An event for this reader alone, while it catches up. Resolves when it can take the next.
   *
   * @param channel where it catches up; undefined for an event from before it subscribed
   */
  event(event: T, channel: Channel<T> | undefined): Promise<void>
  /** It has caught up: the entries of `channel` after `seq` that are sent to these audiences are next, as they come. */
  live(channel: Channel<T>, seq: number, audiences: ReadonlySet<string>): Membership
  /** There is no more. Called once; nothing else is called afterwards. */
  end(error: unknown): void
}
