import { readFileSync } from 'node:fs'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { packageFile, runsFromSource } from '../../../package-files.ts'
import { createInterpreter, type ReadNow, type ScriptHeap } from './script-interpreter.ts'
import type { ScriptJob, ScriptReadResponse, ScriptReport, ScriptThreadData } from './script-messages.ts'

/* The program of the thread that runs the functions of tracks, one after the other. */

/** The most heaps that are kept, and the most runs in one heap. */
const maxHeaps = 8
const maxRuns = 1000

const port = parentPort
const signal = new Int32Array((workerData as ScriptThreadData).signal)

function report(message: ScriptReport): void {
  port?.postMessage(message)
}

/** Asks the main thread to read, and blocks until it responds. The main thread terminates this one after a timeout. */
const read: ReadNow = (name, args) => {
  Atomics.store(signal, 0, 0)
  report({ type: 'read', read: name, args })
  Atomics.wait(signal, 0, 0)
  const received = port === null ? undefined : receiveMessageOnPort(port)
  const { json, problem } = (received?.message ?? {}) as ScriptReadResponse
  if (json === undefined) throw new Error(problem ?? 'Nothing can be read now')
  return json
}

interface Kept {
  readonly heap: ScriptHeap
  runs: number
}

const lodash = readFileSync(
  packageFile(runsFromSource() ? 'node_modules/lodash/lodash.min.js' : 'dist/lodash.min.js'),
  'utf8',
)
const interpreter = await createInterpreter({ read, lodash })
/** The kept heaps. The most recently used one is last. */
const heaps = new Map<string, Kept>()

function take(key: string): Kept {
  const kept = heaps.get(key) ?? { heap: interpreter.open(), runs: 0 }
  heaps.delete(key)
  return kept
}

function keep(key: string, kept: Kept): void {
  heaps.set(key, kept)
  const [oldest] = heaps.keys()
  if (heaps.size <= maxHeaps || oldest === undefined) return
  heaps.get(oldest)?.heap.close()
  heaps.delete(oldest)
}

port?.on('message', ({ key, text, drop, limitMs }: ScriptJob) => {
  const name = key === undefined ? undefined : `${key} ${text}`
  const kept = name === undefined ? { heap: interpreter.open(), runs: 0 } : take(name)
  const outcome = kept.heap.run(text, drop, limitMs)
  kept.runs += 1
  // A failed run may have left its heap full, or in an invalid state.
  if (name === undefined || outcome.error !== undefined || kept.runs >= maxRuns) kept.heap.close()
  else keep(name, kept)
  report({ type: 'done', outcome })
})

report({ type: 'ready' })
