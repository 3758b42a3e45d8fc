import type { ServerResponse } from 'node:http'
import { fitEvent } from '../bounds.ts'
import type { EventLog } from '../event-log.ts'
import { type EventRow, type EventScope, isControlEvent } from '../store/events.ts'
import { withBase } from './encode.ts'
import type { CredentialUser } from './open-credentials.ts'
import type { Activity, Presence, Signal } from './presence.ts'

export interface StreamOptions {
  /** Its replay may leave payloads blank: such events are not sent. */
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
  /** An extension: end with this event, instead of going on with what happens. */
  readonly until: number | undefined
  readonly keepAliveMs: number
  readonly presence: Presence
  /** The ids of everybody who is in one of the flows. */
  readonly listMembers: (flowIds: readonly string[]) => Promise<number[]>
  /** What the stream says of its user; they appear offline without. */
  readonly activity: Activity | undefined
  /** Whether the presence of others is told. */
  readonly wantsPresence: boolean
  /**
   * Says what becomes of the credential, until the returned function is called. The stream ends when it is lost, or is not
   * confirmed for ten seconds.
   */
  readonly watchCredential: (user: Omit<CredentialUser, 'signedInBy'>) => () => void
  /** How long the stream goes on while the credential is not confirmed; ten seconds unless given. */
  readonly confirmWithinMs?: number
  readonly signal: AbortSignal
}

/** A stream whose credential nobody could confirm for this long ends. Its client connects again, and is checked then. */
const confirmWithinMs = 10_000
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
  // Whoever left while their flows were looked up is not told of again.
  if (response.closed) return
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
    // An extension: what is told live has higher numbers.
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
    // The log holds events from before there were bounds, too.
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
  /** Nothing is written any more, also while the reader has not taken yet what was. */
  const end = () => {
    stop()
    if (!response.writableEnded) response.end()
  }
  /** What is kept nowhere has no id: a stream resumes after the last event that has one. */
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

  async function tellWhoIsHere(): Promise<void> {
    const members = new Set(await options.listMembers([...flowIds]))
    for (const { userId: other, payload } of options.presence.list())
      if (members.has(other)) sendSignal({ flowIds: [...flowIds], isPresence: true, payload })
  }

  // Whose flows they are may change under way, and a user's own events show it: they are read whether told or not.
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
    // What follows in the flow that was joined is not in this page.
    if (joinedAt !== undefined) continue
    if (options.until !== undefined && (page.length < replayPage || read >= options.until)) {
      // The name tells it from a connection that was cut.
      response.end(format === 'sse' ? 'event: finished\ndata: {}\n\n' : '')
      return
    }
    // What the reader has not taken yet is not followed by more of the log.
    if (response.writableNeedDrain) await drained(response)
    if (page.length === replayPage) continue
    live = !overflowed
    overflowed = false
    for (const event of waiting.splice(0)) send(event)
    if (live && options.wantsPresence) await tellWhoIsHere()
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
