import { parentPort, workerData } from 'node:worker_threads'
import { type BackendOptions, createBackend, type RunningBackend } from './server.ts'

/** What the thread says to the one that started it. */
export type WorkerReport =
  | { readonly type: 'listening'; readonly url: string; readonly demoToken: string | null }
  | { readonly type: 'failed'; readonly code: string | undefined; readonly message: string }
  | { readonly type: 'error'; readonly message: string }
  | { readonly type: 'closed' }

function report(message: WorkerReport): void {
  parentPort?.postMessage(message)
}

const options = workerData as BackendOptions
let backend: RunningBackend | undefined

parentPort?.once('message', async () => {
  await backend?.close()
  report({ type: 'closed' })
  parentPort?.close()
})

try {
  backend = await createBackend({
    ...options,
    onError: (error) =>
      report({
        type: 'error',
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  })
  report({ type: 'listening', url: backend.url, demoToken: backend.demo.token })
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  report({ type: 'failed', code, message })
  parentPort?.close()
}
