/** A fixed number of buffers that uploads take in turn, so that their memory has a bound. */
export interface PartBuffers {
  /**
   * Runs `use` with a buffer once one is free.
   *
   * @throws Error when none is free within `waitMs`, or what `use` throws
   */
  with<T>(use: (buffer: Buffer) => Promise<T>): Promise<T>
}

export function createPartBuffers(count: number, bytes: number, waitMs: number): PartBuffers {
  const free: Buffer[] = []
  const waiting = new Set<(buffer: Buffer) => void>()
  let made = 0

  function take(): Buffer | Promise<Buffer> {
    const known = free.pop()
    if (known !== undefined) return known
    if (made < count) {
      made += 1
      return Buffer.allocUnsafeSlow(bytes)
    }
    return new Promise((resolve, reject) => {
      const enter = (buffer: Buffer) => {
        clearTimeout(overdue)
        resolve(buffer)
      }
      const overdue = setTimeout(() => {
        waiting.delete(enter)
        reject(new Error(`No buffer was free for ${waitMs} ms: other uploads do not end`))
      }, waitMs)
      waiting.add(enter)
    })
  }

  function release(buffer: Buffer): void {
    const [next] = waiting
    if (next === undefined) free.push(buffer)
    else {
      waiting.delete(next)
      next(buffer)
    }
  }

  return {
    async with(use) {
      const buffer = await take()
      try {
        return await use(buffer)
      } finally {
        release(buffer)
      }
    },
  }
}
