/** One line of the live pane. */
export interface LogEntry {
  readonly id: number
  readonly at: Date
  readonly kind: 'event' | 'gap' | 'error' | 'note'
  /** The name of its subscription; undefined for notes about the connection. */
  readonly subscription: string | undefined
  readonly summary: string
  /** All of it, as it came; undefined for notes. */
  readonly result: unknown
}

export interface LogState {
  /** Oldest first. */
  readonly entries: readonly LogEntry[]
  /** How many of the oldest entries had to make room. */
  readonly dropped: number
  readonly isPaused: boolean
  /** How many entries came while it is paused. */
  readonly waiting: number
}

export interface LiveLog {
  get(): LogState
  subscribe(listener: () => void): () => void
  add(entry: Omit<LogEntry, 'id' | 'at'>): void
  /** Entries that come are held back until `resume`. */
  pause(): void
  resume(): void
  clear(): void
}

/** What happened, with the newest `limit` entries. A pause holds back as many at most. */
export function createLiveLog(limit: number, now: () => Date = () => new Date()): LiveLog {
  const listeners = new Set<() => void>()
  let state: LogState = { entries: [], dropped: 0, isPaused: false, waiting: 0 }
  let held: LogEntry[] = []
  let nextId = 1

  function set(changes: Partial<LogState>): void {
    state = { ...state, ...changes }
    for (const listener of listeners) listener()
  }

  function append(entries: readonly LogEntry[], changes: Partial<LogState> = {}): void {
    const all = [...state.entries, ...entries]
    const excess = Math.max(0, all.length - limit)
    set({ entries: all.slice(excess), dropped: state.dropped + excess, ...changes })
  }

  return {
    get: () => state,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    add(entry) {
      const added = { id: nextId, at: now(), ...entry }
      nextId += 1
      if (!state.isPaused) return append([added])
      held.push(added)
      const excess = Math.max(0, held.length - limit)
      held = held.slice(excess)
      set({ dropped: state.dropped + excess, waiting: held.length })
    },
    pause: () => set({ isPaused: true }),
    resume() {
      const entries = held
      held = []
      append(entries, { isPaused: false, waiting: 0 })
    },
    clear() {
      held = []
      set({ entries: [], dropped: 0, waiting: 0 })
    },
  }
}

/** The entries as lines of JSON, as tools read them. */
export function logText(entries: readonly LogEntry[]): string {
  return entries
    .map(({ at, subscription, kind, summary, result }) =>
      JSON.stringify({
        ...{ at: at.toISOString(), subscription },
        ...(kind === 'note' ? { note: summary } : { result }),
      }),
    )
    .join('\n')
}

const longestSummary = 160
/** Fields that say when and where rather than what. */
const unreadable = /^(__typename|cursor|id|.*Id|.*At|.*Url)$/

/** An event in a line: the words in it, in their order. */
export function summarize(event: unknown): string {
  const words: string[] = []
  const collect = (value: unknown): void => {
    if (typeof value === 'string' && value.trim() !== '') words.push(value.trim())
    else if (typeof value === 'number') words.push(String(value))
    else if (Array.isArray(value)) for (const item of value) collect(item)
    else if (typeof value === 'object' && value !== null)
      for (const [name, member] of Object.entries(value)) if (!unreadable.test(name)) collect(member)
  }
  collect(event)
  const text = words.join(' · ').replaceAll(/\s+/g, ' ')
  return text.length > longestSummary ? `${text.slice(0, longestSummary - 1)}…` : text
}
