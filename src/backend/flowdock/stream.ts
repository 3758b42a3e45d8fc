import type { ServerResponse } from 'node:http'
import { fitEvent } from '../bounds.ts'
import type { EventLog } from '../event-log.ts'
import { waitForDrain } from '../http/drain.ts'
import { type EventRow, type EventScope, isControlEvent } from '../store/events.ts'
import { withBase } from './encode.ts'
import type { CredentialUser } from './open-credentials.ts'
import type { Activity, Presence, Signal } from './presence.ts'

export interface StreamOptions {
  /** Its replay may leave payloads blank: such events are not sent. */
  readonly log: EventLog
  readonly scope: EventScope
  /** The user of the stream. It delivers no more events of a flow that the user loses. */
  readonly userId: number
  readonly format: 'json' | 'sse'
  /** Whether to deliver events of flows that the user joins later. */
  readonly followsUser: boolean
  /** The stream begins after this event. */
  readonly after: number
  /** The number of the newest event when the access to the flows was checked. Only later events can change the access. */
  readonly checkedAt: number
  readonly base: string
  /** An extension: the stream ends with this event instead of going live. */
  readonly until: number | undefined
  readonly keepAliveMs: number
  readonly presence: Presence
  /** The ids of all members of the flows. */
  readonly listMembers: (flowIds: readonly string[]) => Promise<number[]>
  /** The presence that the stream gives its user; without it the user appears offline. */
  readonly activity: Activity | undefined
  /** Whether to deliver the presence of other users. */
  readonly wantsPresence: boolean
  /**
   * Reports whether the credential is still valid, until the returned function is called. The stream ends when the credential is
   * lost, or is not confirmed for ten seconds.
   */
  readonly watchCredential: (user: Omit<CredentialUser, 'signedInBy'>) => () => void
  /** How long the stream stays open while the credential is not confirmed; ten seconds by default. */
  readonly confirmWithinMs?: number
  readonly signal: AbortSignal
}

/** A stream ends when its credential was not confirmed for this long. Its client reconnects, and is checked then. */
const confirmWithinMs = 10_000
/** A reader that is this many bytes behind is disconnected, and resumes after its last id. */
const maxUnsentBytes = 4 * 1024 * 1024
const replayPage = 100
/** Live events that wait for a replay; more of them are read from the log again. */
const maxWaiting = 1000

/**
 * Writes events to `response` until either side ends it: first the missed ones, then live ones. Live events are received before
 * the first page of the replay is read, so none is lost between the two; ids show which ones were sent already.
 *
 * Framing: [flowdock] streaming.md. JSON objects end in CR LF, one per write, and a lone LF keeps the connection alive; SSE
 * comments do the same, and `retry:` is never sent because clients refuse it.
 */
