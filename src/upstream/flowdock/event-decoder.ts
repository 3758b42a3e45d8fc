import { LRUCache } from 'lru-cache'
import { decodeEvent } from './decode.ts'
import type { FlowEvent } from './model.ts'

export interface EventDecoder {
  /**
   * Decodes an event. Streams of several principals deliver the same events: while the text of an event equals that of an earlier
   * one with the same id, the result is the same object. Only events of flows are shared, because the meaning of a private event
   * depends on the user of the stream.
   *
   * @param cursor the id of the event; empty for an event that is not stored, which is not shared
   * @param viewerId the user of the stream
   * @throws when the text is not an event
   */
  decode(text: string, cursor: string, viewerId: number | null): FlowEvent
  /** How many events were decoded. */
  readonly decoded: number
}

interface Decoded {
  readonly text: string
  readonly event: FlowEvent
}

const defaultMaxBytes = 16 * 1024 * 1024

/** @param maxBytes the most bytes of text that are remembered */
export function createEventDecoder(maxBytes = defaultMaxBytes): EventDecoder {
  const known = new LRUCache<string, Decoded>({
    maxSize: maxBytes,
    sizeCalculation: ({ text }) => text.length + 1,
  })
  let decoded = 0
  return {
    decode(text, cursor, viewerId) {
      const earlier = cursor === '' ? undefined : known.get(cursor)
      // An upstream may use an id twice, so the texts are compared.
      if (earlier?.text === text) return earlier.event
      const event = decodeEvent(JSON.parse(text), cursor, viewerId)
      decoded += 1
      if (cursor !== '' && isOfFlow(event)) known.set(cursor, { text, event })
      return event
    },
    get decoded() {
      return decoded
    },
  }
}

function isOfFlow(event: FlowEvent): boolean {
  return (
    event.flowId !== null && (event.type === 'message' || event.type === 'change' || event.type === 'other')
  )
}
