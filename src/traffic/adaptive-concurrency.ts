import { performance } from 'node:perf_hooks'

/** An adaptive limit on concurrent operations, with a queue. */
export interface AdaptiveConcurrency {
  /**
   * Acquires a permit, which `leave` releases.
   *
   * @returns whether it is acquired; a promise when the operation has to wait in the queue
   */
  enter(): boolean | Promise<boolean>
  /** The same for an operation that cannot wait. It takes precedence over the queue. */
  enterNow(): boolean
  /**
   * The same for operations of sockets, which come in bursts when clients reconnect. They wait in a second queue, after all
   * others, for up to 5 s. The queue has no more of them than can be served in that time.
   */
  enterInTurn(): boolean | Promise<boolean>
  /** Whether `enter` would refuse an operation now. */
  isFull(): boolean
  /** Counts an operation that was refused because of `isFull`, as `enter` counts those that it refuses. */
  refuse(): void
  leave(): void
  state(): ConcurrencyState
  close(): void
}

export interface ConcurrencyState {
  /** Operations in flight. */
  readonly inFlight: number
  /** The present limit of operations in flight. */
  readonly limit: number
  /** Queued operations, without those of sockets. */
  readonly waiting: number
  /** Queued operations of sockets. */
  readonly waitingInTurn: number
  /** The delay of the event loop at the last sample, in milliseconds. */
  readonly delayMs: number
  /** Refused operations since the start. */
  readonly refusals: number
}

/** The interval between two samples of the process. */
const lookMs = 50
/** A process is overloaded when its event loop was busy for this share of the time, in this many samples in a row. */
const busyShare = 0.97
const busyLooks = 3
/** When operations take this many times as long as they should, `calmShare` is enough for that. */
const lateTimes = 4
/**
 * While the process is overloaded, as many operations run at once as complete in `runMs`. With more, all of them take longer,
 * because memory is freed later. Operations that wait for the upstream leave the process idle, so there may be more of them: as
 * many as complete in `calmTimes` the duration of one in a calm process.
 */
const runMs = 10
const calmTimes = 1.5
/** A process is calm while its event loop is busy for less than this share of the time. */
const calmShare = 0.8
/** The queue takes what completes in `waitMs` at the present rate. An operation waits for `longestWaitMs` at most. */
const waitMs = 40
const longestWaitMs = 500
/**
 * A process that is not overloaded starts with this many concurrent operations. The number doubles when more are needed and the
 * event loop had idle time since the last doubling. So a burst does not begin as a whole before the overload is noticed.
 */
const opening = { running: 32, everyMs: 10 }
/** The queue of operations of sockets: its length, the longest wait, and the samples after which its rate is known. */
const inTurn = { waiting: 4096, longestWaitMs: 5000, looks: 10 }
/** The longest duration of an operation in a calm process that counts. */
const maxCalmMs = 1000
/** The least limits of operations in flight, and in the queue. */
const least = { running: 8, waiting: 8 }
/**
 * Clients that send the next request only after a response cannot outgrow the queue, and refusing them only makes them retry. So
 * this many wait, for this long. When the queue overflows, requests come independently of responses: then the queue is short for
 * this many samples.
 */
const patient = { waiting: 128, longestWaitMs: 5000, looks: 20 }

export interface ConcurrencyOptions {
  /** The most operations in flight. Operations that wait for a slow upstream take memory, too. */
  readonly most: number
  /** Whether the limits are fixed, for a process that has other work, too. */
  readonly isSteady?: boolean
}

interface Waiting {
  readonly since: number
  readonly answer: (isIn: boolean) => void
}

/**
 * Limits the operations in flight. Without a limit, an overloaded process responds late to all clients, and finally to none.
 * While it is overloaded, few operations run at once, some wait in a short queue, and the rest is refused at once. A slow
 * upstream is not an overload, because the process is idle then. The limits adapt by themselves.
 */
