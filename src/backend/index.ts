import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { packageFile, runsFromSource } from '../package-files.ts'
import type { TaskFigures } from './flowthings/tasks/runner.ts'
import type { BackendOptions, RunningThings } from './server.ts'
import type { WorkerReport } from './worker.ts'

export type EmbeddedBackendOptions = Pick<
  BackendOptions,
  | 'host'
  | 'port'
  | 'publicUrl'
  | 'dataDir'
  | 'databaseUrl'
  | 'natsUrl'
  | 's3'
  | 'signingSecrets'
  | 'demoOrganization'
  | 'demoHistory'
  | 'demoToken'
  | 'things'
  | 'keepAliveMs'
  | 'eventRetentionDays'
  | 'privateActionTargets'
  | 'serviceTokens'
  | 'trustedProxies'
  | 'traffic'
>

export interface EmbeddedBackend {
  /** The URL that it listens on, without a trailing slash. */
  readonly url: string
  /** The token of the demo user. Null when there is none, or it was removed. */
  readonly demoToken: string | null
  /** The server of the flowthings API. Null where it does not run. */
  readonly things: RunningThings | null
  /** The value of the header `X-Gateway-Key`, which proves that the server's own gateway sent a request. */
  readonly gatewayKey: string
  /**
   * Carries requests to its thread, beside HTTP. Undefined while the thread does not run; another one after each restart. Its user
   * closes it.
   */
  readonly port: MessagePort | undefined
  /** The token of its service interface, which returns all events. It never leaves this process. */
  readonly serviceToken: string
  /** How often its thread was restarted. */
  readonly restarts: number
  /** The tasks of flowthings as of the last heartbeat; what they did before a restart counts. Null where it runs none. */
  readonly tasks: TaskFigures | null
  /** Says at `/health/ready` that it is not ready, and goes on serving. */
  announceClosing(): void
  /** Stops it within five seconds, also when its thread hangs. */
  close(): Promise<void>
}

/** How its thread is monitored. */
export interface Supervision {
  /** The interval of the checks for a heartbeat of the thread. */
  readonly checkMs: number
  /**
   * The thread is ended after this many checks in a row without a heartbeat. Checks are counted instead of time, because there
   * are none while this process is suspended or busy.
   */
  readonly maxMissed: number
  /** How long a stop waits for the thread to finish requests. */
  readonly closeMs: number
  /** The program of the thread. */
  readonly program?: URL
}

/**
 * 30 checks of a second. That is longer than a transaction or a garbage collection takes on a loaded machine, and about as long
 * as the timeout of clients.
 */
const defaultSupervision: Supervision = { checkMs: 1000, maxMissed: 30, closeMs: 5000 }

/** Why a backend did not start: the system's code, such as `EADDRINUSE`, and its message. */
export class BackendStartError extends Error {
  override readonly name = 'BackendStartError'
  readonly code: string | undefined

  constructor(code: string | undefined, message: string) {
    super(message)
    this.code = code
  }
}

/** The pause before a thread that stopped is started again. It doubles after each thread that soon stopped, too. */
const firstPauseMs = 250
const maxPauseMs = 10_000
const lastsMs = 60_000

/**
 * Starts the embedded backend in a thread of its own, so that a slow disk never blocks the gateway. A thread that hangs, or stops
 * by itself, such as when memory runs out, is started again at the same URL.
 *
 * @param onError called with failures while it runs, and each time its thread stopped
 * @param onNotice called with what an operator should know
 * @throws BackendStartError
 */
