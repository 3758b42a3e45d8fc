/** What functions of tracks may read. [flowthings] flow.js */
export const scriptReads = [
  ...(['Drop.find', 'Drop.findFHash', 'Drop.get', 'Drop.aggregate'] as const),
  ...(['Flow.find', 'Flow.get', 'Track.find', 'Track.get'] as const),
] as const
export type ScriptRead = (typeof scriptReads)[number]

/** What the thread gets with its start. */
export interface ScriptThreadData {
  /** Set to 1 when the response to a read was posted. */
  readonly signal: SharedArrayBuffer
}

/** A message to the thread. */
export interface ScriptJob {
  readonly type: 'run'
  /** What the script keeps between its runs is kept under this name; undefined keeps nothing. */
  readonly key: string | undefined
  readonly text: string
  /** The drop, as JSON. */
  readonly drop: string
  /** How much processor time it may take. */
  readonly limitMs: number
}

/** The response to a read, as JSON, or why it is refused. */
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
  /** What the function returned, as JSON; undefined after an error. */
  readonly returned?: string
  readonly error?: ScriptFailure
  /** What it logged. */
  readonly log: readonly string[]
}

export interface ScriptFailure {
  readonly message: string
  readonly details?: string
}
