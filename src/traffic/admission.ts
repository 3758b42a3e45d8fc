import { GatewayError } from '../errors.ts'
import type { AdaptiveConcurrency, ConcurrencyState } from './adaptive-concurrency.ts'
import { clientAddress, type RequestHead } from './client-address.ts'
import { Counts } from './counts.ts'
import type { RateLimiter } from './rate-limiter.ts'

export interface AdmissionOptions {
  readonly load: AdaptiveConcurrency
  /** The principal of an `Authorization` value; undefined without a well-formed credential. */
  readonly principalOf: (authorization: unknown) => string | undefined
  /** Requests and operations of each principal, and of each IP address. */
  readonly principals: RateLimiter
  readonly addresses: RateLimiter
  /** CPU time for new documents of each IP address, in milliseconds. */
  readonly documentTime: RateLimiter
  /** Connections that stay open (sockets, SSE, multipart) of each principal and of each IP address; 0 for no limit. */
  readonly connectionsPerPrincipal: number
  readonly connectionsPerIp: number
  /** Files that one IP address may transfer at once; 0 for no limit. */
  readonly transfersPerIp: number
  /** The number of proxies in front, each of which adds an IP address to `X-Forwarded-For`. */
  readonly trustedProxies: number
}

/**
 * Admission control: rate limits, connection limits and permits. An operation counts for the credential that it runs with, in any
 * spelling and from any part of the request.
 */
export interface Admission {
  /** Counts a request, or an operation of a socket, for its IP address. @throws GatewayError `RATE_LIMITED` */
  count(request: RequestHead): void
  /** Counts an operation for its principal, if it has one. @throws GatewayError `RATE_LIMITED` */
  countOperation(authorization: unknown): void
  /**
   * To be called before a new document is parsed and validated.
   *
   * @returns a function that charges the CPU time, in milliseconds, to the IP address
   * @throws GatewayError `RATE_LIMITED` when the IP address has used up its time
   */
  beginDocument(request: RequestHead): (cpuMs: number) => void
  /**
   * Acquires a permit to execute, which `leave` releases. Only for operations that have arrived completely: a client could hold
   * permits by sending bodies slowly.
   *
   * @returns undefined when it is acquired, or a promise that rejects when that takes too long
   * @throws GatewayError `OVERLOADED`, with a time to wait
   */
  enter(): undefined | Promise<void>
  /** The same for an operation that cannot wait. */
  enterNow(): void
  /** The same for an operation of a socket, which waits for up to 5 s when many come at once. */
  enterInTurn(): undefined | Promise<void>
  /** Whether `enter` would refuse an operation now. */
  isFull(): boolean
  /**
   * Refuses a request by its head if a permit could not be acquired for it now. Such a request is counted like any other. Much
   * less is made for it, so that an overloaded process has time for the others.
   *
   * @returns `OVERLOADED`, with a time to wait; undefined for a request that may be admitted, or that a rate limit refuses.
   * Nothing is counted then
   */
  refuseByHead(request: RequestHead): GatewayError | undefined
  leave(): void
  /**
   * Counts a connection that stays open for its IP address and, with a credential, for its principal.
   *
   * @throws GatewayError `RATE_LIMITED`
   */
  openConnection(request: RequestHead, authorization?: unknown): Connection
  /** Counts a file in transfer. @returns a function to call at its end @throws GatewayError `RATE_LIMITED` */
  openTransfer(request: RequestHead): () => void
  principalOf(authorization: unknown): string | undefined
  /** The IP address that limits count for. */
  addressOf(request: RequestHead): string
  state(): ConcurrencyState
}

/** A connection as the limits count it. */
export interface Connection {
  /**
   * Counts the connection for another principal that uses it, until the returned function is called. A principal that
   * uses it several times is counted once.
   *
   * @throws GatewayError `RATE_LIMITED`
   */
  identify(authorization: unknown): () => void
  close(): void
}

/** The pause before a retry when the duration of the overload is unknown. */
const overloadPauseMs = 1000

