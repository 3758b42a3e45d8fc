import { GatewayError, RateLimitedError } from '../errors.ts'

export interface BodyMemoryOptions {
  /** Bytes of incomplete bodies in memory, of all clients and of one IP address. */
  readonly memory: ByteLimits
  /** Bytes of files on the disk, of all clients and of one IP address. */
  readonly disk: ByteLimits
  /** Bytes of files that are in memory in place of the disk, of all clients and of one IP address. */
  readonly filesInMemory: ByteLimits
  /** The most incomplete bodies of one IP address. */
  readonly bodiesPerAddress: number
}

export interface ByteLimits {
  readonly total: number
  readonly perAddress: number
}

/**
 * Bounds the memory and disk space of bodies that have not arrived completely. Their senders may be anyone, and a slow body would
 * hold its memory for as long as it likes.
 */
export interface BodyMemory {
  /**
   * Counts an incomplete body. When its IP address has too many of them, the one that began first is evicted. So slow bodies do
   * not keep out other clients behind the same IP address.
   *
   * @param displace called with the reason when this body is evicted
   */
  begin(address: string, displace: (reason: GatewayError) => void): Holding
  /** Holds memory for data that is not an incomplete body. */
  hold(address: string): Holding
  /** Holds disk space. */
  spool(address: string): Holding
  /** Holds memory for files that would be on the disk otherwise. */
  holdFiles(address: string): OptionalHolding
}

/** The bytes that are held for one body. */
export interface Holding {
  /** @throws GatewayError `RATE_LIMITED` when the IP address holds too much, `OVERLOADED` when all hold too much */
  take(bytes: number): void
  /** Releases all of them. */
  release(): void
}

/** The bytes that are held where they need not be. */
export interface OptionalHolding {
  /** @returns false when there is no room */
  takeIfFree(bytes: number): boolean
  /** Releases all of them. */
  release(): void
}

const mebibyte = 1024 * 1024
/** A stranger cannot make the process grow by more than `memory.total`; a body in memory has 1 MiB at most. */
export const bodyLimits: BodyMemoryOptions = {
  memory: { total: 32 * mebibyte, perAddress: 8 * mebibyte },
  // An operation may bring 250 MiB of files; a folder for temporary files often has a few GiB.
  disk: { total: 1024 * mebibyte, perAddress: 512 * mebibyte },
  filesInMemory: { total: 16 * mebibyte, perAddress: 8 * mebibyte },
  bodiesPerAddress: 200,
}
const pauseMs = 1000

export function createBodyMemory({
  memory,
  disk,
  filesInMemory,
  bodiesPerAddress,
}: BodyMemoryOptions = bodyLimits): BodyMemory {
  const memoryBudget = new ByteBudget(memory, 'request bodies')
  const diskBudget = new ByteBudget(disk, 'files')
  const fileBudget = new ByteBudget(filesInMemory, 'files')
  /** By IP address, the oldest first. */
  const incomplete = new Map<string, Set<(reason: GatewayError) => void>>()
  // One error for all, because many bodies are evicted during an attack.
  const evicted = new RateLimitedError(
    `There are more than ${bodiesPerAddress} incomplete requests from your address; send each body without a pause`,
    pauseMs,
  )

  return {
    begin(address, displace) {
      const bodies = incomplete.get(address) ?? new Set()
      incomplete.set(address, bodies)
      bodies.add(displace)
      const [first] = bodies
      if (bodies.size > bodiesPerAddress && first !== undefined) {
        bodies.delete(first)
        first(evicted)
      }
      const held = memoryBudget.hold(address)
      return {
        take: (bytes) => held.take(bytes),
        release() {
          held.release()
          bodies.delete(displace)
          if (bodies.size === 0 && incomplete.get(address) === bodies) incomplete.delete(address)
        },
      }
    },
    hold: (address) => memoryBudget.hold(address),
    spool: (address) => diskBudget.hold(address),
    holdFiles: (address) => fileBudget.hold(address),
  }
}

class ByteBudget {
  readonly #limits: ByteLimits
  readonly #what: string
  readonly #byAddress = new Map<string, number>()
  #total = 0

  constructor(limits: ByteLimits, what: string) {
    this.#limits = limits
    this.#what = what
  }

  hold(address: string): BudgetHolding {
    return new BudgetHolding(this, address)
  }

  hasRoom(address: string, bytes: number): boolean {
    const { total, perAddress } = this.#limits
    return this.#total + bytes <= total && (this.#byAddress.get(address) ?? 0) + bytes <= perAddress
  }

  /** @throws GatewayError like `Holding.take` */
  take(address: string, bytes: number): void {
    const { total, perAddress } = this.#limits
    const own = (this.#byAddress.get(address) ?? 0) + bytes
    if (own > perAddress)
      throw new RateLimitedError(
        `Your address is sending more than ${perAddress} bytes of ${this.#what} at once, which is all it may`,
        pauseMs,
      )
    if (this.#total + bytes > total)
      throw new GatewayError(
        'OVERLOADED',
        `The gateway is receiving more than ${total} bytes of ${this.#what} at once; try again in a moment`,
        { retryable: true, retryAfterMs: pauseMs },
      )
    this.#total += bytes
    this.#byAddress.set(address, own)
  }

  give(address: string, bytes: number): void {
    if (bytes === 0) return
    this.#total -= bytes
    const own = (this.#byAddress.get(address) ?? 0) - bytes
    if (own > 0) this.#byAddress.set(address, own)
    else this.#byAddress.delete(address)
  }
}

class BudgetHolding implements Holding, OptionalHolding {
  readonly #budget: ByteBudget
  readonly #address: string
  #held = 0

  constructor(budget: ByteBudget, address: string) {
    this.#budget = budget
    this.#address = address
  }

  take(bytes: number): void {
    this.#budget.take(this.#address, bytes)
    this.#held += bytes
  }

  takeIfFree(bytes: number): boolean {
    if (!this.#budget.hasRoom(this.#address, bytes)) return false
    this.take(bytes)
    return true
  }

  release(): void {
    this.#budget.give(this.#address, this.#held)
    this.#held = 0
  }
}