export async function streamEvents(response: ServerResponse, options: StreamOptions): Promise<void> {
  // A client that left while its flows were looked up does not become present again.
  if (response.closed) return
  const { log, format, userId } = options
  const flowIds = new Set(options.scope.flowIds)
  const keepAlive = format === 'sse' ? ':\n' : '\n'
  let sent = options.after
  /** Live events that wait for the end of the replay. If there are too many, they are read from the log again. */
  const waiting: EventRow[] = []
  let overflowed = false
  let live = false

  response.writeHead(200, {
    'Content-Type': format === 'sse' ? 'text/event-stream; charset=utf-8' : 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
    'Flowdock-User': String(userId),
    // An extension: live events have higher numbers.
    'Flowdock-Event-Id': String(options.checkedAt),
  })
  if (response.req.method === 'HEAD') {
    response.end()
    return
  }
  response.write(keepAlive)

  const send = (event: EventRow) => {
    if (isControlEvent(event) || event.seq <= sent || response.writableEnded) return
    const mine = event.user_id === userId && options.scope.userId === userId
    const inFlow = event.flow_id !== null && flowIds.has(event.flow_id)
    if (event.seq > options.checkedAt) {
      if (event.flow_id !== null && endsAccess(event, userId)) flowIds.delete(event.flow_id)
      if (options.followsUser && event.user_id === userId) follow(event, flowIds)
    }
    if ((!mine && !inFlow) || event.payload === '') return
    sent = event.seq
    // Events of earlier versions may exceed the bounds.
    const json = withBase(fitEvent(event.payload), options.base)
    response.write(format === 'sse' ? `id: ${event.seq}\ndata: ${json}\n\n` : `${json}\r\n`)
  }
  const endIfTooSlow = () => {
    if (response.writableLength > maxUnsentBytes) response.destroy()
  }
  const stopListening = log.listen((event) => {
    if (live) {
      send(event)
      endIfTooSlow()
    } else if (waiting.length < maxWaiting) waiting.push(event)
    else overflowed = true
  })
  /** Stops writing, also while written data still waits for the reader. */
  const end = () => {
    stop()
    if (!response.writableEnded) response.end()
  }
  /** Events that are not stored have no id. A stream resumes after the last event with an id. */
  const sendSignal = ({ flowIds: about, userId: to, isPresence, payload }: Signal) => {
    if (!live || response.writableEnded || (isPresence && !options.wantsPresence)) return
    if (!about.some((id) => flowIds.has(id)) && (to === undefined || to !== options.scope.userId)) return
    const json = JSON.stringify(payload)
    response.write(format === 'sse' ? `data: ${json}\n\n` : `${json}\r\n`)
    endIfTooSlow()
  }
  const stopSignals = options.presence.listen(sendSignal)
  const leave = options.activity && options.presence.enter(userId, options.activity)
  const keeping = setInterval(() => response.write(keepAlive), options.keepAliveMs)
  const unconfirmed = setTimeout(end, options.confirmWithinMs ?? confirmWithinMs)
  const stopWatching = options.watchCredential({
    confirmed: () => void unconfirmed.refresh(),
    async lost() {
      // The reason may be among the events, which are delivered first.
      await log.catchUp().catch(() => undefined)
      end()
    },
  })
  options.signal.addEventListener('abort', end)
  let isStopped = false
  const stop = () => {
    if (isStopped) return
    isStopped = true
    stopListening()
    stopSignals()
    leave?.()
    clearInterval(keeping)
    stopWatching()
    clearTimeout(unconfirmed)
    options.signal.removeEventListener('abort', end)
  }
  response.on('close', stop)
  if (options.signal.aborted) end()

  async function tellWhoIsHere(): Promise<void> {
    const members = new Set(await options.listMembers([...flowIds]))
    for (const { userId: other, payload } of options.presence.list())
      if (members.has(other)) sendSignal({ flowIds: [...flowIds], isPresence: true, payload })
  }

  // The flows of the user may change during the replay. Events of the user show it, so they are read even when they are not
  // delivered.
  let read = options.after
  while (!live && !response.closed && !response.writableEnded) {
    const page = await log.replay({ flowIds: [...flowIds], userId }, read, replayPage)
    let joinedAt: number | undefined
    for (const event of page) {
      const { size } = flowIds
      if (event.seq <= (options.until ?? event.seq)) send(event)
      if (flowIds.size <= size) continue
      joinedAt = event.seq
      break
    }
    read = joinedAt ?? page.at(-1)?.seq ?? read
    // This page does not have the later events of the joined flow.
    if (joinedAt !== undefined) continue
    if (options.until !== undefined && (page.length < replayPage || read >= options.until)) {
      // The event name distinguishes the end from a broken connection.
      response.end(format === 'sse' ? 'event: finished\ndata: {}\n\n' : '')
      return
    }
    // No more of the log is read while earlier data waits for the reader.
    if (response.writableNeedDrain) await waitForDrain(response)
    if (page.length === replayPage) continue
    live = !overflowed
    overflowed = false
    for (const event of waiting.splice(0)) send(event)
    if (live && options.wantsPresence) await tellWhoIsHere()
  }
}

/** Adds a flow that the user joined, and removes one that the user lost. */
function follow(event: EventRow, flowIds: Set<string>): void {
  if (!/"event":"flow-(add|remove)"/.test(event.payload)) return
  const { event: name, content } = JSON.parse(event.payload) as { event: string; content: { id: string } }
  if (name === 'flow-add') flowIds.add(content.id)
  else flowIds.delete(content.id)
}

/** Whether an event says that the user lost its flow. */
function endsAccess(event: EventRow, userId: number): boolean {
  if (!event.payload.includes('"backend.user.block"')) return false
  const { event: name, content } = JSON.parse(event.payload) as { event: string; content: unknown }
  return name === 'backend.user.block' && content === String(userId)
}
