import variant from '@jitl/quickjs-singlefile-mjs-release-sync'
import {
  type DisposableResult,
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core'
import type { ScriptFailure, ScriptOutcome, ScriptRead } from './script-messages.ts'
import { prelude } from './script-prelude.ts'

/** What a script takes of the process at most. */
const memoryLimitBytes = 16 * 1024 * 1024
const maxStackSizeBytes = 256 * 1024
const maxReturnedCharacters = 1024 * 1024
const maxReads = 20
const log = { lines: 100, characters: 1000 }

/** Answers a read of a script with JSON. @throws Error whose message the script gets */
export type ReadNow = (read: ScriptRead, args: string) => string

/** Runs functions in QuickJS, which is compiled to WebAssembly: they share no object with this program. */
export interface Interpreter {
  /** A heap for one script, which keeps what the script changes in it. */
  open(): ScriptHeap
}

export interface ScriptHeap {
  /**
   * @param text of a function
   * @param drop as JSON
   * @param limitMs how much processor time it may take
   */
  run(text: string, drop: string, limitMs: number): ScriptOutcome
  close(): void
}

export interface InterpreterOptions {
  readonly read: ReadNow
  /** The text of lodash, which functions know as `_`. */
  readonly lodash: string
}

export async function createInterpreter(options: InterpreterOptions): Promise<Interpreter> {
  const quickjs = await newQuickJSWASMModuleFromVariant(variant)
  return { open: () => openHeap(quickjs, options) }
}

/** What one run has used. */
interface Run {
  /** The processor time of the thread at which it ends. */
  readonly deadline: number
  reads: number
  readonly log: string[]
}

const unlimited: Run = { deadline: Number.POSITIVE_INFINITY, reads: 0, log: [] }

/** Processor time: how busy the machine is does not shorten what a script may do. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function openHeap(quickjs: QuickJSWASMModule, { read, lodash }: InterpreterOptions): ScriptHeap {
  const runtime: QuickJSRuntime = quickjs.newRuntime({ memoryLimitBytes, maxStackSizeBytes })
  const context: QuickJSContext = runtime.newContext()
  let run = unlimited
  let hasLodash = false
  runtime.setInterruptHandler(() => cpuMs() > run.deadline)

  const readFunction = context.newFunction('read', (name, args) => {
    run.reads += 1
    if (run.reads > maxReads) throw new Error(`A function may read ${maxReads} times`)
    return context.newString(read(context.getString(name) as ScriptRead, context.getString(args)))
  })
  const writeFunction = context.newFunction('write', (text) => {
    if (run.log.length < log.lines) run.log.push(context.getString(text).slice(0, log.characters))
  })
  const start = context.unwrapResult(context.evalCode(prelude, 'prelude.js'))
  const call = context.unwrapResult(
    context.callFunction(start, context.undefined, readFunction, writeFunction),
  )
  for (const handle of [start, readFunction, writeFunction]) handle.dispose()

  /** @throws ScriptFailureError with what the script threw */
  function unwrap(result: DisposableResult<QuickJSHandle, QuickJSHandle>): QuickJSHandle {
    if (result.error === undefined) return result.value
    const failure = describe(context, result.error)
    result.error.dispose()
    throw new ScriptFailureError(failure)
  }

  /** It takes longer than most functions, so only those that name it have it. */
  function loadLodash(text: string): void {
    if (hasLodash || !/\b_\b/.test(text)) return
    unwrap(context.evalCode(lodash, 'lodash.js')).dispose()
    hasLodash = true
  }

  function evaluate(text: string, drop: string): string {
    const script = unwrap(context.evalCode(`(${text}\n)`, 'track.js', { strict: true }))
    const argument = context.newString(drop)
    try {
      return unwrap(context.callFunction(call, context.undefined, script, argument)).consume((returned) =>
        context.getString(returned),
      )
    } finally {
      script.dispose()
      argument.dispose()
    }
  }

  return {
    run(text, drop, limitMs) {
      try {
        loadLodash(text)
        run = { deadline: cpuMs() + limitMs, reads: 0, log: [] }
        const returned = evaluate(text, drop)
        if (returned.length <= maxReturnedCharacters) return { returned, log: run.log }
        const message = `The function returned more than ${maxReturnedCharacters} characters of JSON`
        return { error: { message }, log: run.log }
      } catch (error) {
        if (!(error instanceof ScriptFailureError)) throw error
        return { error: { ...error.failure, message: explain(error.failure.message, limitMs) }, log: run.log }
      } finally {
        run = unlimited
      }
    },
    close() {
      call.dispose()
      context.dispose()
      runtime.dispose()
    },
  }
}

/** What a script threw. */
class ScriptFailureError extends Error {
  override readonly name = 'ScriptFailureError'
  readonly failure: ScriptFailure

  constructor(failure: ScriptFailure) {
    super(failure.message)
    this.failure = failure
  }
}

const maxMessageCharacters = 1000

function describe(context: QuickJSContext, thrown: QuickJSHandle): ScriptFailure {
  if (context.typeof(thrown) !== 'object') return { message: textOf(context, thrown) }
  const [name, message, details] = ['name', 'message', 'details'].map((member) => {
    const result = context.getProp(thrown, member)
    return result.consume((value) =>
      context.typeof(value) === 'undefined' ? undefined : textOf(context, value),
    )
  })
  const isNamed = name !== undefined && name !== 'Error' && name !== 'InternalError' && name !== 'Flow.Error'
  const text = `${isNamed ? `${name}: ` : ''}${message || 'The function threw an object without a message'}`
  return { message: text, ...(details === undefined ? {} : { details }) }
}

function textOf(context: QuickJSContext, value: QuickJSHandle): string {
  const text: unknown = context.dump(value)
  return (typeof text === 'string' ? text : (JSON.stringify(text) ?? String(text))).slice(
    0,
    maxMessageCharacters,
  )
}

/** The words of the interpreter for its limits, in ours. */
function explain(message: string, limitMs: number): string {
  if (message === 'interrupted') return `The function took more than ${limitMs} ms`
  return message === 'out of memory'
    ? `The function took more than ${memoryLimitBytes} bytes of memory`
    : message
}