export function createAdmission({
  load,
  principalOf,
  principals,
  addresses,
  documentTime,
  connectionsPerPrincipal,
  connectionsPerIp,
  transfersPerIp,
  trustedProxies,
}: AdmissionOptions): Admission {
  const connections = {
    principals: new Counts(connectionsPerPrincipal),
    addresses: new Counts(connectionsPerIp),
  }
  const transfers = new Counts(transfersPerIp)
  // One error for all requests: creating one would take longer than sending it.
  const overloaded = new GatewayError(
    'OVERLOADED',
    'The gateway has more to do than it can; try again in a moment',
    { retryable: true, retryAfterMs: overloadPauseMs },
  )
  const addressOf = (request: RequestHead) => clientAddress(request, trustedProxies)

  return {
    count(request) {
      if (addresses.isLimited) addresses.take(addressOf(request))
    },
    beginDocument(request) {
      if (!documentTime.isLimited) return () => undefined
      const address = addressOf(request)
      documentTime.expect(address)
      return (cpuMs) => documentTime.charge(address, cpuMs)
    },
    countOperation(authorization) {
      if (!principals.isLimited) return
      const principal = principalOf(authorization)
      if (principal !== undefined) principals.take(principal)
    },
    enter() {
      const isIn = load.enter()
      if (isIn === true) return undefined
      if (isIn === false) throw overloaded
      return isIn.then((isInLater) => {
        if (!isInLater) throw overloaded
      })
    },
    enterNow() {
      if (!load.enterNow()) throw overloaded
    },
    enterInTurn() {
      const isIn = load.enterInTurn()
      if (isIn === true) return undefined
      if (isIn === false) throw overloaded
      return isIn.then((isInLater) => {
        if (!isInLater) throw overloaded
      })
    },
    isFull: () => load.isFull(),
    refuseByHead(request) {
      if (!load.isFull()) return undefined
      const address = addresses.isLimited ? addressOf(request) : undefined
      if (address !== undefined && addresses.tryTake(address) !== undefined) return undefined
      const principal = principals.isLimited ? principalOf(request.headers.authorization) : undefined
      if (principal !== undefined && principals.tryTake(principal) !== undefined) {
        if (address !== undefined) addresses.giveBack(address)
        return undefined
      }
      load.refuse()
      return overloaded
    },
    leave: () => load.leave(),
    openConnection(request, authorization) {
      const close = connections.addresses.take(
        addressOf(request),
        (limit) => `There are ${limit} open connections from your address, which is all there may be`,
      )
      const connection = new OpenConnection(connections.principals, principalOf, close)
      try {
        connection.identify(authorization)
      } catch (error) {
        connection.close()
        throw error
      }
      return connection
    },
    openTransfer: (request) =>
      transfers.take(
        addressOf(request),
        (limit) => `There are ${limit} files on their way for your address, which is all there may be`,
      ),
    principalOf,
    addressOf,
    state: () => load.state(),
  }
}

class OpenConnection implements Connection {
  readonly #principals: Counts
  readonly #principalOf: AdmissionOptions['principalOf']
  readonly #close: () => void
  readonly #users = new Map<string, { uses: number; readonly release: () => void }>()

  constructor(principals: Counts, principalOf: AdmissionOptions['principalOf'], close: () => void) {
    this.#principals = principals
    this.#principalOf = principalOf
    this.#close = close
  }

  identify(authorization: unknown): () => void {
    const principal = this.#principalOf(authorization)
    if (principal === undefined) return () => undefined
    const user = this.#users.get(principal) ?? { uses: 0, release: this.#take(principal) }
    this.#users.set(principal, user)
    user.uses += 1
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      user.uses -= 1
      if (user.uses > 0) return
      user.release()
      if (this.#users.get(principal) === user) this.#users.delete(principal)
    }
  }

  close(): void {
    for (const { release } of this.#users.values()) release()
    this.#users.clear()
    this.#close()
  }

  #take(principal: string): () => void {
    return this.#principals.take(
      principal,
      (limit) => `You have ${limit} open connections, which is all you may have`,
    )
  }
}
