import type { Background } from './background.ts'
import type { EventLog } from './event-log.ts'
import { findDataVersion, isPostgres, type Store } from './store/db.ts'

/** How often the log is searched for events that were not announced. */
const everyMs = 1000
/** How often SQLite is asked whether anything was committed, for commands beside the server. */
const versionEveryMs = 50

/** Delivers events of other processes that were not announced: within a second, on SQLite within 50 ms. */
export function startCatchingUp(
  store: Store,
  log: Pick<EventLog, 'catchUp'>,
  options: {
    readonly everyMs?: number | undefined
    readonly background: Background
    readonly signal: AbortSignal
  },
): void {
  const { background, signal } = options
  let version: number | undefined
  let isChecking = false

  async function checkVersion(): Promise<void> {
    isChecking = true
    try {
      // The search each second reports what is wrong.
      const current = await findDataVersion(store.reader).catch(() => version)
      if (current === version) return
      version = current
      await log.catchUp()
    } finally {
      isChecking = false
    }
  }

  const timers = [setInterval(() => background.run(log.catchUp()), options.everyMs ?? everyMs)]
  if (!isPostgres(store.reader))
    timers.push(
      setInterval(() => {
        if (!isChecking) background.run(checkVersion())
      }, versionEveryMs),
    )
  signal.addEventListener('abort', () => {
    for (const timer of timers) clearInterval(timer)
  })
}
