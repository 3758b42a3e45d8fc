/** An event in the middle of which the connection ended. */
export interface UnfinishedEvent {
  /** The number of its bytes that arrived. */
  readonly bytes: number
  /** Its id. Undefined when the id did not arrive, or is too long. */
  readonly id: string | undefined
  /** Whether it exceeds the limit of an event. */
  readonly isTooLong: boolean
}

export interface EventBound {
  /**
   * Takes the next bytes of an event stream. An event that is too long is cut: a line that makes its data invalid replaces its
   * end, and its id stays. So the reader sees one broken event at the right position.
   *
   * @returns the bytes to read in place of these
   * @throws RangeError when an event does not end within `maxSkippedBytes`
   */
  take(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[]
  /** The incomplete event; undefined between two events. */
  unfinished(): UnfinishedEvent | undefined
}

export interface EventBoundOptions {
  /** The longest event that passes unchanged. */
  readonly maxBytes: number
  /** The most bytes of a longer event that are read and dropped to find its end. */
  readonly maxSkippedBytes: number
}

const lf = 10
const cr = 13
const colon = 58
const letterI = 105
/** The longest id. */
const maxIdBytes = 200
const idLine = /^id: ?([^\0]*)$/

/** Follows the lines of an event stream without parsing it. [spec] HTML, "Parsing an event stream" */
export function createEventBound({ maxBytes, maxSkippedBytes }: EventBoundOptions): EventBound {
  /** The bytes of the current event. Complete comments before its first field do not count. */
  let eventBytes = 0
  let hasField = false
  let id: string | undefined
  let isTooLong = false
  /** The bytes of the current line. */
  let lineBytes = 0
  let firstByte = 0
  /** The start of a line that may be an id. */
  let start: Buffer | undefined
  /** Whether a following LF belongs to the same line end. */
  let endedByCr = false

  function takeLine(part: Buffer): void {
    if (part.length === 0) return
    if (lineBytes === 0) firstByte = part[0] as number
    if (firstByte === letterI && lineBytes <= maxIdBytes) {
      // A copy: a slice would hold the whole chunk in memory.
      const more = part.subarray(0, maxIdBytes + 5 - lineBytes)
      start = Buffer.concat([start ?? Buffer.alloc(0), more])
    }
    lineBytes += part.length
    eventBytes += part.length
  }

  /** Whether the line that ends is empty, which ends the event. */
  function endLine(): boolean {
    const isEmpty = lineBytes === 0
    if (!isEmpty) {
      eventBytes += 1
      if (start !== undefined) {
        const found = lineBytes > maxIdBytes + 4 ? undefined : idLine.exec(start.toString('utf8'))?.[1]
        if (found !== undefined) id = found
      }
      if (firstByte !== colon) hasField = true
      else if (!hasField) eventBytes = 0
    }
    lineBytes = 0
    start = undefined
    return isEmpty
  }

  function endEvent(): void {
    eventBytes = 0
    hasField = false
    id = undefined
    isTooLong = false
  }

  return {
    take(chunk) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      const pieces: Uint8Array<ArrayBuffer>[] = []
      /** The start of the bytes that have not passed yet, and the end of the last complete event. */
      let from = 0
      let complete = 0
      let at = 0
      if (endedByCr && bytes[0] === lf) at = 1
      if (bytes.length > 0) endedByCr = false
      let nextCr = bytes.indexOf(cr, at)
      while (at < bytes.length) {
        const nextLf = bytes.indexOf(lf, at)
        if (nextCr !== -1 && nextCr < at) nextCr = bytes.indexOf(cr, at)
        const end = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf) ? nextCr : nextLf
        takeLine(bytes.subarray(at, end === -1 ? bytes.length : end))
        if (end === -1) break
        at = end + 1
        if (end === nextCr) {
          if (at === bytes.length) endedByCr = true
          else if (bytes[at] === lf) at += 1
        }
        if (!endLine()) continue
        if (isTooLong) {
          pieces.push(Buffer.from(`\n${id === undefined ? '' : `id: ${id}\n`}event:\ndata: ]\n\n`))
          from = at
        }
        endEvent()
        complete = at
      }
      if (!isTooLong && eventBytes > maxBytes) {
        isTooLong = true
        if (complete > from) pieces.push(chunk.subarray(from, complete))
      } else if (!isTooLong && from < bytes.length) pieces.push(from === 0 ? chunk : chunk.subarray(from))
      if (isTooLong && eventBytes > maxSkippedBytes)
        throw new RangeError(`The event did not end within ${maxSkippedBytes} bytes`)
      return pieces
    },
    unfinished: () =>
      hasField || (lineBytes > 0 && firstByte !== colon) || isTooLong
        ? { bytes: eventBytes, id, isTooLong }
        : undefined,
  }
}

/** The most requests for the events after the same event, if each connection breaks at the same point. */
const maxAttempts = 3

/** Detects that connections end repeatedly in the middle of the same event. */
export interface StalledEvents {
  /**
   * A connection ended in the middle of an event.
   *
   * @param after the id of the event before it
   * @returns whether to give up the event
   */
  ended(after: string | undefined, event: UnfinishedEvent): boolean
}

/** A network breaks anywhere, so an event within the limit only counts if it breaks at the same byte each time. */
export function createStalledEvents(): StalledEvents {
  let last: { readonly after: string | undefined; readonly event: UnfinishedEvent } | undefined
  let attempts = 0
  return {
    ended(after, event) {
      const isSame =
        last !== undefined &&
        last.after === after &&
        last.event.isTooLong === event.isTooLong &&
        (event.isTooLong || last.event.bytes === event.bytes)
      attempts = isSame ? attempts + 1 : 1
      last = { after, event }
      if (attempts < maxAttempts) return false
      attempts = 0
      return true
    },
  }
}