export async function startBackend(
  options: EmbeddedBackendOptions,
  onError: (message: string) => void,
  onNotice: (message: string) => void = () => undefined,
  supervision: Partial<Supervision> = {},
): Promise<EmbeddedBackend> {
  const watch = { ...defaultSupervision, ...supervision }
  const gatewayKey = randomBytes(32).toString('base64url')
  const serviceToken = randomBytes(32).toString('base64url')
  const serviceTokens = [serviceToken, ...(options.serviceTokens ?? [])]
  const start = (ports: Pick<EmbeddedBackendOptions, 'port' | 'things'>) =>
    startThread({ ...options, ...ports, gatewayKey, serviceTokens }, watch, onError, onNotice)
  let restarts = 0
  let earlier: TaskFigures | undefined
  let thread = start(options)
  const { url, demoToken, things } = await thread.listening
  const portOf = (address: string) => Number(new URL(address).port)
  // A thread that is started again listens at the same URLs.
  const ports = {
    port: portOf(url),
    things: options.things && things ? { ...options.things, port: portOf(things.url) } : undefined,
  }
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
      restarts += 1
      earlier = addFigures(earlier, thread.tasks())
      thread = start(ports)
      thread.listening.catch((error: unknown) => {
        if (error instanceof BackendStartError) onError(error.message)
      })
    }
  }

  const over = keepRunning()
  return {
    url,
    demoToken,
    things,
    gatewayKey,
    serviceToken,
    get port() {
      return thread.port()
    },
    get restarts() {
      return restarts
    },
    get tasks() {
      return addFigures(earlier, thread.tasks()) ?? null
    },
    announceClosing: () => thread.announceClosing(),
    async close() {
      closing.abort()
      thread.close()
      const deadline = setTimeout(thread.terminate, watch.closeMs)
      await over
      clearTimeout(deadline)
    },
  }
}

/** What tasks did in an earlier thread, and how they run in the present one. */
function addFigures(earlier: TaskFigures | undefined, now: TaskFigures | undefined): TaskFigures | undefined {
  if (earlier === undefined) return now
  return {
    running: now?.running ?? 0,
    failing: now?.failing ?? 0,
    received: earlier.received + (now?.received ?? 0),
    sent: earlier.sent + (now?.sent ?? 0),
    refused: earlier.refused + (now?.refused ?? 0),
  }
}

interface Thread {
  /** Rejects when the thread ends before it is ready. */
  readonly listening: Promise<Extract<WorkerReport, { type: 'listening' }>>
  readonly ended: Promise<void>
  /** Undefined unless it listens. */
  port(): MessagePort | undefined
  /** As of its last heartbeat. */
  tasks(): TaskFigures | undefined
  announceClosing(): void
  /** Asks the thread to finish its requests, and to end. */
  close(): void
  /** Ends the thread at once. Everything that it acknowledged is on the disk. */
  terminate(): void
}

function startThread(
  options: EmbeddedBackendOptions & Pick<BackendOptions, 'gatewayKey' | 'serviceTokens'>,
  { program, checkMs, maxMissed }: Supervision,
  onError: (message: string) => void,
  onNotice: (message: string) => void,
): Thread {
  const own = packageFile(runsFromSource() ? 'src/backend/worker.ts' : 'dist/backend/worker.js')
  const { port1, port2: gatewayPort } = new MessageChannel()
  const worker = new Worker(program ?? own, {
    workerData: { ...options, gatewayPort },
    transferList: [gatewayPort],
  })
  const terminate = () => void worker.terminate()
  let isListening = false
  let missed = 0
  let tasks: TaskFigures | undefined
  let checking: NodeJS.Timeout | undefined
  const check = () => {
    missed += 1
    if (missed < maxMissed) return
    clearInterval(checking)
    onError(
      `The embedded backend has not responded for ${(maxMissed * checkMs) / 1000} s; its thread is ended`,
    )
    terminate()
  }
  const listening = Promise.withResolvers<Extract<WorkerReport, { type: 'listening' }>>()
  worker.on('message', (report: WorkerReport) => {
    missed = 0
    if (report.type === 'heartbeat') tasks = report.tasks
    // A start may take longer, because it runs migrations.
    if (report.type === 'listening') checking = setInterval(check, checkMs).unref()
    if (report.type === 'listening') {
      isListening = true
      listening.resolve(report)
    } else if (report.type === 'error') onError(report.message)
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
        clearInterval(checking)
        isListening = false
        port1.close()
        listening.reject(new Error('The embedded backend stopped'))
        resolve()
      })
    }),
    port: () => (isListening ? port1 : undefined),
    tasks: () => tasks,
    announceClosing: () => worker.postMessage('announceClosing'),
    close: () => worker.postMessage('close'),
    terminate,
  }
}
