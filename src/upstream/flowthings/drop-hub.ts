import { ForbiddenError, GatewayError, NotFoundError } from '../../errors.ts'
import { sleep } from '../../sleep.ts'
import type { ThingsCredential } from './credential.ts'
import type { Drop } from './model.ts'
import type { DropSocket, DropSocketOptions } from './socket.ts'

/** A subscription to the drops of flows. */
export interface DropListener {
  readonly flowIds: ReadonlySet<string>
  drop(drop: Drop): void
  /** A drop of the flow could not be decoded. */
  unreadable(flowId: string): void
  /** The socket was lost and there is another one: drops between the two were not delivered. */
  rejoined(): void
  /** Nothing follows. */
  end(error: unknown): void
}

/** One upstream socket for each principal, however many subscriptions it has. */
export interface DropHub {
  /** Open sockets, or those that are being opened. */
  readonly size: number
  /** Resolves when all that arrives is delivered. @returns ends it @throws GatewayError when the upstream refuses it */
  join(credential: ThingsCredential, listener: DropListener): Promise<() => void>
  /** Ends all subscriptions. */
  close(error: GatewayError): void
}

type Handlers = Pick<DropSocketOptions, 'onDrop' | 'onUnreadable' | 'onLost'>
type Open = (credential: ThingsCredential, handlers: Handlers) => Promise<DropSocket>

const firstDelayMs = 250
const longestDelayMs = 15_000

export function createDropHub(open: Open, random: () => number = Math.random): DropHub {
  const streams = new Map<string, DropStream>()
  return {
    get size() {
      return streams.size
    },
    async join(credential, listener) {
      const { principal } = credential
      const stream =
        streams.get(principal) ?? new DropStream((handlers) => open(credential, handlers), random)
      streams.set(principal, stream)
      const leave = () => {
        stream.leave(listener)
        if (stream.isIdle && streams.get(principal) === stream) streams.delete(principal)
      }
      try {
        await stream.join(listener)
      } catch (error) {
        leave()
        throw error
      }
      return leave
    },
    close(error) {
      for (const stream of streams.values()) stream.endAll(error)
      streams.clear()
    },
  }
}

/** The socket of one principal and its subscriptions. */
class DropStream {
  readonly #open: (handlers: Handlers) => Promise<DropSocket>
  readonly #random: () => number
  readonly #listeners = new Set<DropListener>()
  #socket: Promise<DropSocket> | undefined
  #isReconnecting = false
  /** The flows that the present socket subscribes to. */
  #subscribed = new Map<string, Promise<void>>()

  constructor(open: (handlers: Handlers) => Promise<DropSocket>, random: () => number) {
    this.#open = open
    this.#random = random
  }

  get isIdle(): boolean {
    return this.#listeners.size === 0
  }

  async join(listener: DropListener): Promise<void> {
    this.#listeners.add(listener)
    this.#socket ??= this.#connect()
    await this.#subscribe(listener)
  }

  leave(listener: DropListener): void {
    if (!this.#listeners.delete(listener)) return
    const socket = this.#socket
    if (this.isIdle) {
      this.#socket = undefined
      this.#subscribed.clear()
      socket?.then((each) => each.close()).catch(() => undefined)
      return
    }
    for (const flowId of listener.flowIds) {
      if ([...this.#listeners].some(({ flowIds }) => flowIds.has(flowId))) continue
      this.#subscribed.delete(flowId)
      socket?.then((each) => each.unsubscribe(flowId)).catch(() => undefined)
    }
  }

  endAll(error: unknown): void {
    for (const listener of [...this.#listeners]) {
      this.leave(listener)
      listener.end(error)
    }
  }

  #connect(): Promise<DropSocket> {
    const socket = this.#open({
      onDrop: (drop) => this.#each(drop.flowId, (listener) => listener.drop(drop)),
      onUnreadable: (flowId) => this.#each(flowId, (listener) => listener.unreadable(flowId)),
      onLost: () => {
        if (this.#socket !== socket) return
        this.#socket = undefined
        void this.#reconnect()
      },
    })
    // A later subscription tries again.
    socket.catch(() => {
      if (this.#socket === socket) this.#socket = undefined
    })
    this.#subscribed = new Map()
    return socket
  }

  async #subscribe({ flowIds }: DropListener): Promise<void> {
    const socket = await this.#socket
    if (socket === undefined) return
    const subscribed = this.#subscribed
    await Promise.all(
      [...flowIds].map((flowId) => {
        const known = subscribed.get(flowId) ?? socket.subscribe(flowId)
        subscribed.set(flowId, known)
        known.catch(() => subscribed.delete(flowId))
        return known
      }),
    )
  }

  #each(flowId: string, tell: (listener: DropListener) => void): void {
    for (const listener of this.#listeners) if (listener.flowIds.has(flowId)) tell(listener)
  }

  /** Opens another socket after a random part of a growing delay, until it works or access is refused. */
  async #reconnect(): Promise<void> {
    if (this.#isReconnecting) return
    this.#isReconnecting = true
    let delayMs = firstDelayMs
    while (!this.isIdle) {
      this.#socket ??= this.#connect()
      const connecting = this.#socket
      try {
        await connecting
        await Promise.all([...this.#listeners].map((listener) => this.#rejoin(listener)))
        // Another one was lost meanwhile.
        if (this.#socket === connecting) break
      } catch (error) {
        if (isFinal(error)) this.endAll(error)
      }
      await sleep(this.#random() * delayMs)
      delayMs = Math.min(delayMs * 2, longestDelayMs)
    }
    this.#isReconnecting = false
  }

  /** Ends a subscription whose flow is gone. */
  async #rejoin(listener: DropListener): Promise<void> {
    try {
      await this.#subscribe(listener)
      listener.rejoined()
    } catch (error) {
      if (!isFinal(error)) throw error
      this.leave(listener)
      listener.end(error)
    }
  }
}

function isFinal(error: unknown): boolean {
  return (
    error instanceof ForbiddenError ||
    error instanceof NotFoundError ||
    (error instanceof GatewayError && error.code === 'UNAUTHENTICATED')
  )
}
