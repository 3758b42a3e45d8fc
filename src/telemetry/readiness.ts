/** How long a result is used, so that many requests do not cause many checks. */
const holdsMs = 1000

/**
 * Creates a readiness check for frequent requests.
 *
 * @param check rejects when it is not ready
 * @param onLost called with the reason each time it stops being ready
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
