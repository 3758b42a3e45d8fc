import { LRUCache } from 'lru-cache'
import { decodeEvent } from './decode.ts'
import type { FlowEvent } from './model.ts'

export interface EventDecoder {
  /**
   * Decodes an event. Streams of several principals deliver the same events: while the text of an event equals that of an
   * earlier one with the same id, the result is the same object. Only events of flows are shared: what a private event means
   * depends on the user whose stream it is.
   *
   * @param cursor the id of the event; empty for an event that is stored nowhere, which is not shared
   * @param viewerId the user whose stream it is
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

/** @param maxBytes how much text is remembered */
export function createEventDecoder(maxBytes = defaultMaxBytes): EventDecoder {
  const known = new LRUCache<string, Decoded>({
    maxSize: maxBytes,
    sizeCalculation: ({ text }) => text.length + 1,
  })
  let decoded = 0
  return {
    decode(text, cursor, viewerId) {
      const earlier = cursor === '' ? undefined : known.get(cursor)
      // An id proves nothing: upstreams may use one twice.
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
