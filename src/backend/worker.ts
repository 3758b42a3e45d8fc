import { parentPort, workerData } from 'node:worker_threads'
import type { TaskFigures } from './flowthings/tasks/runner.ts'
import { type BackendOptions, createBackend, type RunningThings } from './server.ts'

/** The messages of the thread to the thread that started it. */
export type WorkerReport =
  | {
      readonly type: 'listening'
      readonly url: string
      readonly demoToken: string | null
      /** The server of the flowthings API, where it runs. */
      readonly things: RunningThings | null
    }
  | { readonly type: 'failed'; readonly code: string | undefined; readonly message: string }
  | { readonly type: 'error' | 'notice'; readonly message: string }
  /** The heartbeat, sent every second. A thread that hangs sends none. */
  | { readonly type: 'heartbeat'; readonly tasks: TaskFigures | undefined }

function report(message: WorkerReport): void {
  parentPort?.postMessage(message)
}

const heartbeatMs = 1000

const starting = createBackend({
  ...(workerData as BackendOptions),
  // The thread is started again, and with it every stream begins again.
  onReplaced(reason) {
    report({ type: 'error', message: reason })
    void stop()
  },
  onNotice: (message) => report({ type: 'notice', message }),
  onError: (error) =>
    report({
      type: 'error',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }),
})

async function stop(): Promise<void> {
  const backend = await starting.catch(() => undefined)
  await backend?.close()
  parentPort?.close()
}

parentPort?.on('message', (message: 'announceClosing' | 'close') => {
  if (message === 'close') void stop()
  else void starting.then((backend) => backend.announceClosing()).catch(() => undefined)
})

try {
  const backend = await starting
  report({ type: 'listening', url: backend.url, demoToken: backend.demo.token, things: backend.things })
  setInterval(() => report({ type: 'heartbeat', tasks: backend.taskFigures() }), heartbeatMs).unref()
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  report({ type: 'failed', code, message })
  parentPort?.close()
}
