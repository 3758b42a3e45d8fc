import { hash } from 'node:crypto'
import { ForbiddenError, GatewayError, NotFoundError, UpstreamError } from '../../errors.ts'
import { isRecord } from '../../json-values.ts'
import type { Secret } from '../../secret.ts'
import type { WireAuditClaim } from '../../wire/service.ts'
import type { Http } from '../http.ts'
import type { Credential } from './credentials.ts'
import { createCalls, toError } from './request.ts'

/** What a credential may receive, read in the same transaction as the end of the log. */
export interface EntitlementSnapshot {
  readonly log: string
  readonly at: number
  readonly user: number
  readonly grant: string
  readonly flows: readonly string[]
  readonly receivesFlows: boolean
  readonly isPrivate: boolean
  readonly expiresAt: number | undefined
  /** Whether it is a personal token, which has all rights of its user and does not expire. */
  readonly isPersonal: boolean
}

/** The principal whose rights are proved. */
export interface ProvedPrincipal {
  readonly key: string
}

export interface EntitlementsOptions<Principal extends ProvedPrincipal> {
  readonly http: Pick<Http, 'request'>
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  readonly token: Secret
  /** The credential of a principal; undefined for one that is no longer used. */
  readonly credentialOf: (key: string) => Credential | undefined
  readonly onProved: (principal: Principal, snapshot: EntitlementSnapshot) => void
  /** The backend refused the credential. */
  readonly onRefused: (principal: Principal, error: unknown) => void
  /** The backend could not be reached, or failed. */
  readonly onFailed: (principal: Principal, error: unknown) => void
  /** The most concurrent calls for proofs; 4 by default. Proofs that wait go into one call, up to 64 of them. */
  readonly maxUnderWay?: number
  /** How many more may wait; 4,096 by default. Further ones fail with `OVERLOADED`. */
  readonly maxWaiting?: number
  /** The time limit of a proof; 10 s by default. */
  readonly deadlineMs?: number
  /** The pause before a proof with `isLater`; a second by default. */
  readonly pauseMs?: number
}

/** The rights of a credential, as the gateway knows them. */
export interface AuditClaim {
  readonly key: string
  readonly grant: string
  readonly user: number
  readonly flows: Iterable<string>
}

export interface Entitlements<Principal extends ProvedPrincipal> {
  /** Requests the rights of a principal from the backend, with its own credential. */
  prove(principal: Principal, isLater: boolean): void
  /**
   * Compares the rights that the gateway knows with those in the backend. A claim also counts as wrong when its flows changed
   * during the audit.
   *
   * @param at the number of the last event that the claims include
   * @returns the keys of wrong claims
   * @throws UpstreamError when the backend cannot be reached, or fails
   */
  audit(claims: readonly AuditClaim[], at: number): Promise<string[]>
  readonly underWay: number
  readonly waiting: number
  close(): void
}

const doing = 'read what you may listen to'
const maxClaims = 1000
const maxBatch = 64
/** How many calls of one proof each are under way in place of one for several. */
const alonePerCall = 16
/** One for all: to make each would take longer than to send it. */
const tooMany = new GatewayError(
  'OVERLOADED',
  'Too many subscriptions begin at once; try again in a moment',
  {
    retryable: true,
    retryAfterMs: 1000,
  },
)

