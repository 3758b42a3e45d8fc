import { Worker } from 'node:worker_threads'
import { packageFile, runsFromSource } from '../../../package-files.ts'
import { createFairQueue } from './fair-queue.ts'
import type {
  ScriptJob,
  ScriptOutcome,
  ScriptRead,
  ScriptReadResponse,
  ScriptReport,
  ScriptThreadData,
} from './script-messages.ts'

/** A function of a track, and the drop to call it with. */
export interface Script {
  /** The owner. The functions of different owners run in turn. */
  readonly owner: string
  /** Runs with the same key share a heap. Undefined for a function that runs once. */
  readonly key: string | undefined
  readonly text: string
  readonly drop: unknown
}

/**
 * Executes a read of a function with the rights of its owner.
 *
 * @returns the result, or a problem that is thrown in the function
 */
export type ScriptReader = (
  read: ScriptRead,
  args: readonly unknown[],
) => Promise<{ readonly value: unknown } | { readonly problem: string }>

/**
 * Runs the functions of tracks in a separate thread, one at a time, each with its own heap. A function may take `scriptLimitMs`
 * of CPU time. If it does not stop then, the thread is terminated.
 */
export interface ScriptRunner {
  /** @throws ScriptsBusyError when the queue is full */
  run(script: Script, reader: ScriptReader): Promise<ScriptOutcome>
  /** Closes at once. Waiting and running functions fail. */
  close(): Promise<void>
}

export class ScriptsBusyError extends Error {
  override readonly name = 'ScriptsBusyError'
}

export const scriptLimitMs = 200
/** The additional time for the thread, because the machine may be busy, and some calls of a function cannot be interrupted. */
const graceMs = 3000
const maxStartMs = 20_000
/** The longest time for one read. */
const maxReadMs = 10_000
const maxWaiting = { total: 1000, owner: 100 }
/** The heap of the thread, without the memory of the interpreter, which has its own limit. */
const maxOldGenerationSizeMb = 64

interface Task {
  readonly job: ScriptJob
  readonly reader: ScriptReader
  readonly settle: (outcome: ScriptOutcome) => void
}

export function createScriptRunner(): ScriptRunner {
  const waiting = createFairQueue<Task>(maxWaiting)
  let thread: ScriptThread | undefined
  let isClosed = false

  function next(): void {
    if (isClosed || thread?.isBusy === true) return
    const task = waiting.shift()
    if (task === undefined) return
    thread ??= startThread(() => {
      thread = undefined
      next()
    })
    void thread.run(task).then(next)
  }

  return {
    run({ owner, key, text, drop }, reader) {
      const { promise, resolve } = Promise.withResolvers<ScriptOutcome>()
      const job: ScriptJob = { type: 'run', key, text, drop: JSON.stringify(drop), limitMs: scriptLimitMs }
      if (isClosed || !waiting.push(owner, { job, reader, settle: resolve }))
        return Promise.reject(
          new ScriptsBusyError('Too many functions of tracks wait; try again in a few seconds'),
        )
      next()
      return promise
    },
    async close() {
      isClosed = true
      for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) task.settle(ended)
      await thread?.close()
    },
  }
}

const ended: ScriptOutcome = { error: { message: 'The server is closing' }, log: [] }

interface ScriptThread {
  readonly isBusy: boolean
  /** Runs a task. Always settles it. */
  run(task: Task): Promise<void>
  close(): Promise<void>
}

/** @param onEnd called when the thread has ended, so that another one can be started */
function startThread(onEnd: () => void): ScriptThread {
  const signal = new SharedArrayBuffer(4)
  const program = runsFromSource()
    ? 'src/backend/flowthings/tracks/script-worker.ts'
    : 'dist/backend/flowthings/tracks/script-worker.js'
  const worker = new Worker(packageFile(program), {
    workerData: { signal } satisfies ScriptThreadData,
    resourceLimits: { maxOldGenerationSizeMb },
    env: {},
  })
  worker.unref()
  let running: { readonly task: Task; readonly done: () => void } | undefined
  let isReady = false
  let timer: NodeJS.Timeout | undefined

  function watch(ms: number, problem: string): void {
    clearTimeout(timer)
    timer = setTimeout(() => end(problem), ms)
  }

  function finish(outcome: ScriptOutcome): void {
    clearTimeout(timer)
    const finished = running
    running = undefined
    finished?.task.settle(outcome)
    finished?.done()
  }

  let hasEnded = false
  function end(problem: string): void {
    if (hasEnded) return
    hasEnded = true
    void worker.terminate()
    finish({ error: { message: problem }, log: [] })
    onEnd()
  }

  async function answer({ read, args }: Extract<ScriptReport, { type: 'read' }>): Promise<void> {
    const task = running?.task
    if (task === undefined) return
    watch(maxReadMs, `The function waited for a read for more than ${maxReadMs} ms`)
    const response = await respond(task.reader, read, args)
    if (running?.task !== task) return
    watch(task.job.limitMs + graceMs, tookTooLong(task.job))
    worker.postMessage(response)
    Atomics.store(new Int32Array(signal), 0, 1)
    Atomics.notify(new Int32Array(signal), 0)
  }

  worker.on('message', (message: ScriptReport) => {
    if (message.type === 'read') void answer(message)
    else if (message.type === 'done') finish(message.outcome)
    else {
      isReady = true
      if (running !== undefined) watch(running.task.job.limitMs + graceMs, tookTooLong(running.task.job))
    }
  })
  worker.on('error', (error: Error) => end(`The thread of the function failed: ${error.message}`))
  worker.on('exit', () => end('The thread of the function ended'))

  return {
    get isBusy() {
      return running !== undefined
    },
    run(task) {
      return new Promise((resolve) => {
        running = { task, done: resolve }
        worker.postMessage(task.job)
        if (isReady) watch(task.job.limitMs + graceMs, tookTooLong(task.job))
        else watch(maxStartMs, 'The thread of the function did not start')
      })
    },
    async close() {
      hasEnded = true
      await worker.terminate()
      finish(ended)
    },
  }
}

function tookTooLong({ limitMs }: ScriptJob): string {
  return `The function took more than ${limitMs} ms`
}

async function respond(reader: ScriptReader, read: ScriptRead, args: string): Promise<ScriptReadResponse> {
  try {
    const answer = await reader(read, JSON.parse(args) as unknown[])
    if ('problem' in answer) return { type: 'response', problem: answer.problem }
    return { type: 'response', json: JSON.stringify(answer.value) ?? 'null' }
  } catch {
    return { type: 'response', problem: 'The read failed' }
  }
}
