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
  | 'demoToken'
  | 'keepAliveMs'
  | 'eventRetentionDays'
  | 'privateActionTargets'
>

export interface EmbeddedBackend {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** The demo user's token; null when the demo organization is gone. */
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

/**
 * Starts the embedded backend in a thread of its own, so that a slow disk never holds up the gateway.
 *
 * @param onError hears of failures while it runs, and of its end if nobody asked for it
 * @throws BackendStartError
 */
export async function startBackend(
  options: EmbeddedBackendOptions,
  onError: (message: string) => void,
): Promise<EmbeddedBackend> {
  const program = packageFile(runsFromSource() ? 'src/backend/worker.ts' : 'dist/backend/worker.js')
  const worker = new Worker(program, { workerData: options })
  let closing = false
  const closed = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      if (!closing) onError('The embedded backend stopped')
      resolve()
    })
  })

  const started = await new Promise<Extract<WorkerReport, { type: 'listening' }>>((resolve, reject) => {
    worker.on('error', reject)
    worker.on('message', (report: WorkerReport) => {
      if (report.type === 'listening') resolve(report)
      else if (report.type === 'error') onError(report.message)
      else if (report.type === 'failed') {
        closing = true
        reject(new BackendStartError(report.code, report.message))
      }
    })
  })
  worker.on('error', (error) => onError(String(error)))

  return {
    url: started.url,
    demoToken: started.demoToken,
    async close() {
      if (!closing) {
        closing = true
        worker.postMessage('close')
      }
      await closed
    },
  }
}
