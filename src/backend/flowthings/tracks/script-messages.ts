/** The reads that functions of tracks may call. [flowthings] flow.js */
export const scriptReads = [
  ...(['Drop.find', 'Drop.findFHash', 'Drop.get', 'Drop.aggregate'] as const),
  ...(['Flow.find', 'Flow.get', 'Track.find', 'Track.get'] as const),
] as const
export type ScriptRead = (typeof scriptReads)[number]

/** The start parameters of the thread. */
export interface ScriptThreadData {
  /** Its first value is set to 1 when the response to a read was posted. */
  readonly signal: SharedArrayBuffer
}

/** A message to the thread. */
export interface ScriptJob {
  readonly type: 'run'
  /** Runs with the same key share a heap, so that global variables are kept between runs. Undefined for a new heap. */
  readonly key: string | undefined
  readonly text: string
  /** The drop, as JSON. */
  readonly drop: string
  /** The most CPU time of the run. */
  readonly limitMs: number
}

/** The response to a read as JSON, or the reason why it failed. */
export interface ScriptReadResponse {
  readonly type: 'response'
  readonly json?: string
  readonly problem?: string
}

/** A message of the thread. */
export type ScriptReport =
  | { readonly type: 'ready' }
  | { readonly type: 'read'; readonly read: ScriptRead; readonly args: string }
  | { readonly type: 'done'; readonly outcome: ScriptOutcome }

export interface ScriptOutcome {
  /** The return value of the function as JSON; undefined after an error. */
  readonly returned?: string
  readonly error?: ScriptFailure
  /** The log output of the function. */
  readonly log: readonly string[]
}

export interface ScriptFailure {
  readonly message: string
  readonly details?: string
}