export function createEntitlements<Principal extends ProvedPrincipal>(
  options: EntitlementsOptions<Principal>,
): Entitlements<Principal> {
  const { http, restUrl, token, credentialOf, onProved, onRefused, onFailed } = options
  const { maxUnderWay = 4, maxWaiting = 4096, deadlineMs = 10_000, pauseMs = 1000 } = options
  const waiting: Principal[] = []
  const timers = new Set<NodeJS.Timeout>()
  let underWay = 0
  let isClosed = false
  /** Whether the backend takes several credentials in one call, as far as is known. */
  let canBatch = true

  /** While calls are under way, others wait; what waits then goes into one call. */
  function begin(): void {
    const most = canBatch ? maxUnderWay : maxUnderWay * alonePerCall
    while (!isClosed && underWay < most && waiting.length > 0) {
      const principals = waiting.splice(0, canBatch ? maxBatch : 1)
      underWay += 1
      void run(principals).finally(() => {
        underWay -= 1
        begin()
      })
    }
  }

  async function run(principals: readonly Principal[]): Promise<void> {
    const [first] = principals
    if (first === undefined) return
    if (principals.length === 1) return runAlone(first)
    // Those that nobody uses any more are left out.
    const asked = principals.flatMap((principal) => {
      const credential = credentialOf(principal.key)
      return credential === undefined ? [] : { principal, credential }
    })
    let outcomes: readonly unknown[]
    try {
      outcomes = await readBatch(asked.map(({ credential }) => credential))
    } catch (error) {
      canBatch &&= !(error instanceof NotFoundError)
      if (canBatch) for (const { principal } of asked) fail(principal, error)
      else waiting.unshift(...principals)
      return
    }
    await Promise.all(asked.map(({ principal }, index) => settle(principal, outcomes[index])))
  }

  async function settle(principal: Principal, outcome: unknown): Promise<void> {
    const status = isRecord(outcome) ? outcome['status'] : undefined
    if (status === 501) return runAlone(principal)
    try {
      if (typeof status === 'number') throw toError(status, undefined, doing)
      const snapshot = decodeSnapshot(outcome)
      if (!isClosed) onProved(principal, snapshot)
    } catch (error) {
      fail(principal, error)
    }
  }

  async function runAlone(principal: Principal): Promise<void> {
    const credential = credentialOf(principal.key)
    if (credential === undefined) return
    let snapshot: EntitlementSnapshot
    try {
      snapshot = await read(credential)
    } catch (error) {
      return fail(principal, error)
    }
    if (!isClosed) onProved(principal, snapshot)
  }

  function fail(principal: Principal, error: unknown): void {
    if (isClosed) return
    if (isRefusal(error)) onRefused(principal, error)
    else onFailed(principal, error)
  }

  async function readBatch(credentials: readonly Credential[]): Promise<readonly unknown[]> {
    const answer = await http.request({
      method: 'POST',
      url: new URL(`${restUrl}/service/v1/entitlements`),
      headers: { authorization: `Bearer ${token.reveal()}`, accept: 'application/json' },
      body: credentials.map(({ authorization }) => authorization.reveal()),
      signal: AbortSignal.timeout(deadlineMs),
    })
    if (answer.status >= 300) throw toBatchError(answer.status)
    if (!Array.isArray(answer.body) || answer.body.length !== credentials.length)
      throw new UpstreamError('UPSTREAM_INVALID', 'Expected an entitlement for each credential')
    return answer.body
  }

  async function read(credential: Credential): Promise<EntitlementSnapshot> {
    const signal = AbortSignal.timeout(deadlineMs)
    const calls = createCalls({ http: http as Http, base: restUrl, credential, signal })
    return decodeSnapshot(await calls.get(['service', 'v1', 'entitlement'], { doing }))
  }

  return {
    prove(principal, isLater) {
      const enqueue = () => {
        if (waiting.length >= maxWaiting) return queueMicrotask(() => onFailed(principal, tooMany))
        waiting.push(principal)
        begin()
      }
      if (!isLater) return enqueue()
      const timer = setTimeout(() => {
        timers.delete(timer)
        enqueue()
      }, pauseMs)
      timer.unref()
      timers.add(timer)
    },
    async audit(claims, at) {
      const wrong: string[] = []
      for (let from = 0; from < claims.length; from += maxClaims) {
        const page = claims.slice(from, from + maxClaims)
        const body = page.map(
          ({ grant, user, flows }): WireAuditClaim => ({ grant, user, flowsHash: hashOf(flows), at }),
        )
        const answer = await http.request({
          method: 'POST',
          url: new URL(`${restUrl}/service/v1/audit`),
          headers: { authorization: `Bearer ${token.reveal()}`, accept: 'application/json' },
          body,
          signal: AbortSignal.timeout(deadlineMs),
        })
        if (answer.status >= 300 || !Array.isArray(answer.body))
          throw new UpstreamError('UPSTREAM_INVALID', `The audit was refused with ${answer.status}`)
        const grants = new Set(answer.body.map((finding) => isRecord(finding) && finding['grant']))
        for (const { key, grant } of page) if (grants.has(grant)) wrong.push(key)
      }
      return wrong
    },
    get underWay() {
      return underWay
    },
    get waiting() {
      return waiting.length
    },
    close() {
      isClosed = true
      waiting.length = 0
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

/** [flowdock-gateway] src/wire/service.ts, `WireAuditClaim` */
function hashOf(flows: Iterable<string>): string {
  return hash(
    'sha256',
    [...flows]
      .sort()
      .map((id) => `${id}\n`)
      .join(''),
  )
}

/** 401 and 403 are about the service token: they say nothing of the principals. */
function toBatchError(status: number): GatewayError {
  return status === 404
    ? new NotFoundError('The upstream does not read several entitlements in one call')
    : new UpstreamError('UPSTREAM_INVALID', `The entitlements were refused with ${status}`)
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof ForbiddenError ||
    (error instanceof GatewayError && (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN'))
  )
}

/** @throws UpstreamError `UPSTREAM_INVALID` for anything else */
function decodeSnapshot(value: unknown): EntitlementSnapshot {
  if (isRecord(value)) {
    const { log, at, user, grant, flows, private: isPrivate, scopes, expires_at: expiresAt } = value
    const isRight =
      typeof log === 'string' &&
      typeof grant === 'string' &&
      typeof at === 'number' &&
      typeof user === 'number' &&
      typeof isPrivate === 'boolean' &&
      Array.isArray(flows) &&
      flows.every((id) => typeof id === 'string') &&
      (scopes === null || Array.isArray(scopes)) &&
      (expiresAt === null || typeof expiresAt === 'number')
    if (isRight) {
      const receivesFlows = scopes === null || scopes.includes('flow')
      // A sign-in with a password is checked by the backend each time.
      const isPersonal = scopes === null && expiresAt === null && !grant.startsWith('password:')
      const rights = { user, grant, flows, receivesFlows, isPrivate, isPersonal }
      return { log, at, ...rights, expiresAt: expiresAt ?? undefined }
    }
  }
  throw new UpstreamError('UPSTREAM_INVALID', 'Expected an entitlement, got something else')
}
