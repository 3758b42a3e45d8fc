import { Subscriber, type SubscriberLimits } from './subscriber.ts'

/** Where a source delivers what it has. */
export interface Sink<T> {
  /** From now on nothing is missed. */
  open(): void
  event(event: T, bytes: number): void
  /** Nothing more will come. */
  end(error: unknown): void
}

export interface HubOptions<Topic, T> {
  /** Topics with equal keys share one source. */
  readonly keyOf: (topic: Topic) => string
  /** Starts the source of a topic. */
  readonly open: (topic: Topic, sink: Sink<T>) => { close(): void }
  readonly limits: SubscriberLimits
}

/** Shares one source among all who listen to the same topic. */
export interface Hub<Topic, T> {
  /**
   * Listens to a topic; resolves once its source is open, so what happens afterwards is heard. The first subscriber
   * opens the source, the last one to leave closes it.
   *
   * @param signal leaves, also while the source is still opening
   * @throws what the source ended with, if it never opened
   */
  subscribe(topic: Topic, signal: AbortSignal): Promise<Subscriber<T>>
  /** How many sources are open. */
  readonly size: number
  /** Ends every subscription with `error`. */
  close(error: unknown): void
}

interface Channel<T> {
  readonly subscribers: Set<Subscriber<T>>
  readonly ready: Promise<void>
  readonly source: { close(): void }
  end(error: unknown): void
}

export function createHub<Topic, T>(options: HubOptions<Topic, T>): Hub<Topic, T> {
  const channels = new Map<string, Channel<T>>()

  function openChannel(key: string, topic: Topic): Channel<T> {
    const subscribers = new Set<Subscriber<T>>()
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    // Whoever waits for it hears of it; an end that nobody waits for is no failure.
    ready.catch(() => undefined)
    const end = (error: unknown) => {
      if (channels.get(key) === channel) channels.delete(key)
      reject(error)
      for (const subscriber of [...subscribers]) subscriber.fail(error)
    }
    const source = options.open(topic, {
      open: resolve,
      event(event, bytes) {
        for (const subscriber of subscribers) subscriber.push(event, bytes)
      },
      end,
    })
    const channel: Channel<T> = { subscribers, ready, source, end }
    channels.set(key, channel)
    return channel
  }

  return {
    async subscribe(topic, signal) {
      signal.throwIfAborted()
      const key = options.keyOf(topic)
      const channel = channels.get(key) ?? openChannel(key, topic)
      const left = Promise.withResolvers<never>()
      left.promise.catch(() => undefined)
      const leave = () => {
        left.reject(signal.reason)
        void subscriber.return()
      }
      const subscriber = new Subscriber<T>(options.limits, () => {
        signal.removeEventListener('abort', leave)
        channel.subscribers.delete(subscriber)
        if (channel.subscribers.size > 0) return
        if (channels.get(key) === channel) channels.delete(key)
        channel.source.close()
      })
      channel.subscribers.add(subscriber)
      signal.addEventListener('abort', leave)
      try {
        await Promise.race([channel.ready, left.promise])
      } catch (error) {
        await subscriber.return()
        throw error
      }
      return subscriber
    },
    get size() {
      return channels.size
    },
    close(error) {
      for (const channel of [...channels.values()]) channel.end(error)
    },
  }
}
