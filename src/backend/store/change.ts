import type { Database } from './db.ts'

/** Who may receive an event: the members of a flow, or one user. */
export type Audience = { readonly flow: string } | { readonly user: number }

/** A change of rights. `src/wire/service.ts` says what each kind means. */
export type ControlEvent =
  | { readonly kind: 'token'; readonly userId: number; readonly tokenHash: string }
  | { readonly kind: 'user' | 'profile'; readonly userId: number }
  | { readonly kind: 'reach'; readonly userId: number; readonly organizationId?: number }
  | { readonly kind: 'flow'; readonly flowId: string; readonly organizationId?: number }

/** A transaction under way. What it writes and what it publishes are committed together, or not at all. */
export interface Change {
  readonly db: Database
  /** The time of the change, in milliseconds since 1970. */
  now(): number
  /**
   * Adds an event to the log; it is delivered after the commit.
   *
   * @param payload an object, or one in JSON
   * @returns the payload as it is stored and sent, in JSON
   */
  publish(audience: Audience, payload: object | string): Promise<string>
  /** Adds a control event to the log: gateways need it, and no client of Flowdock's API receives it. */
  publishControl(event: ControlEvent): Promise<void>
  /** Notes that rules have something to do after the commit. */
  noteRuleJobs(): void
}
