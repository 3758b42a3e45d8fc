import type { Bus } from './bus/bus.ts'

/** The other backends that share the database, as far as the bus says. */
export interface Instances {
  /** How many there are. */
  readonly count: number
  /** Calls the listener when another backend has been silent for too long, which is all that says it ended. */
  onGone(listener: (instance: string) => void): () => void
}

export interface InstancesOptions {
  readonly bus: Bus
  /** The number up to which this backend has delivered the log. */
  readonly head: () => number
  /** Ends it. */
  readonly signal: AbortSignal
  /** How often this backend says that it is there; 10 s unless given. */
  readonly everyMs?: number
  /** How long another backend may be silent; 75 s unless given. */
  readonly silentMs?: number
}

/** Says to other backends that this one runs, and notices which of them do. While the bus is not connected, none ends. */
export function createInstances(options: InstancesOptions): Instances {
  const { bus, head, signal, everyMs = 10_000, silentMs = 75_000 } = options
  /** When each was received from last. */
  const seen = new Map<string, number>()
  const listeners = new Set<(instance: string) => void>()

  bus.listen((_, from) => seen.set(from, performance.now()))
  bus.onConnected(() => {
    // What they sent while it was not connected did not arrive.
    for (const instance of seen.keys()) seen.set(instance, performance.now())
    bus.publish({ kind: 'here', head: head(), asks: true })
  })
  const timer = setInterval(() => {
    bus.publish({ kind: 'here', head: head(), asks: false })
    if (!bus.isConnected) return
    for (const [instance, at] of seen) {
      if (performance.now() - at < silentMs) continue
      seen.delete(instance)
      for (const listener of listeners) listener(instance)
    }
  }, everyMs)
  signal.addEventListener('abort', () => clearInterval(timer))

  return {
    get count() {
      return seen.size
    },
    onGone(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
