import { randomUUID } from 'node:crypto'

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
  const time = Date.now().toString(16).padStart(12, '0')
  // Node keeps random numbers for these in stock, which makes them the cheapest to have.
  const random = randomUUID().replaceAll('-', '')
  return Buffer.from(time + random, 'hex')
    .subarray(0, byteLength)
    .toString('base64url')
}
