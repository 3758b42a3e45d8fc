import { randomUUID } from 'node:crypto'

/** An id of a thread: 27 characters, as the service had. */
export function newThreadId(): string {
  return timedId(20)
}

/** The `uuid` of a message whose sender gave none: 22 characters. */
export function newUuid(): string {
  return timedId(16)
}

/** Begins with the time, so that an index grows at its end; the rest is random. */
function timedId(byteLength: number): string {
  const time = Date.now().toString(16).padStart(12, '0')
  // Node caches random bytes for UUIDs, so they are faster than other random numbers.
  const random = randomUUID().replaceAll('-', '')
  return Buffer.from(time + random, 'hex')
    .subarray(0, byteLength)
    .toString('base64url')
}
