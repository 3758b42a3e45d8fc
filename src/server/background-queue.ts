import { performance } from 'node:perf_hooks'

/** Something that takes milliseconds of the process and may wait. */
export interface BackgroundJob {
  /** How much it is wanted at this moment: of those that wait, the most wanted is done first. */
  priority(): number
  run(): void
}

export interface BackgroundQueue {
  /** @returns false when too many wait: it may be added again later */
  add(job: BackgroundJob): boolean
  readonly size: number
  close(): void
}

const maxWaiting = 100
/** The event loop is idle for this share of the time at least, or a job waits longer. */
const idleShare = 0.1
const lookMs = 5
/** A process that is never idle gains most from compiled code: a job waits for so long at most after the one before. */
const longestWaitMs = 25
/** Jobs take a fifth of the time at most. */
const restTimes = 4

export interface BackgroundQueueOptions {
  /** Whether the process had time since it was asked last. */
  readonly isIdle?: () => boolean
}

/** Does one job in a turn of the event loop, when the process is idle, and none for a while after it. */
export function createBackgroundQueue({
  isIdle = watchEventLoop(),
}: BackgroundQueueOptions = {}): BackgroundQueue {
  const waiting = new Set<BackgroundJob>()
  let timer: NodeJS.Timeout | undefined
  let doneAt = 0

  function schedule(afterMs: number): void {
    timer = setTimeout(look, Math.max(afterMs, lookMs))
    timer.unref()
  }

  function look(): void {
    if (!isIdle() && performance.now() - doneAt < longestWaitMs) return schedule(lookMs)
    const begun = performance.now()
    runNext()
    doneAt = performance.now()
    if (waiting.size > 0) schedule((doneAt - begun) * restTimes)
    else timer = undefined
  }

  function runNext(): void {
    const [first, ...others] = waiting
    if (first === undefined) return
    let next = first
    for (const job of others) if (job.priority() > next.priority()) next = job
    waiting.delete(next)
    next.run()
  }

  return {
    add(job) {
      if (waiting.size >= maxWaiting) return false
      waiting.add(job)
      if (timer === undefined) {
        doneAt = performance.now()
        schedule(lookMs)
      }
      return true
    },
    get size() {
      return waiting.size
    },
    close() {
      clearTimeout(timer)
      waiting.clear()
    },
  }
}

function watchEventLoop(): () => boolean {
  let before = performance.eventLoopUtilization()
  return () => {
    const { utilization } = performance.eventLoopUtilization(before)
    before = performance.eventLoopUtilization()
    return utilization <= 1 - idleShare
  }
}
