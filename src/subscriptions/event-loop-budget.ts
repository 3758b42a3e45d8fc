/** The executions of events that begin in one turn of the event loop; fewer while queries are queued. */
const perTurn = { idle: 256, busy: 16 }

/** Spreads executions of events over turns of the event loop, so that requests are served in between. */
export class EventLoopBudget {
  readonly #isBusy: () => boolean
  #begun = 0
  #limit = perTurn.idle
  readonly #waiting = new Set<() => void>()

  /** @param isBusy whether queries are queued, which take precedence */
  constructor(isBusy: () => boolean) {
    this.#isBusy = isBusy
  }

  /** Whether an execution waits for a later turn. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** @returns whether an execution may begin now; if not, `resume` is called in a later turn and has to call this again */
  mayBegin(resume: () => void): boolean {
    if (this.#begun === 0) {
      this.#limit = this.#isBusy() ? perTurn.busy : perTurn.idle
      setImmediate(() => this.#endTurn())
    }
    this.#begun += 1
    if (this.#begun <= this.#limit) return true
    this.#waiting.add(resume)
    return false
  }

  /** Resolves when an execution may begin. */
  async begin(): Promise<void> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>()
      if (this.mayBegin(resolve)) return
      await promise
    }
  }

  #endTurn(): void {
    this.#begun = 0
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }
}
