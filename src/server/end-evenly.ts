import { sleep } from '../sleep.ts'

/** Ends items one after the other, evenly over so many milliseconds. Resolves after the last. */
export async function endEvenly<T>(
  items: Iterable<T>,
  overMs: number,
  end: (item: T) => void,
): Promise<void> {
  const all = [...items]
  const begun = performance.now()
  for (const [index, item] of all.entries()) {
    const waitMs = begun + (index * overMs) / all.length - performance.now()
    // Timers are no finer than this.
    if (waitMs >= 1) await sleep(waitMs)
    end(item)
  }
}
