/** An event that a connection ended in the middle of. */
export interface UnfinishedEvent {
  /** How many bytes of it came. */
  readonly bytes: number
  /** Its id; undefined when that did not come, or is too long to be one. */
  readonly id: string | undefined
  /** Whether it is longer than an event may be. */
  readonly isTooLong: boolean
}

export interface EventBound {
  /**
   * Takes the next bytes of an event stream. An event that is too long is cut: its end is replaced by a line that makes its
   * data invalid, with the id that it has, so that its reader sees one broken event at the right position.
   *
   * @returns what is to be read in place of the bytes
   * @throws RangeError when an event does not end within `maxSkippedBytes`
   */
  take(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[]
  /** The event that is not complete yet; undefined between two events. */
  unfinished(): UnfinishedEvent | undefined
}

export interface EventBoundOptions {
  /** Longest event that is passed on whole. */
  readonly maxBytes: number
  /** How much of a longer one is read, without being kept, to find its end. */
  readonly maxSkippedBytes: number
}

const lf = 10
const cr = 13
const colon = 58
const letterI = 105
/** Longest id that is remembered. */
const maxIdBytes = 200
const idLine = /^id: ?([^\0]*)$/

/** Follows the lines of an event stream without parsing it. [spec] HTML, "Parsing an event stream" */
export function createEventBound({ maxBytes, maxSkippedBytes }: EventBoundOptions): EventBound {
  /** Of the current event. Complete comments before its first field do not count. */
  let eventBytes = 0
  let hasField = false
  let id: string | undefined
  let isTooLong = false
  /** Of the current line. */
  let lineBytes = 0
  let firstByte = 0
  /** The beginning of a line that may be an id. */
  let start: Buffer | undefined
  /** A LF that follows belongs to the same line end. */
  let endedByCr = false

  function takeLine(part: Buffer): void {
    if (part.length === 0) return
    if (lineBytes === 0) firstByte = part[0] as number
    if (firstByte === letterI && lineBytes <= maxIdBytes) {
      // Copied: a slice would keep the whole chunk.
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
      /** Where what was not passed on yet begins, and where the last complete event ends. */
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

/** How often an upstream is asked for what comes after the same event, if it breaks off at the same point each time. */
const maxAttempts = 3

/** Finds out that a connection ends again and again in the middle of the same event. */
export interface StalledEvents {
  /**
   * A connection ended in the middle of an event.
   *
   * @param after the id of the event before
   * @returns whether the upstream is to be asked no more for what comes after that
   */
  ended(after: string | undefined, event: UnfinishedEvent): boolean
}

/** A network breaks off anywhere, so an event that is not too long counts only if it breaks off at the same byte. */
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
