import type { Arrival } from '../operations/writing.ts'

/** Drops that wait for a broker in memory. Their number and size are bounded: past that the oldest are dropped. */
export interface WaitingDrops {
  readonly length: number
  push(arrival: Arrival): void
  /** Takes the oldest. */
  take(count: number): Arrival[]
  /** Puts drops back that were not sent, before all others. */
  putBack(arrivals: readonly Arrival[]): void
}

const maxDrops = 1000
/** Of their JSON. An account has 20 tasks, whose brokers may be unreachable for long. */
const maxCharacters = 4 * 1024 * 1024

/** @param onDropped called for each drop that is left out */
export function createWaitingDrops(onDropped: () => void): WaitingDrops {
  const waiting: Arrival[] = []
  let characters = 0

  function sum(arrivals: readonly Arrival[]): number {
    return arrivals.reduce((total, { row }) => total + row.drop_json.length, 0)
  }

  function take(count: number): Arrival[] {
    const taken = waiting.splice(0, count)
    characters -= sum(taken)
    return taken
  }

  function bound(): void {
    while (waiting.length > maxDrops || characters > maxCharacters) {
      take(1)
      onDropped()
    }
  }

  return {
    get length() {
      return waiting.length
    },
    push(arrival) {
      waiting.push(arrival)
      characters += arrival.row.drop_json.length
      bound()
    },
    take,
    putBack(arrivals) {
      waiting.unshift(...arrivals)
      characters += sum(arrivals)
      bound()
    },
  }
}
