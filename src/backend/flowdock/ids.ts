import { randomBytes } from 'node:crypto'

/** An id of a thread: 27 characters, as at the service. */
export function newThreadId(): string {
  return timedId(20)
}

/** What a message is told apart by when its sender gave it no `uuid`: 22 characters. */
export function newUuid(): string {
  return timedId(16)
}

/** Begins with the time, so that an index grows at its end; the rest is random. */
function timedId(byteLength: number): string {
  const bytes = randomBytes(byteLength)
  bytes.writeUIntBE(Date.now(), 0, 6)
  return bytes.toString('base64url')
}
