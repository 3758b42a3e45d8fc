/** Slows down who guesses passwords. Kept in memory: a restart forgives. */
export interface SignInLimit {
  /** How long the next attempt for this address has to wait; 0 when it need not. */
  waitSeconds(address: string): number
  failed(address: string): void
  succeeded(address: string): void
}

const maxFailures = 10
const windowMs = 15 * 60_000
const maxAddresses = 10_000

export function createSignInLimit(now: () => number = Date.now): SignInLimit {
  const failures = new Map<string, { count: number; since: number }>()

  function current(address: string) {
    const entry = failures.get(address)
    if (entry !== undefined && now() - entry.since >= windowMs) {
      failures.delete(address)
      return undefined
    }
    return entry
  }

  return {
    waitSeconds(address) {
      const entry = current(address)
      if (entry === undefined || entry.count < maxFailures) return 0
      return Math.ceil((entry.since + windowMs - now()) / 1000)
    },
    failed(address) {
      const entry = current(address) ?? { count: 0, since: now() }
      failures.set(address, { ...entry, count: entry.count + 1 })
      // The oldest go first.
      if (failures.size > maxAddresses) failures.delete(failures.keys().next().value ?? '')
    },
    succeeded: (address) => void failures.delete(address),
  }
}
