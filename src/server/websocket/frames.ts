import { type Framing, joined, sizeOf } from '../../subscriptions/outbox.ts'

/** Text frames, one for each message, unmasked as servers send them. [spec] RFC 6455, 5.2 */
export const frames: Framing = {
  size(envelope, body) {
    const size = sizeOf(envelope, body)
    return headerSize(size) + size
  },
  write(envelope, body, memory, at) {
    const size = sizeOf(envelope, body)
    const begin = at + headerSize(size)
    memory[at] = 0x81
    if (size < 126) memory[at + 1] = size
    else if (size < 65_536) {
      memory[at + 1] = 126
      memory.writeUInt16BE(size, at + 2)
    } else {
      memory[at + 1] = 127
      memory.writeBigUInt64BE(BigInt(size), at + 2)
    }
    return joined.write(envelope, body, memory, begin)
  },
}

function headerSize(byteSize: number): number {
  return byteSize < 126 ? 2 : byteSize < 65_536 ? 4 : 10
}
