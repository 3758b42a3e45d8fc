import { createRateLimiter } from '../../traffic/rate-limiter.ts'
import { HttpError, tooMany } from './errors.ts'

/** The principal that a request counts for. */
export interface Principal {
  /** The same for each spelling of a token. For a request without a valid credential: the client's IP address. */
  readonly key: string
  readonly isStranger: boolean
  /** Whether the server's own gateway sends the request. It counts the requests and connections of its clients itself. */
  readonly isGateway: boolean
}

/** The limits of each principal; 0 for no limit. */
export interface TrafficLimits {
  readonly requestsPerMinute: number
  /** Requests without a valid credential from one IP address. */
  readonly strangerRequestsPerMinute: number
  readonly streamsPerPrincipal: number
  /** Bytes of typing signals. Each of them goes to all streams of its flow. */
  readonly typingBytesPerMinute: number
  /** Bytes of bodies that have not arrived completely. */
  readonly bodies: {
    readonly stranger: number
    readonly allStrangers: number
    readonly principal: number
    readonly allPrincipals: number
    /** Bytes of their files, which are on the disk. */
    readonly files: number
    readonly allFiles: number
  }
}

export const defaultTraffic: TrafficLimits = {
  requestsPerMinute: 6000,
  strangerRequestsPerMinute: 30_000,
  streamsPerPrincipal: 100,
  typingBytesPerMinute: 256 * 1024,
  bodies: {
    stranger: 1024 * 1024,
    allStrangers: 16 * 1024 * 1024,
    principal: 48 * 1024 * 1024,
    allPrincipals: 192 * 1024 * 1024,
    // Enough for a body with five files of 256 MiB, and one more file.
    files: 1536 * 1024 * 1024,
    allFiles: 16 * 1024 * 1024 * 1024,
  },
}

/** The limits of the backend for principals. */
export interface Traffic {
  /** Counts a request. @throws HttpError 429 past the requests of a minute */
  countRequest(principal: Principal): void
  /** Counts an open stream. @returns what ends it @throws HttpError 429 past the streams of a principal */
  openStream(principal: Principal): () => void
  /** Counts a typing signal. @throws HttpError 429 past the bytes of a minute */
  countTyping(principal: Principal, bytes: number): void
  /** A body begins to arrive. */
  openBody(principal: Principal): ArrivingBody
}

/** A body that is arriving. Its bytes count until it is closed. */
export interface ArrivingBody {
  /** Counts bytes in memory. @throws HttpError 429 or 503 when there are too many */
  take(bytes: number): void
  /** Counts bytes of a file on the disk. @throws HttpError 429 or 503 when there are too many */
  takeFile(bytes: number): void
  /** Counts the body for another principal, whose credential was found in the body. */
  moveTo(principal: Principal): void
  close(): void
}

const retryMs = 1000
const streamRetryMs = 10_000

export function createTraffic(limits: TrafficLimits): Traffic {
  const requests = createRateLimiter(limits.requestsPerMinute, 'requests')
  const strangers = createRateLimiter(limits.strangerRequestsPerMinute, 'requests')
  const typing = createRateLimiter(limits.typingBytesPerMinute, 'bytes')
  const streams = new Map<string, number>()
  const { bodies } = limits
  const arriving = {
    strangers: createByteBudget(bodies.stranger, bodies.allStrangers, 'your address'),
    principals: createByteBudget(bodies.principal, bodies.allPrincipals, 'you'),
    files: createByteBudget(bodies.files, bodies.allFiles, 'you'),
  }
  const budgetOf = ({ isStranger }: Principal) => (isStranger ? arriving.strangers : arriving.principals)

  return {
    countRequest({ key, isStranger, isGateway }) {
      if (isGateway) return
      const waitMs = (isStranger ? strangers : requests).tryTake(key)
      if (waitMs === undefined) return
      throw isStranger
        ? tooMany(
            `Too many requests without a valid credential from your address (${limits.strangerRequestsPerMinute} in a minute)`,
            waitMs,
          )
        : tooMany(`Too many requests (${limits.requestsPerMinute} in a minute)`, waitMs)
    },
    openStream({ key, isGateway }) {
      const limit = limits.streamsPerPrincipal
      if (isGateway || limit === 0) return () => undefined
      const open = streams.get(key) ?? 0
      if (open >= limit) throw tooMany(`Too many open streams (${limit} for one credential)`, streamRetryMs)
      streams.set(key, open + 1)
      let isOpen = true
      return () => {
        if (!isOpen) return
        isOpen = false
        const left = (streams.get(key) ?? 1) - 1
        if (left > 0) streams.set(key, left)
        else streams.delete(key)
      }
    },
    countTyping({ key }, bytes) {
      const waitMs = typing.tryTake(key, bytes)
      if (waitMs !== undefined) throw tooMany('Too many typing signals', waitMs)
    },
    openBody(principal) {
      let owner = principal
      let taken = 0
      let fileBytes = 0
      return {
        take(bytes) {
          budgetOf(owner).take(owner.key, bytes)
          taken += bytes
        },
        takeFile(bytes) {
          arriving.files.take(owner.key, bytes)
          fileBytes += bytes
        },
        moveTo(other) {
          budgetOf(other).take(other.key, taken)
          budgetOf(owner).give(owner.key, taken)
          owner = other
        },
        close() {
          budgetOf(owner).give(owner.key, taken)
          arriving.files.give(owner.key, fileBytes)
          taken = 0
          fileBytes = 0
        },
      }
    },
  }
}

interface ByteBudget {
  /** @throws HttpError 429 when `key` has too many bytes, 503 when all keys together have */
  take(key: string, bytes: number): void
  give(key: string, bytes: number): void
}

function createByteBudget(each: number, all: number, whose: string): ByteBudget {
  const taken = new Map<string, number>()
  let sum = 0
  return {
    take(key, bytes) {
      const mine = (taken.get(key) ?? 0) + bytes
      if (mine > each)
        throw tooMany(`Bodies that arrive from ${whose} at one time have more than ${each} bytes`, retryMs)
      if (sum + bytes > all)
        throw new HttpError(
          503,
          { message: 'The bodies that are arriving have more bytes than the server can hold; try again' },
          { 'Retry-After': '1' },
        )
      taken.set(key, mine)
      sum += bytes
    },
    give(key, bytes) {
      const left = (taken.get(key) ?? 0) - bytes
      if (left > 0) taken.set(key, left)
      else taken.delete(key)
      sum -= bytes
    },
  }
}
