import { setImmediate } from 'node:timers/promises'
import { GatewayError } from '../errors.ts'
import type { Audience, Audiences, Topic } from '../events/audience.ts'
import type { Channel, EventReader, Membership } from '../events/channel.ts'
import type { Reader } from '../events/reader.ts'
import type { StreamHub } from '../events/stream-hub.ts'
import { channelOf, isForEverybody, isLoss, makeGap, offsetOf } from '../upstream/flowdock/live-events.ts'
import type { FlowEvent, StreamState } from '../upstream/flowdock/model.ts'
import type { ReadRequest } from './live-hub.ts'
import type { ReplayPermits } from './replay-permits.ts'

/** The options that all readers of a hub share. */
export interface StreamReaderOptions {
  readonly hub: StreamHub<FlowEvent>
  readonly channel: Channel<FlowEvent>
  readonly permits: ReplayPermits
  /** Resolves when the stream is live or lost; undefined when it is so already. */
  readonly settled: () => Promise<void> | undefined
  /** The present state, which is delivered before all events: the state of the stream, and the present users. */
  readonly standing: (reader: Reader) => readonly FlowEvent[]
  /** Reads the events after a number up to `until` from the upstream, with the credential of the request. */
  readonly openReplay: (
    request: ReadRequest,
    after: number,
    until: number,
  ) => AsyncIterableIterator<FlowEvent>
}

/** The most entries of the log that are examined in one turn of the event loop. */
const entriesPerTurn = 2000

/**
 * Delivers missed events to one subscription until it is live. `StreamHub` decides which events it may receive, and which is
 * next. The next event is delivered when the subscription has taken the one before.
 */
export class StreamReader {
  /** The same object as the `topic` of its `Reader`. */
  readonly topic: Topic
  /** Resolves when the reader has ended, with whether this hub served it: false when another hub takes it over. */
  readonly over: Promise<boolean>
  readonly #options: StreamReaderOptions
  readonly #request: ReadRequest
  readonly #subscriber: EventReader<FlowEvent>
  #settle: ((isServed: boolean) => void) | undefined
  #isOver = false
  #isRunning = false
  #hasStanding = false
  #gap: FlowEvent | undefined
  /** The last delivered state of the stream. */
  #lastState: StreamState | undefined
  #membership: Membership | undefined
  #replay: AsyncIterableIterator<FlowEvent> | undefined

  constructor(options: StreamReaderOptions, request: ReadRequest, subscriber: EventReader<FlowEvent>) {
    this.#options = options
    this.#request = request
    this.#subscriber = subscriber
    this.topic = { flows: request.flowIds, isPrivate: request.isPrivate }
    this.over = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Delivers a gap next. @param after the position after which events are lost; undefined if the reader had none */
  tellGap(after: number | undefined): void {
    this.#gap = makeGap(after === undefined ? undefined : String(after), 'forgotten')
  }

  /** Continues to read, after this call has returned. */
  wake(reader: Reader): void {
    if (this.#isRunning || this.#isOver) return
    this.#isRunning = true
    queueMicrotask(() => void this.#run(reader))
  }

  join(seq: number, audiences: ReadonlySet<Audience>): void {
    this.#membership = this.#subscriber.live(this.#options.channel, seq, audiences)
  }

  move(audiences: ReadonlySet<Audience>): void {
    this.#membership?.move(audiences)
  }

  /** @returns the position of the last entry that it received */
  part(): number {
    const seq = this.#membership?.leave() ?? 0
    this.#membership = undefined
    return seq
  }

  /** Ends the subscription with an error. */
  end(error: unknown): void {
    if (this.#isOver) return
    this.leave()
    this.#subscriber.end(error)
  }

  /** Ends the reader without an error. @param isServed false when another hub takes it over */
  leave(isServed = true): void {
    this.#isOver = true
    void this.#replay?.return?.()
    this.#settle?.(isServed)
  }

  async #run(reader: Reader): Promise<void> {
    const { hub } = this.#options
    try {
      while (!this.#isOver) {
        const isReading = reader.state === 'draining' || reader.state === 'replaying'
        if (!isReading) break
        if (!this.#hasStanding) await this.#tellStanding(reader)
        else if (this.#gap !== undefined) await this.#tellGapOnce(this.#gap)
        else if (reader.state === 'replaying') await this.#replayMissed(reader)
        else {
          const entry = hub.next(reader, entriesPerTurn)
          if (entry !== undefined) await this.#deliver(entry.event)
          else if ((reader as Reader).state === 'draining') await setImmediate()
        }
      }
    } catch (error) {
      hub.leave(reader, Date.now())
      this.end(error)
    } finally {
      this.#isRunning = false
    }
  }

  async #tellStanding(reader: Reader): Promise<void> {
    this.#hasStanding = true
    await this.#options.settled()
    // A client that reconnects resumes after this cursor.
    const cursor = this.#request.after ?? String(reader.position)
    for (const event of this.#options.standing(reader)) await this.#deliver({ ...event, cursor })
  }

  async #tellGapOnce(gap: FlowEvent): Promise<void> {
    this.#gap = undefined
    await this.#deliver(gap)
  }

  async #deliver(event: FlowEvent): Promise<void> {
    if (event.type === 'status') {
      // The state that was delivered at the beginning may also arrive as an event.
      if (event.state === this.#lastState) return
      this.#lastState = event.state
    }
    if (!this.#isOver && this.#request.wants(event))
      await this.#subscriber.event(event, this.#options.channel)
  }

  async #replayMissed(reader: Reader): Promise<void> {
    const release = await this.#options.permits.acquire()
    try {
      if (reader.state === 'replaying' && !this.#isOver) await this.#readReplay(reader)
    } catch (error) {
      // The reader is too slow for the replay. The next replay begins after the last event that it received.
      if (!(error instanceof GatewayError && error.code === 'SLOW_CONSUMER')) throw error
    } finally {
      release()
    }
  }

  async #readReplay(reader: Reader): Promise<void> {
    const { hub, openReplay } = this.#options
    const until = hub.log.begin
    const events = openReplay(this.#request, reader.position ?? until, until)
    this.#replay = events
    try {
      for await (const event of events) {
        if (reader.state !== 'replaying' || this.#isOver) return
        if (isLoss(event)) return hub.replayGone(reader)
        const number = Number(offsetOf(event) ?? Number.NaN)
        if (Number.isNaN(number)) continue
        if (hub.mayHear(reader, this.#audiencesOf(event))) await this.#deliver(event)
        hub.replayed(reader, number)
      }
      hub.replayed(reader, until)
    } finally {
      this.#replay = undefined
      await events.return?.()
    }
  }

  #audiencesOf(event: FlowEvent): Audiences {
    if (isForEverybody(event)) return 'all'
    const flowId = channelOf(event)
    if (flowId !== undefined) return [`f:${flowId}`]
    const user = this.#options.hub.accessOf(this.#request.listener.credential.principal)?.user
    return user === undefined ? [] : [`u:${user}`]
  }
}
