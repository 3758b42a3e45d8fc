/**
 * A coarse clock for the timeouts of many connections, and for the time in their responses. Timers of their own, of which each request
 * needs several, would cost as much as parsing the request.
 */
export class Clock {
  readonly #tickMs: number
  readonly #onTick: () => void
  #timer: NodeJS.Timeout | undefined
  #ticks = 0
  #date: string | undefined

  constructor(tickMs: number, onTick: () => void) {
    this.#tickMs = tickMs
    this.#onTick = onTick
  }

  /** The number of ticks since the first start. */
  get ticks(): number {
    return this.#ticks
  }

  /** The first tick at which `ms` have passed. */
  ticksAfter(ms: number): number {
    return this.#ticks + Math.ceil(ms / this.#tickMs) + 1
  }

  /** The time as in the header Date, at most a tick old. */
  get date(): string {
    this.#date ??= new Date().toUTCString()
    return this.#date
  }

  start(): void {
    this.#date = undefined
    this.#timer ??= setInterval(() => {
      this.#ticks += 1
      this.#date = undefined
      this.#onTick()
    }, this.#tickMs).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
