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
  /** Ends the subscriptions to a flow if it does not exist any more. */
  checkFlow(flowId: string): void
  /** Ends all subscriptions. */
  close(error: GatewayError): void
}

type Handlers = Pick<DropSocketOptions, 'onDrop' | 'onUnreadable' | 'onLost'>
type Open = (credential: ThingsCredential, handlers: Handlers) => Promise<DropSocket>

const firstDelayMs = 250
const longestDelayMs = 15_000
/** How often flows are checked: the upstream sends nothing when one is deleted. */
const usualCheckMs = 30_000

export interface DropHubOptions {
  /** From 0 to 1, as `Math.random`. */
  readonly random?: () => number
  /** How often it is checked that the flows of subscriptions exist; 30 s by default. */
  readonly checkEveryMs?: number
}

export function createDropHub(open: Open, options: DropHubOptions = {}): DropHub {
  const streams = new Map<string, DropStream>()
  return {
    get size() {
      return streams.size
    },
    async join(credential, listener) {
      const { principal } = credential
      const stream =
        streams.get(principal) ?? new DropStream((handlers) => open(credential, handlers), options)
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
    checkFlow(flowId) {
      for (const stream of streams.values()) void stream.check(flowId)
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
  readonly #checkEveryMs: number
  #isReconnecting = false
  #checking: NodeJS.Timeout | undefined
  /** The flows that the present socket subscribes to. */
  #subscribed = new Map<string, Promise<void>>()

  constructor(open: (handlers: Handlers) => Promise<DropSocket>, options: DropHubOptions) {
    this.#open = open
    this.#random = options.random ?? Math.random
    this.#checkEveryMs = options.checkEveryMs ?? usualCheckMs
  }

  get isIdle(): boolean {
    return this.#listeners.size === 0
  }

  async join(listener: DropListener): Promise<void> {
    this.#listeners.add(listener)
    this.#socket ??= this.#connect()
    this.#checking ??= setTimeout(() => void this.#checkAll(), this.#checkEveryMs).unref()
    await this.#subscribe(listener)
  }

  leave(listener: DropListener): void {
    if (!this.#listeners.delete(listener)) return
    const socket = this.#socket
    if (this.isIdle) {
      this.#socket = undefined
      this.#subscribed.clear()
      clearTimeout(this.#checking)
      this.#checking = undefined
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

  /** Subscribes to a flow again, which the upstream refuses for one that was deleted, and otherwise changes nothing. */
  async check(flowId: string): Promise<void> {
    if (!this.#subscribed.has(flowId)) return
    try {
      const socket = await this.#socket
      await socket?.subscribe(flowId)
      if (!this.#subscribed.has(flowId)) socket?.unsubscribe(flowId)
    } catch (error) {
      // After other failures the socket is opened again, or the next check finds it.
      if (isFinal(error)) this.#endFlow(flowId, error)
    }
  }

  async #checkAll(): Promise<void> {
    const timer = this.#checking
    // One after the other: a check is not urgent, and the socket carries the drops.
    for (const flowId of [...this.#subscribed.keys()]) await this.check(flowId)
    // Another timer belongs to subscriptions that came after all others had ended.
    if (this.#checking === timer && !this.isIdle)
      this.#checking = setTimeout(() => void this.#checkAll(), this.#checkEveryMs).unref()
  }

  #endFlow(flowId: string, error: unknown): void {
    const reason =
      error instanceof NotFoundError
        ? new NotFoundError(
            `The subscription was ended: its flow "${flowId}" was deleted, or you can no longer see it`,
          )
        : error
    for (const listener of [...this.#listeners]) {
      if (!listener.flowIds.has(flowId)) continue
      this.leave(listener)
      listener.end(reason)
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
