/** How long an answer holds: however many ask, the storage and the upstream are tried no more often. */
const holdsMs = 1000

/**
 * Whether something can do its work, for those who ask again and again.
 *
 * @param check tries it; a rejection is a no
 * @param onLost hears the reason each time it ceases to be ready
 */
export function createReadiness(
  check: () => Promise<void>,
  onLost: (reason: unknown) => void,
): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined
  let until = Number.POSITIVE_INFINITY
  let wasReady = true

  async function tryNow(): Promise<boolean> {
    try {
      await check()
      wasReady = true
    } catch (reason) {
      if (wasReady) onLost(reason)
      wasReady = false
    }
    until = performance.now() + holdsMs
    return wasReady
  }

  return () => {
    if (answer === undefined || performance.now() >= until) {
      until = Number.POSITIVE_INFINITY
      answer = tryNow()
    }
    return answer
  }
}
