import { performance } from 'node:perf_hooks'

/** Work that takes milliseconds and is not urgent. */
export interface BackgroundJob {
  /** The job with the highest priority at the moment runs first. */
  priority(): number
  run(): void
}

export interface BackgroundQueue {
  /** @returns false when the queue is full */
  add(job: BackgroundJob): boolean
  readonly size: number
  close(): void
}

const maxWaiting = 100
/** A process counts as idle when its event loop was idle for this share of the time. */
const idleShare = 0.1
const lookMs = 5
/** The longest wait for an idle process after the previous job. A process that is never idle gains most from compiled code. */
const longestWaitMs = 25
/** After a job the queue rests for this many times as long as the job took: jobs take a fifth of the time at most. */
const restTimes = 4

export interface BackgroundQueueOptions {
  /** Whether the process had time since it was asked last. */
  readonly isIdle?: () => boolean
}

/** Runs one job in a turn of the event loop, when the process is idle, and then rests. */
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
