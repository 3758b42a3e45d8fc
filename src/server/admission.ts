import type { Allowances } from '../allowance.ts'
import { clientAddress } from '../client-address.ts'
import type { RequestHead } from '../context.ts'
import { GatewayError, RateLimitedError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Load, LoadState } from './load.ts'

export interface AdmissionOptions {
  readonly load: Load
  /** Requests and operations of each caller, and of each address. */
  readonly callers: Allowances
  readonly addresses: Allowances
  /** Milliseconds of the processor for new documents of each IP address. */
  readonly documentTime: Allowances
  /** Lines that stay open (sockets, SSE, multipart) of each caller and of each address; 0 for any number. */
  readonly linesPerCaller: number
  readonly linesPerAddress: number
  /** How many proxies stand in front, each of which adds an address to `X-Forwarded-For`. */
  readonly trustedProxies: number
}

/** Lets work in, or turns it away before it costs anything. */
export interface Admission {
  /** Counts a request, or an operation of a socket, for its address. @throws GatewayError `RATE_LIMITED` */
  count(request: RequestHead): void
  /**
   * A document that is not known yet is about to be parsed and validated.
   *
   * @returns what charges the time that it took of the processor to its IP address, in milliseconds
   * @throws GatewayError `RATE_LIMITED` when the address has used all of its time
   */
  beginDocument(request: RequestHead): (cpuMs: number) => void
  /**
   * Lets an operation in, which takes a place until `leave` is called.
   *
   * @param authorization who asks, as they say themselves
   * @returns nothing when it is in, or a promise to be in after a moment, which may be broken
   * @throws GatewayError `RATE_LIMITED` or `OVERLOADED`, with a time to wait
   */
  enter(authorization: unknown): undefined | Promise<void>
  /** The same for what cannot wait. */
  enterNow(authorization: unknown): void
  leave(): void
  /**
   * Takes a line for an address, and for a caller if they said who they are.
   *
   * @returns what gives it back
   * @throws GatewayError `RATE_LIMITED`
   */
  openLine(request: RequestHead, authorization?: unknown): () => void
  /** Takes a line for the caller alone, who says on an open line who they are. The same otherwise. */
  identifyLine(authorization: unknown): () => void
  /** Takes one of the file transfers of an address. The same otherwise. */
  openTransfer(request: RequestHead): () => void
  state(): LoadState
}

/** How many files may be on their way to or from one address at once. */
const transfersPerAddress = 50
/** When to try again where nobody knows. */
const overloadPauseMs = 1000
const linePauseMs = 10_000

export function createAdmission({
  load,
  callers,
  addresses,
  documentTime,
  linesPerCaller,
  linesPerAddress,
  trustedProxies,
}: AdmissionOptions): Admission {
  const lines = { callers: new Counts(linesPerCaller), addresses: new Counts(linesPerAddress) }
  const transfers = new Counts(transfersPerAddress)
  // One for all: to make each would take longer than to send it.
  const overloaded = new GatewayError(
    'OVERLOADED',
    'The gateway has more to do than it can; try again in a moment',
    { retryable: true, retryAfterMs: overloadPauseMs },
  )
  const addressOf = (request: RequestHead) => clientAddress(request, trustedProxies)
  const countCaller = (authorization: unknown) => {
    if (callers.isLimited && typeof authorization === 'string' && authorization !== '')
      callers.take(callerOf(authorization))
  }
  const identifyLine = (authorization: unknown) =>
    typeof authorization === 'string' && authorization !== ''
      ? lines.callers.take(
          callerOf(authorization),
          (limit) => `You have ${limit} open lines, which is all you may have`,
        )
      : () => undefined

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
    enter(authorization) {
      countCaller(authorization)
      const isIn = load.enter()
      if (isIn === true) return undefined
      if (isIn === false) throw overloaded
      return isIn.then((isInLater) => {
        if (!isInLater) throw overloaded
      })
    },
    enterNow(authorization) {
      countCaller(authorization)
      if (!load.enterNow()) throw overloaded
    },
    leave: () => load.leave(),
    openLine(request, authorization) {
      const forget = identifyLine(authorization)
      try {
        const close = lines.addresses.take(
          addressOf(request),
          (limit) => `There are ${limit} open lines from your address, which is all there may be`,
        )
        return () => {
          forget()
          close()
        }
      } catch (error) {
        forget()
        throw error
      }
    },
    identifyLine,
    openTransfer: (request) =>
      transfers.take(
        addressOf(request),
        (limit) => `There are ${limit} files on their way for your address, which is all there may be`,
      ),
    state: () => load.state(),
  }
}

/** How many there are of something, by whose they are. */
class Counts {
  readonly #limit: number
  readonly #counts = new Map<string, number>()

  /** @param limit 0 for any number */
  constructor(limit: number) {
    this.#limit = limit
  }

  take(key: string, describe: (limit: number) => string): () => void {
    if (this.#limit === 0) return () => undefined
    const count = this.#counts.get(key) ?? 0
    if (count >= this.#limit) throw new RateLimitedError(describe(this.#limit), linePauseMs)
    this.#counts.set(key, count + 1)
    let isGiven = false
    return () => {
      if (isGiven) return
      isGiven = true
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }
}

/** The same for equal credentials. */
function callerOf(authorization: string): string {
  return new Secret(authorization).fingerprint()
}
