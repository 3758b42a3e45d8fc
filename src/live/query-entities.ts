import { LRUCache } from 'lru-cache'
import type { HeldAccess } from '../events/entitlement.ts'
import type { Credential } from '../upstream/flowdock/credentials.ts'
import { PrincipalEntities } from '../upstream/flowdock/entities.ts'
import type { LogHead } from '../upstream/flowdock/log-heads.ts'
import type { DirectoryReads } from '../upstream/flowdock/service-directory.ts'

export interface QueryEntitiesOptions {
  readonly reads: DirectoryReads
  /** Where the log ends now, according to the backend. */
  readonly latestHead: () => Promise<LogHead | undefined>
  /** Where the log in memory ends; undefined while the stream is not live. */
  readonly held: () => LogHead | undefined
  /** The present access of a principal; undefined while it is unknown. */
  readonly accessOf: (principal: string) => HeldAccess | undefined
  readonly isProving: (principal: string) => boolean
  /** Proves the access of a principal, and follows it for a minute. */
  readonly use: (credential: Credential) => void
  /** Whether the access of further principals may be proved for queries. */
  readonly hasRoom: () => boolean
  readonly now?: () => number
}

/** How an operation reaches the upstream while it takes from the directory. */
export interface OperationCalls {
  /** Called before a read of the directory that the operation waits for; if it throws, the REST API is asked. */
  readonly onRead: () => void
  /** Makes a small read with the credential of the principal. Rejects when the credential is refused. */
  readonly useCredential: () => Promise<unknown>
}

/** The backend notes when a user was there, so a principal's own credential is used at it as often as this. */
const ownCallMs = 60_000
/** How long a query waits for an access to be proved, and for the log in memory to reach the end of the backend's. */
const patienceMs = 50
const maxPrincipals = 20_000

interface Waiter {
  readonly isOver: () => boolean
  readonly resolve: () => void
}

/**
 * Decides which queries are answered from the directory. A query is, if the credential is a personal token whose access is known
 * and if the log in memory has reached the position at which the log of the backend ended after the query began. So it never
 * shows less than the REST API would have.
 */
export class QueryEntities {
  readonly #options: QueryEntitiesOptions
  readonly #now: () => number
  /** When each principal's own credential was last used at the backend. */
  // With `max`, the library makes room for all of them at once.
  readonly #calledAt = new LRUCache<string, number>({ maxSize: maxPrincipals, sizeCalculation: () => 1 })
  readonly #waiters = new Set<Waiter>()
  /** Where the log in memory stood when a query had waited for it in vain. Until it has grown, others do not wait. */
  #stuckAt: number | undefined

  constructor(options: QueryEntitiesOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** @returns undefined where everything has to be read from the REST API */
  of(credential: Credential, { onRead, useCredential }: OperationCalls): PrincipalEntities | undefined {
    const { principal } = credential
    const { accessOf, hasRoom, use, held, reads } = this.#options
    const access = accessOf(principal)
    // Attempts to sign in are counted, so a password is not proved for queries.
    if (credential.isPassword === true || access?.isPersonal === false) return undefined
    if (access === undefined && !hasRoom()) return undefined
    use(credential)
    if (held() === undefined) return undefined
    const viewerId = () => {
      const present = accessOf(principal)
      return present?.isPersonal === true ? present.user : undefined
    }
    const settle = () => this.#settle(principal, useCredential)
    return new PrincipalEntities({ reads, onRead, viewerId, settle })
  }

  /** A principal's own credential is used at the backend. */
  called(principal: string): void {
    this.#calledAt.set(principal, this.#now())
  }

  /** The log in memory has grown, or an access was proved or refused. */
  moved(): void {
    for (const waiter of this.#waiters) if (waiter.isOver()) waiter.resolve()
  }

  async #settle(principal: string, useCredential: () => Promise<unknown>): Promise<boolean> {
    const { isProving, latestHead, held, accessOf } = this.#options
    const heading = latestHead()
    await this.#until(() => !isProving(principal))
    const head = await heading
    if (head === undefined || accessOf(principal)?.isPersonal !== true) return false
    // Other fields of the operation may have made a call meanwhile.
    const calledAt = this.#calledAt.get(principal) ?? Number.NEGATIVE_INFINITY
    const isUsed =
      this.#now() - calledAt <= ownCallMs ||
      (await useCredential().then(
        () => true,
        () => false,
      ))
    if (!isUsed) return false
    const reached = () => {
      const memory = held()
      return memory === undefined || memory.log !== head.log || memory.at >= head.at
    }
    if (!reached()) {
      if (held()?.at === this.#stuckAt) return false
      await this.#until(reached)
      // What arrived while the process was busy is read first.
      if (!reached()) await new Promise(setImmediate)
      if (!reached()) this.#stuckAt = held()?.at
    }
    const memory = held()
    return memory !== undefined && memory.log === head.log && memory.at >= head.at
  }

  async #until(isOver: () => boolean): Promise<void> {
    if (isOver()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { isOver, resolve }
    this.#waiters.add(waiter)
    const timer = setTimeout(resolve, patienceMs)
    await promise
    clearTimeout(timer)
    this.#waiters.delete(waiter)
  }
}
