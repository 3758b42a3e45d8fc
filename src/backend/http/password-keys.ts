import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { packageFile, runsFromSource } from '../../package-files.ts'
import type { Derivation, Derived } from '../password-worker.ts'
import { HttpError } from './errors.ts'

/**
 * Derives keys from passwords, one at a time, in a thread of its own. Node's thread pool has four threads for the whole process:
 * four derivations at once would stop file writes and compression.
 */
export interface PasswordKeys {
  /**
   * @param goesFirst whether it goes before derivations that do not have this flag
   * @throws HttpError 503 while too many derivations wait
   */
  derive(password: string, salt: Uint8Array, goesFirst: boolean): Promise<Buffer>
  close(): Promise<void>
}

/** The most derivations that wait. Each takes about 50 ms, so a request waits a few seconds at most. */
const maxWaiting = 64

interface Task {
  readonly derivation: Derivation
  readonly resolve: (key: Buffer) => void
  readonly reject: (error: Error) => void
}

export function createPasswordKeys(): PasswordKeys {
  const first: Task[] = []
  const others: Task[] = []
  let thread: Worker | undefined
  let running: Task | undefined
  let count = 0

  function start(): Worker {
    const worker = new Worker(
      packageFile(runsFromSource() ? 'src/backend/password-worker.ts' : 'dist/backend/password-worker.js'),
    )
    worker.unref()
    worker.on('message', ({ key }: Derived) => {
      running?.resolve(Buffer.from(key))
      running = undefined
      next()
    })
    const end = (reason: unknown) => {
      if (thread !== worker) return
      thread = undefined
      running?.reject(new Error('The thread for passwords ended', { cause: reason }))
      running = undefined
      next()
    }
    worker.on('error', end)
    worker.on('exit', end)
    return worker
  }

  function next(): void {
    if (running !== undefined) return
    running = first.shift() ?? others.shift()
    if (running === undefined) return
    thread ??= start()
    thread.postMessage(running.derivation)
  }

  return {
    derive(password, salt, goesFirst) {
      if (first.length + others.length >= maxWaiting)
        throw new HttpError(
          503,
          { message: 'Too many passwords are being checked; try again in a few seconds' },
          { 'Retry-After': '3' },
        )
      count += 1
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
      const queue = goesFirst ? first : others
      queue.push({ derivation: { id: count, password, salt }, resolve, reject })
      next()
      return promise
    },
    async close() {
      const closing = thread
      thread = undefined
      const waiting = [running, ...first.splice(0), ...others.splice(0)]
      running = undefined
      for (const task of waiting) task?.reject(new Error('The backend is shutting down'))
      if (closing === undefined) return
      const ended = once(closing, 'exit')
      await closing.terminate()
      await ended.catch(() => undefined)
    },
  }
}
