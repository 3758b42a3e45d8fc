import type { ServerResponse } from 'node:http'
import type { WireServiceFrames } from '../../wire/service.ts'
import { fitEvent } from '../bounds.ts'
import type { EventLog } from '../event-log.ts'
import { waitForDrain } from '../http/drain.ts'
import { type EventRow, isControlEvent, type LogPosition } from '../store/events.ts'
import { withBase } from './encode.ts'
import type { Presence, Signal } from './presence.ts'

export interface ServiceStreamOptions {
  readonly log: Pick<EventLog, 'listen'>
  /** Reads the events after a number, ascending, without the text of messages that were deleted since. */
  readonly readPage: (after: number, limit: number) => Promise<EventRow[]>
  readonly position: Pick<LogPosition, 'id' | 'first'>
  /** The number after which the stream begins. */
  readonly after: number
  readonly base: string
  readonly presence: Pick<Presence, 'listen' | 'list'>
  /** The ids of the flows that each of some users has joined. */
  readonly listFlowIds: (userIds: readonly number[]) => Promise<ReadonlyMap<number, readonly string[]>>
  /** The interval of the frames that say that a stream has caught up; 5 s by default. */
  readonly headEveryMs?: number
  /** The most bytes that may wait for the reader; 64 MiB by default. */
  readonly maxUnsentBytes?: number
  readonly signal: AbortSignal
}

const headEveryMs = 5000
/** A reader who is this far behind is disconnected, and resumes with the last id. */
const maxUnsentBytes = 64 * 1024 * 1024
const pageSize = 500
/** Events that wait while a page is read; more of them are read from the log again. */
const maxWaiting = 1000

/**
 * Writes the whole log to `response`, as `src/wire/service.ts` describes: first what is stored, then what happens. Listening
 * begins before the first page is read, and each event has the number after the one before it, so none is left out.
 */
export async function streamLog(response: ServerResponse, options: ServiceStreamOptions): Promise<void> {
  if (response.closed) return
  const { position, after, base, presence } = options
  const most = options.maxUnsentBytes ?? maxUnsentBytes
  let sent = after
  /** Whether the stream is live. */
  let isLive = false
  let areSignalsSent = false
  const waiting: EventRow[] = []
  let overflowed = false

  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
    'Flowdock-Service': '1',
    'Flowdock-Log-Id': position.id,
    'Flowdock-Event-Id': String(after),
    'Flowdock-First-Event': String(position.first),
  })
  if (response.req.method === 'HEAD') {
    response.end()
    return
  }
  response.flushHeaders()

  const write = (frame: string) => {
    if (response.destroyed || response.writableEnded) return
    response.write(frame)
    if (response.writableLength > most) response.destroy()
  }
  const send = (event: EventRow) => {
    if (event.seq <= sent) return
    // Events between were dropped from the log: the reader is told so when it comes back.
    if (event.seq !== sent + 1) return void response.destroy()
    sent = event.seq
    write(isControlEvent(event) ? encodeControlFrame(event) : encodeEventFrame(event, base))
  }
  const sendSignal = (signal: Signal) => {
    if (areSignalsSent) write(encodeSignalFrame(signal))
  }
  const sendHead = () => write(encodeFrame('h', JSON.stringify({ head: sent })))

  const stopListening = options.log.listen((event) => {
    if (isLive) send(event)
    else if (waiting.length < maxWaiting) waiting.push(event)
    else overflowed = true
  })
  const stopSignals = presence.listen(sendSignal)
  let heads: NodeJS.Timeout | undefined
  const end = () => void response.end()
  options.signal.addEventListener('abort', end)
  if (options.signal.aborted) end()
  response.on('close', () => {
    stopListening()
    stopSignals()
    clearInterval(heads)
    options.signal.removeEventListener('abort', end)
  })

  while (!isLive && !response.closed && !response.writableEnded) {
    const page = await options.readPage(sent, pageSize)
    for (const event of page) send(event)
    if (response.writableNeedDrain) await waitForDrain(response)
    if (page.length === pageSize) continue
    isLive = !overflowed
    overflowed = false
    for (const event of waiting.splice(0)) send(event)
  }
  areSignalsSent = true
  const flowIds = await options.listFlowIds(presence.list().map(({ userId }) => userId))
  // A user who came online meanwhile has a signal of their own.
  for (const { userId, payload } of presence.list()) {
    const flows = flowIds.get(userId)
    if (flows !== undefined) sendSignal({ flowIds: flows, isPresence: true, payload })
  }
  if (response.closed) return
  sendHead()
  heads = setInterval(sendHead, options.headEveryMs ?? headEveryMs)
}

function encodeEventFrame(event: EventRow, base: string): string {
  // A blank payload belongs to a deleted message. Events of earlier versions may exceed the bounds.
  const payload = event.payload === '' ? 'null' : withBase(fitEvent(event.payload), base)
  return encodeFrame('e', `{"a":${audienceOf(event)},"t":${event.created_at},"p":${payload}}`, event.seq)
}

function encodeControlFrame(event: EventRow): string {
  return encodeFrame('c', `{"a":${audienceOf(event)},${event.payload.slice(1)}`, event.seq)
}

function encodeSignalFrame({ flowIds, userId, isPresence, payload }: Signal): string {
  const frame: WireServiceFrames['s'] = {
    f: flowIds,
    ...(userId === undefined ? {} : { u: userId }),
    ...(isPresence ? { presence: true } : {}),
    p: payload,
  }
  return encodeFrame('s', JSON.stringify(frame))
}

function audienceOf({ flow_id, user_id }: EventRow): string {
  return JSON.stringify(flow_id === null ? `u:${user_id}` : `f:${flow_id}`)
}

function encodeFrame(name: keyof WireServiceFrames, json: string, id?: number): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${json}\n\n`
}
