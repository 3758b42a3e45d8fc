import { Transform } from 'node:stream'

/** The longest head of a packet: a byte of its type, and four of its length. [mqtt] 2.2 */
const maxHeadBytes = 5

/**
 * Passes packets of MQTT on, and bounds the memory that one can take. The end of a longer one is left out: its payload, where its
 * topic is short enough. So the broker gets a response, and does not send it again and again.
 *
 * @param maxBytes of a packet after its head
 * @param whenLonger `fail` ends the stream, for a broker that has received the limit in CONNECT
 */
export function limitPackets(maxBytes: number, whenLonger: 'truncate' | 'fail'): Transform {
  /** Bytes of the current packet that are passed on, and that are left out after those. */
  let passing = 0
  let skipping = 0
  let head: number[] = []

  /** @returns the head to pass on, once it is complete */
  function readHead(byte: number): Buffer | undefined {
    head.push(byte)
    if (head.length === 1 || byte >= 128) {
      if (head.length >= maxHeadBytes) throw new Error('The broker sent no packet of MQTT')
      return undefined
    }
    const [type = 0, ...digits] = head
    const length = digits.reduceRight((total, digit) => total * 128 + (digit & 127), 0)
    if (length > maxBytes && whenLonger === 'fail')
      throw new Error(`The broker sent a packet of ${length} bytes, more than ${maxBytes}`)
    head = []
    passing = Math.min(length, maxBytes)
    skipping = length - passing
    return Buffer.from([type, ...encodeLength(passing)])
  }

  return new Transform({
    transform(chunk: Buffer, _, done) {
      try {
        for (let at = 0; at < chunk.length; ) {
          if (passing > 0) {
            const part = chunk.subarray(at, at + passing)
            this.push(part)
            passing -= part.length
            at += part.length
          } else if (skipping > 0) {
            const bytes = Math.min(skipping, chunk.length - at)
            skipping -= bytes
            at += bytes
          } else {
            const begun = readHead(chunk[at] ?? 0)
            if (begun !== undefined) this.push(begun)
            at += 1
          }
        }
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

/** [mqtt] 2.2.3: seven bits in each byte, the lowest first. */
function encodeLength(length: number): number[] {
  const digits: number[] = []
  let rest = length
  do {
    const digit = rest % 128
    rest = Math.floor(rest / 128)
    digits.push(rest > 0 ? digit | 128 : digit)
  } while (rest > 0)
  return digits
}
