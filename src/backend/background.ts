/**
 * Work that no request waits for, such as publishing presence. Its failures are reported, and it ends before the store is closed.
 */
export interface Background {
  run(work: Promise<unknown>): void
  /** Resolves once nothing runs. */
  settled(): Promise<void>
}

/** @param onError called with the error of work that failed */
export function createBackground(onError: (error: unknown) => void): Background {
  const running = new Set<Promise<unknown>>()
  return {
    run(work) {
      const watched = work.then(
        () => void running.delete(watched),
        (error: unknown) => {
          running.delete(watched)
          onError(error)
        },
      )
      running.add(watched)
    },
    async settled() {
      while (running.size > 0) await Promise.all(running)
    },
  }
}
