import type { FlowEvent } from './model.ts'
import type { ServiceAudience, ServiceChange, ServiceEvent } from './service-frames.ts'

type PresenceEvent = Extract<FlowEvent, { type: 'presence' }>

/** A signal of the service stream. */
type ServiceSignal = Omit<ServiceEvent, 'change' | 'about'>

interface Present {
  readonly signal: ServiceSignal
  readonly event: PresenceEvent
  /** Of the flows that the user is in. */
  readonly audiences: Set<ServiceAudience>
  /** Whether this connection named the user. */
  isConfirmed: boolean
}

/**
 * Who is present, as the service stream says it. Each connection begins with all users who are present, and leaves out those who
 * left while there was none.
 */
export class StreamPresence {
  readonly #present = new Map<number, Present>()

  get size(): number {
    return this.#present.size
  }

  /** @returns whether the signal says something new; signals about anything else always do */
  learn(signal: ServiceSignal): boolean {
    const { event, audiences } = signal
    if (event.type !== 'presence') return true
    const before = this.#present.get(event.userId)
    if (event.state === 'offline') this.#present.delete(event.userId)
    else {
      const present = { signal, event, audiences: new Set(audiences === 'all' ? [] : audiences) }
      this.#present.set(event.userId, { ...present, isConfirmed: true })
    }
    return (before?.event.state ?? 'offline') !== event.state
  }

  /** A user who is present joined or left a flow. */
  change(change: ServiceChange): void {
    if (change.kind !== 'joined' && change.kind !== 'left') return
    const audiences = this.#present.get(change.user)?.audiences
    if (change.kind === 'joined') audiences?.add(`p:${change.flow}`)
    else audiences?.delete(`p:${change.flow}`)
  }

  /** The stream is connected: it names everybody who is present. */
  reconnected(): void {
    for (const present of this.#present.values()) present.isConfirmed = false
  }

  /** The stream named everybody. @returns what is to be said of those who left meanwhile */
  confirm(): readonly ServiceSignal[] {
    const gone = [...this.#present.values()].filter(({ isConfirmed }) => !isConfirmed)
    return gone.map(({ signal, event, audiences }) => {
      this.#present.delete(event.userId)
      return {
        ...signal,
        event: { ...event, state: 'offline' as const, changedAt: null },
        audiences: [...audiences],
      }
    })
  }

  /** Those whose presence somebody may receive. */
  list(mayReceive: (audiences: readonly ServiceAudience[]) => boolean): readonly PresenceEvent[] {
    return [...this.#present.values()]
      .filter(({ audiences }) => mayReceive([...audiences]))
      .map(({ event }) => event)
  }
}
