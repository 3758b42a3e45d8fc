import type { Bus } from './bus/bus.ts'

/** The other backends that share the database, as far as the bus says. */
export interface Instances {
  /** The number of other backends. */
  readonly count: number
  /** Calls the listener when another backend has been silent for too long. A backend does not announce its end. */
  onGone(listener: (instance: string) => void): () => void
}

export interface InstancesOptions {
  readonly bus: Bus
  /** The number up to which this backend has delivered the log. */
  readonly head: () => number
  /** Stops the announcements. */
  readonly signal: AbortSignal
  /** The interval of the announcements of this backend; 10 s by default. */
  readonly everyMs?: number
  /** How long another backend may be silent; 75 s by default. */
  readonly silentMs?: number
}

/** Announces this backend to others, and notes which of them run. While the bus is not connected, none counts as ended. */
export function createInstances(options: InstancesOptions): Instances {
  const { bus, head, signal, everyMs = 10_000, silentMs = 75_000 } = options
  /** The time of the last message of each backend. */
  const seen = new Map<string, number>()
  const listeners = new Set<(instance: string) => void>()

  bus.listen((_, from) => seen.set(from, performance.now()))
  bus.onConnected(() => {
    // Their announcements during the lost connection did not arrive.
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
