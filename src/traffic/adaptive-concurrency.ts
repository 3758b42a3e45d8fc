import { performance } from 'node:perf_hooks'

/** How much is going on in the gateway, and whether there is room for more. */
export interface AdaptiveConcurrency {
  /**
   * Takes a place, which `leave` gives back.
   *
   * @returns whether there is one; when others are before, that is known in a moment
   */
  enter(): boolean | Promise<boolean>
  /** The same for what cannot wait: it takes a place that those who wait would have had. */
  enterNow(): boolean
  /**
   * The same for operations of sockets, which come in bursts when clients reconnect: they wait in turn after all others,
   * up to 5 s, and no more of them than can be served in that time.
   */
  enterInTurn(): boolean | Promise<boolean>
  leave(): void
  state(): ConcurrencyState
  close(): void
}

export interface ConcurrencyState {
  /** Requests and operations that are being answered. */
  readonly inFlight: number
  /** How many may be at this moment, as far as the process is busy. */
  readonly limit: number
  /** How many wait for their turn, without operations of sockets. */
  readonly waiting: number
  /** How many operations of sockets wait. */
  readonly waitingInTurn: number
  /** How late the event loop was when it was looked at last, in milliseconds. */
  readonly delayMs: number
  /** How many were turned away. */
  readonly refusals: number
}

/** How often the process is looked at. */
const lookMs = 50
/** A process that was busy for more than this share of the time, so often in a row, has more to do than it can. */
const busyShare = 0.97
const busyLooks = 3
/** Less of it is enough, where operations take so many times as long as they should. */
const lateTimes = 4
/**
 * How long what is let in then may take by being one of many. More at once take longer in all: memory is freed later. Where
 * operations wait for their upstream, it takes more of them to keep the process at work: so many times as long as one takes
 * when there is little to do.
 */
const runMs = 10
const calmTimes = 1.5
/** What counts as little to do. */
const calmShare = 0.8
/** How long something may wait for its turn, if all goes on as before; and at most, after a pause nobody could know of. */
const waitMs = 40
const longestWaitMs = 500
/**
 * However little there is to do, so many run at once to begin with, and twice as many each time that more are wanted and the
 * process has had time since: when more comes than fits, it is not all begun before anybody knows.
 */
const opening = { running: 32, everyMs: 10 }
/** Operations of sockets that wait for their turn: how many, how long, and after how many looks their rate is known. */
const inTurn = { waiting: 4096, longestWaitMs: 5000, looks: 10 }
/** No operation is thought to need longer. */
const maxCalmMs = 1000
/** So many may always run, and wait. */
const least = { running: 8, waiting: 8 }
/**
 * Callers who come again only once they are answered are as many as they are, and gain nothing by being turned away: so many
 * wait, for so long. When more come than fit, they come whatever becomes of them: then few wait, for so many looks.
 */
const patient = { waiting: 128, longestWaitMs: 5000, looks: 20 }

export interface ConcurrencyOptions {
  /** So many run at once at most, however little there is to do: what waits for a slow upstream costs memory. */
  readonly most: number
  /** The bounds never move: the process has other work, too, and being busy says nothing. */
  readonly isSteady?: boolean
}

interface Waiting {
  readonly since: number
  readonly answer: (isIn: boolean) => void
}

/**
 * Bounds what runs at once. A process that has more to do than time answers everybody late, and in the end nobody: while it
 * is busy all the time, few things run at once, some wait for a moment, and the rest hear at once that they have to come
 * again. An upstream that is slow is no reason, because the process has time then. The bounds move by themselves.
 */
export function createAdaptiveConcurrency({
  most,
  isSteady = false,
}: ConcurrencyOptions): AdaptiveConcurrency {
  const queue: Waiting[] = []
  const turns: Waiting[] = []
  /** For how many looks some of them have waited. */
  let looksInTurn = 0
  let inFlight = 0
  let limit = most
  /** How many run at once before it is asked whether there is time for more. */
  let opened = isSteady ? most : Math.min(opening.running, most)
  let openedAt = performance.now()
  let openedBefore = performance.eventLoopUtilization()
  /** The most there were since the last look. */
  let peak = 0
  let maxWaiting = 0
  let done = 0
  let doneEachMs = 0
  let calmMs = 0
  let busy = 0
  let refusals = 0
  /** For how many looks nobody found all places to wait taken. */
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
    // As many as are under way, by as many as end in a moment, is how long one takes; a few under way say nothing.
    if (utilization < calmShare && doneEachMs > 0 && inFlight >= least.running / 2) {
      const tookMs = Math.min(inFlight / doneEachMs, maxCalmMs)
      // Soon believed when it is short: a queue makes it long, too.
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

  const timer = setInterval(look, lookMs)
  timer.unref()

  return {
    enter() {
      if (queue.length === 0 && isRoom()) {
        begin()
        return true
      }
      if (queue.length < (limit === most ? most - inFlight : maxWaiting))
        return new Promise((answer) => queue.push({ since: performance.now(), answer }))
      if (maxWaiting > 0) looksWithRoom = 0
      refusals += 1
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
    leave() {
      inFlight -= 1
      done += 1
      if (queue.length > 0 || turns.length > 0) letIn()
    },
    state: () => ({ inFlight, limit, waiting: queue.length, waitingInTurn: turns.length, delayMs, refusals }),
    close: () => clearInterval(timer),
  }
}
