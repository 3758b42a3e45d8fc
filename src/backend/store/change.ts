import type { Database } from './db.ts'

/** Who may receive an event: the members of a flow, or one user. */
export type Audience = { readonly flow: string } | { readonly user: number }

/** A transaction under way. What it writes and what it publishes are committed together, or not at all. */
export interface Change {
  readonly db: Database
  /** The time of the change, in milliseconds since 1970. */
  now(): number
  /**
   * Adds an event to the log; it is delivered after the commit.
   *
   * @returns the payload as it is stored and sent, in JSON
   */
  publish(audience: Audience, payload: object): Promise<string>
}
