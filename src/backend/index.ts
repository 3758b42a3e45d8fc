import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { packageFile, runsFromSource } from '../package-files.ts'
import type { BackendOptions } from './server.ts'
import type { WorkerReport } from './worker.ts'

export type EmbeddedBackendOptions = Pick<
  BackendOptions,
  | 'host'
  | 'port'
  | 'publicUrl'
  | 'dataDir'
  | 'databaseUrl'
  | 'demoOrganization'
  | 'demoToken'
  | 'keepAliveMs'
  | 'eventRetentionDays'
  | 'privateActionTargets'
>

export interface EmbeddedBackend {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** The demo user's token; null when there is none, or it was removed. */
  readonly demoToken: string | null
  close(): Promise<void>
}

/** Why a backend did not start: the system's code, such as `EADDRINUSE`, and its words. */
export class BackendStartError extends Error {
  override readonly name = 'BackendStartError'
  readonly code: string | undefined

  constructor(code: string | undefined, message: string) {
    super(message)
    this.code = code
  }
}

/** How long until a thread that stopped is started again; twice as long after each that did not last. */
const firstPauseMs = 250
const maxPauseMs = 10_000
const lastsMs = 60_000

/**
 * Starts the embedded backend in a thread of its own, so that a slow disk never holds up the gateway. A thread that
 * stops by itself, such as for want of memory, is started again at the same address.
 *
 * @param onError hears of failures while it runs, and each time it stopped
 * @param onNotice is called with what an operator should know
 * @throws BackendStartError
 */
export async function startBackend(
  options: EmbeddedBackendOptions,
  onError: (message: string) => void,
  onNotice: (message: string) => void = () => undefined,
): Promise<EmbeddedBackend> {
  let thread = startThread(options, onError, onNotice)
  const { url, demoToken } = await thread.listening
  const port = Number(new URL(url).port)
  const closing = new AbortController()
  const { signal } = closing

  async function keepRunning(): Promise<void> {
    let pauseMs = firstPauseMs
    for (;;) {
      const begun = performance.now()
      await thread.ended
      if (signal.aborted) return
      if (performance.now() - begun >= lastsMs) pauseMs = firstPauseMs
      onError(`The embedded backend stopped; it is started again in ${pauseMs} ms`)
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      pauseMs = Math.min(pauseMs * 2, maxPauseMs)
      thread = startThread({ ...options, port }, onError, onNotice)
      thread.listening.catch((error: unknown) => {
        if (error instanceof BackendStartError) onError(error.message)
      })
    }
  }

  const over = keepRunning()
  return {
    url,
    demoToken,
    async close() {
      closing.abort()
      thread.close()
      await over
    },
  }
}

interface Thread {
  /** Rejects when it ends before. */
  readonly listening: Promise<Extract<WorkerReport, { type: 'listening' }>>
  readonly ended: Promise<void>
  /** Asks it to finish what is under way, and end. */
  close(): void
}

function startThread(
  options: EmbeddedBackendOptions,
  onError: (message: string) => void,
  onNotice: (message: string) => void,
): Thread {
  const program = packageFile(runsFromSource() ? 'src/backend/worker.ts' : 'dist/backend/worker.js')
  const worker = new Worker(program, { workerData: options })
  const listening = Promise.withResolvers<Extract<WorkerReport, { type: 'listening' }>>()
  worker.on('message', (report: WorkerReport) => {
    if (report.type === 'listening') listening.resolve(report)
    else if (report.type === 'error') onError(report.message)
    else if (report.type === 'notice') onNotice(report.message)
    else if (report.type === 'failed') listening.reject(new BackendStartError(report.code, report.message))
  })
  worker.on('error', (error) => {
    listening.reject(error)
    onError(String(error))
  })
  return {
    listening: listening.promise,
    ended: new Promise((resolve) => {
      worker.once('exit', () => {
        listening.reject(new Error('The embedded backend stopped'))
        resolve()
      })
    }),
    close: () => worker.postMessage('close'),
  }
}
