import type { FlowEvent, Message, Thread } from '../upstream/flowdock/model.ts'

/** What a thread is told of: each message that comes into it. */
export interface ThreadEvent {
  readonly type: 'thread'
  readonly origin: FlowEvent
  readonly flowId: string
  readonly threadId: string
  readonly occurredAt: number
  /** As it came, when it came with a message. */
  readonly thread: Thread | null
  /** What came into it. */
  readonly messageId: number
  readonly message: Message | null
}

/** Anything a subscription tells. */
export type LiveEvent = FlowEvent | ThreadEvent
