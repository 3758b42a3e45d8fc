import type { ServerResponse } from 'node:http'
import type { EventLog } from '../event-log.ts'
import type { EventRow, EventScope } from '../store/events.ts'
import { storedBase } from './encode.ts'

export interface StreamOptions {
  readonly log: EventLog
  readonly scope: EventScope
  /** The user who listens; losing a flow ends its events. */
  readonly userId: number
  readonly format: 'json' | 'sse'
  /** Whether flows the user joins later are told of too. */
  readonly followsUser: boolean
  /** Send what happened after this event first. */
  readonly after: number
  /** The newest event when access to the flows was checked: only what came later can have changed it. */
  readonly checkedAt: number
  readonly base: string
  readonly keepAliveMs: number
  readonly signal: AbortSignal
}

/** A reader who is this far behind is cut off; it resumes with its last id. */
const maxUnsentBytes = 4 * 1024 * 1024
const replayPage = 100
/** Live events that wait for a replay; more of them are read from the log again. */
const maxWaiting = 1000

/**
 * Writes events to `response` until either side ends it: first what was missed, then what happens. Listening begins
 * before the first replayed page is read, so nothing falls between the two, and ids tell what was sent already.
 *
 * Framing: [flowdock] streaming.md. JSON objects end in CR LF, one per write, and a lone LF keeps the connection
 * alive; SSE comments do the same, and `retry:` is never sent because clients refuse it.
 */
export async function streamEvents(response: ServerResponse, options: StreamOptions): Promise<void> {
  const { log, format, userId } = options
  const flowIds = new Set(options.scope.flowIds)
  const keepAlive = format === 'sse' ? ':\n' : '\n'
  let sent = options.after
  /** Live events wait here while the replay runs; when they are too many to keep, they are read from the log again. */
  const waiting: EventRow[] = []
  let overflowed = false
  let live = false

  response.writeHead(200, {
    'Content-Type': format === 'sse' ? 'text/event-stream; charset=utf-8' : 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
    'Flowdock-User': String(userId),
  })
  response.write(keepAlive)

  const send = (event: EventRow) => {
    if (event.seq <= sent) return
    const mine = event.user_id === userId && options.scope.userId === userId
    const inFlow = event.flow_id !== null && flowIds.has(event.flow_id)
    if (event.seq > options.checkedAt) {
      if (event.flow_id !== null && endsAccess(event, userId)) flowIds.delete(event.flow_id)
      if (options.followsUser && event.user_id === userId) follow(event, flowIds)
    }
    if (!mine && !inFlow) return
    sent = event.seq
    const json = event.payload.replaceAll(storedBase, options.base)
    response.write(format === 'sse' ? `id: ${event.seq}\ndata: ${json}\n\n` : `${json}\r\n`)
  }
  const stopListening = log.listen((event) => {
    if (live) {
      send(event)
      if (response.writableLength > maxUnsentBytes) response.destroy()
    } else if (waiting.length < maxWaiting) waiting.push(event)
    else overflowed = true
  })
  const timer = setInterval(() => response.write(keepAlive), options.keepAliveMs)
  const end = () => response.end()
  options.signal.addEventListener('abort', end)
  response.on('close', () => {
    stopListening()
    clearInterval(timer)
    options.signal.removeEventListener('abort', end)
  })

  // Whose flows they are may change under way, and a user's own events show it: they are read whether told or not.
  let read = options.after
  while (!live && !response.closed) {
    const page = await log.replay({ flowIds: [...flowIds], userId }, read, replayPage)
    for (const event of page) send(event)
    read = page.at(-1)?.seq ?? read
    // What the reader has not taken yet is not followed by more of the log.
    if (response.writableNeedDrain) await drained(response)
    if (page.length === replayPage) continue
    live = !overflowed
    overflowed = false
    for (const event of waiting.splice(0)) send(event)
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}

/** Takes in a flow its user was added to, and leaves one they were taken out of. */
function follow(event: EventRow, flowIds: Set<string>): void {
  if (!/"event":"flow-(add|remove)"/.test(event.payload)) return
  const { event: name, content } = JSON.parse(event.payload) as { event: string; content: { id: string } }
  if (name === 'flow-add') flowIds.add(content.id)
  else flowIds.delete(content.id)
}

/** Whether an event says that the listener lost the flow it tells of. */
function endsAccess(event: EventRow, userId: number): boolean {
  if (!event.payload.includes('"backend.user.block"')) return false
  const { event: name, content } = JSON.parse(event.payload) as { event: string; content: unknown }
  return name === 'backend.user.block' && content === String(userId)
}
