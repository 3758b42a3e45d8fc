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
/** Random bytes, each of which is used once. To get them for each id takes several times as long. */
const random = Buffer.alloc(4096)
let used = random.length

/** Begins with the time, so that an index grows near its end; the rest is random. */
function timedId(byteLength: number): string {
  const randomBytes = byteLength - timeBytes
  if (used + randomBytes > random.length) {
    randomFillSync(random)
    used = 0
  }
  const id = Buffer.allocUnsafe(byteLength)
  id.writeUIntBE(Date.now(), 0, timeBytes)
  random.copy(id, timeBytes, used, used + randomBytes)
  used += randomBytes
  return id.toString('base64url')
}
