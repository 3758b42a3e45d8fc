import type { HeldAccess } from '../events/entitlement.ts'
import type { AuditClaim } from '../upstream/flowdock/entitlements.ts'

export interface AuditsOptions {
  /** All that is held now. */
  readonly held: () => Iterable<{ readonly key: string; readonly access: HeldAccess }>
  readonly accessOf: (key: string) => HeldAccess | undefined
  /** Compares claims with the upstream. @returns the keys of those that are wrong @throws when the upstream cannot be asked */
  readonly compare: (claims: readonly AuditClaim[]) => Promise<readonly string[]>
  readonly onWrong: (key: string) => void
}

/** The least time between two audits of one principal. With it, a change is found within ten seconds. */
const roundMs = 8000
/** How many are audited at once. With more principals than that, a round takes longer. */
const pageSize = 1000

/**
 * Compares what principals may receive with what the upstream has. The log says every change of it; this finds what the log did
 * not say, such as a change by hand in the database.
 */
export class Audits {
  readonly #options: AuditsOptions
  #round: string[] = []
  #begunAt = Number.NEGATIVE_INFINITY
  #isUnderWay = false

  constructor(options: AuditsOptions) {
    this.#options = options
  }

  /** Audits the next page, once a second. @param now in milliseconds */
  async tick(now: number): Promise<void> {
    if (this.#isUnderWay) return
    if (this.#round.length === 0) {
      if (now - this.#begunAt < roundMs) return
      this.#begunAt = now
      this.#round = Array.from(this.#options.held(), ({ key }) => key)
    }
    const claims = this.#round.splice(0, pageSize).flatMap((key) => this.#claimOf(key))
    if (claims.length === 0) return
    this.#isUnderWay = true
    try {
      for (const key of await this.#options.compare(claims)) this.#options.onWrong(key)
    } catch {
      // The next round asks again. What the log says holds all the same.
    } finally {
      this.#isUnderWay = false
    }
  }

  #claimOf(key: string): AuditClaim[] {
    const access = this.#options.accessOf(key)
    if (access === undefined) return []
    const flows = Array.from(access.flows, (audience) => audience.slice(2))
    return [{ key, user: access.user, grant: access.grant, flows }]
  }
}