export function createAdaptiveConcurrency({
  most,
  isSteady = false,
}: ConcurrencyOptions): AdaptiveConcurrency {
  const queue: Waiting[] = []
  const turns: Waiting[] = []
  /** The number of samples in a row in which operations of sockets waited. */
  let looksInTurn = 0
  let inFlight = 0
  let limit = most
  /** The concurrency up to which no idle time is required. */
  let opened = isSteady ? most : Math.min(opening.running, most)
  let openedAt = performance.now()
  let openedBefore = performance.eventLoopUtilization()
  /** The most operations in flight since the last sample. */
  let peak = 0
  let maxWaiting = 0
  let done = 0
  let doneEachMs = 0
  let calmMs = 0
  let busy = 0
  let refusals = 0
  /** The number of samples since the queue last overflowed. */
  let looksWithRoom = patient.looks
  let delayMs = 0
  let lookedAt = performance.now()
  let before = performance.eventLoopUtilization()

  function look(): void {
    const now = performance.now()
    const elapsedMs = now - lookedAt
    delayMs = Math.max(elapsedMs - lookMs, 0)
    lookedAt = now
    const { utilization } = performance.eventLoopUtilization(before)
    before = performance.eventLoopUtilization()
    doneEachMs = doneEachMs * 0.7 + (done / elapsedMs) * 0.3
    done = 0
    // Operations in flight, divided by the rate of completion, is the duration of one (Little's law). Few in flight prove
    // nothing.
    if (utilization < calmShare && doneEachMs > 0 && inFlight >= least.running / 2) {
      const tookMs = Math.min(inFlight / doneEachMs, maxCalmMs)
      // A shorter duration is adopted fast, and a longer one slowly, because a queue also makes it longer.
      calmMs += (tookMs - calmMs) * (tookMs < calmMs ? 0.3 : 0.02)
    }
    const isLate = inFlight / doneEachMs > lateTimes * Math.max(runMs, calmMs)
    busy = !isSteady && utilization >= (isLate ? calmShare : busyShare) ? busy + 1 : 0
    limit =
      busy < busyLooks
        ? Math.min(Math.ceil(limit * 1.05), most)
        : Math.min(
            Math.max(Math.ceil(doneEachMs * Math.max(runMs, calmMs * calmTimes)), least.running),
            limit,
          )
    if (!isSteady && peak * 2 < opened)
      opened = Math.max(Math.ceil(opened * 0.9), Math.min(opening.running, most))
    peak = inFlight
    looksWithRoom += 1
    looksInTurn = turns.length > 0 ? looksInTurn + 1 : 0
    const fits = isPatient() ? patient.waiting : least.waiting
    maxWaiting = limit === most ? 0 : Math.max(Math.ceil(doneEachMs * waitMs), fits)
    letIn()
  }

  function isPatient(): boolean {
    return looksWithRoom > patient.looks
  }

  function isRoom(): boolean {
    return inFlight < limit && (inFlight < opened || isOpenedFurther())
  }

  function isOpenedFurther(): boolean {
    const now = performance.now()
    if (now - openedAt < opening.everyMs) return false
    const { utilization } = performance.eventLoopUtilization(openedBefore)
    openedAt = now
    openedBefore = performance.eventLoopUtilization()
    if (utilization >= busyShare) return false
    opened = Math.min(opened * 2, most)
    return true
  }

  function begin(): void {
    inFlight += 1
    if (inFlight > peak) peak = inFlight
  }

  function letIn(): void {
    const since = performance.now() - (isPatient() ? patient.longestWaitMs : longestWaitMs)
    while (queue[0] !== undefined && queue[0].since < since) {
      refusals += 1
      queue.shift()?.answer(false)
    }
    while (queue.length > 0 && isRoom()) {
      begin()
      queue.shift()?.answer(true)
    }
    const sinceInTurn = performance.now() - inTurn.longestWaitMs
    while (turns[0] !== undefined && turns[0].since < sinceInTurn) {
      refusals += 1
      turns.shift()?.answer(false)
    }
    while (queue.length === 0 && turns.length > 0 && isRoom()) {
      begin()
      turns.shift()?.answer(true)
    }
  }

  function isQueueFull(): boolean {
    return queue.length >= (limit === most ? most - inFlight : maxWaiting)
  }

  function refuse(): void {
    if (maxWaiting > 0) looksWithRoom = 0
    refusals += 1
  }

  const timer = setInterval(look, lookMs)
  timer.unref()

  return {
    enter() {
      if (queue.length === 0 && isRoom()) {
        begin()
        return true
      }
      if (!isQueueFull()) return new Promise((answer) => queue.push({ since: performance.now(), answer }))
      refuse()
      return false
    },
    enterNow() {
      const isIn = inFlight + queue.length < limit + maxWaiting
      if (isIn) begin()
      else refusals += 1
      return isIn
    },
    enterInTurn() {
      if (queue.length === 0 && turns.length === 0 && isRoom()) {
        begin()
        return true
      }
      const most =
        looksInTurn < inTurn.looks
          ? inTurn.waiting
          : Math.min(Math.max(doneEachMs * inTurn.longestWaitMs, least.waiting), inTurn.waiting)
      if (turns.length < most)
        return new Promise((answer) => turns.push({ since: performance.now(), answer }))
      refusals += 1
      return false
    },
    isFull: () => isQueueFull() && (queue.length > 0 || !isRoom()),
    refuse,
    leave() {
      inFlight -= 1
      done += 1
      if (queue.length > 0 || turns.length > 0) letIn()
    },
    state: () => ({ inFlight, limit, waiting: queue.length, waitingInTurn: turns.length, delayMs, refusals }),
    close: () => clearInterval(timer),
  }
}
