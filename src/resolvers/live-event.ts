import type { FlowEvent, Message, Thread } from '../upstream/flowdock/model.ts'

/** A new message of a thread. */
export interface ThreadEvent {
  readonly type: 'thread'
  readonly origin: FlowEvent
  readonly flowId: string
  readonly threadId: string
  readonly occurredAt: number
  /** The thread that came with the message. Null when the event has none. */
  readonly thread: Thread | null
  readonly messageId: number
  readonly message: Message | null
}

/** An event of a subscription. */
export type LiveEvent = FlowEvent | ThreadEvent
