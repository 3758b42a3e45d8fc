import { randomFillSync } from 'node:crypto'

/** An id of a thread: 27 characters, as the service had. */
export function newThreadId(): string {
  return timedId(20)
}

/** The `uuid` of a message whose sender gave none: 22 characters. */
export function newUuid(): string {
  return timedId(16)
}

const timeBytes = 6

/** Begins with the time, so that an index grows near its end; the rest is random. */
function timedId(byteLength: number): string {
  const id = Buffer.allocUnsafe(byteLength)
  id.writeUIntBE(Date.now(), 0, timeBytes)
  return randomFillSync(id, timeBytes).toString('base64url')
}
