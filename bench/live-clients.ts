import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const ping = 0x89
const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/**
 * Sockets that count frames and do nothing else, so that what is measured is the server.
 *
 * @param options `stalls`: they read nothing once they have subscribed
 */
export async function openLiveClients(
  port: number,
  count: number,
  hello: (index: number) => readonly object[],
  { stalls = false } = {},
) {
  let frames = 0
  let waiting: { upTo: number; resolve: () => void } | undefined
  const sockets: Socket[] = []
  const frame = (message: object) => {
    const body = Buffer.from(JSON.stringify(message))
    const head =
      body.length < 126
        ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
        : Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0])
    return Buffer.concat([head, body])
  }
  const open = async (index: number) => {
    const [introduce, subscribe] = hello(index).map(frame)
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    await once(socket, 'connect')
    socket.write(
      `GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
    )
    /** How many bytes of a frame are still to come; the ends of frames are all that is looked at. */
    let left = 0
    let rest: Buffer | undefined
    await new Promise<void>((resolve) => {
      socket.once('data', (chunk: Buffer) => {
        const end = chunk.indexOf('\r\n\r\n') + 4
        if (introduce === undefined || subscribe === undefined) {
          socket.on('data', read)
          if (chunk.length > end) read(chunk.subarray(end))
          return resolve()
        }
        socket.write(introduce)
        // The acknowledgement: what is subscribed to before is refused by some.
        socket.once('data', () => {
          if (stalls) socket.pause()
          else socket.on('data', read)
          socket.write(subscribe)
          resolve()
        })
      })
    })
    function read(chunk: Buffer): void {
      let bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
      rest = undefined
      for (;;) {
        if (left > bytes.length) {
          left -= bytes.length
          break
        }
        if (left > 0) bytes = bytes.subarray(left)
        left = 0
        if (bytes.length < 4) {
          if (bytes.length > 0) rest = bytes
          break
        }
        const short = (bytes[1] as number) & 127
        // Whoever does not answer is taken for gone.
        if (bytes[0] === ping) socket.write(pong)
        const size = short < 126 ? short : bytes.readUInt16BE(2)
        // Acknowledgements are short; results are not.
        if (size > 100) frames += 1
        left = size + (short < 126 ? 2 : 4)
      }
      if (waiting !== undefined && frames >= waiting.upTo) {
        waiting.resolve()
        waiting = undefined
      }
    }
  }
  for (let index = 0; index < count; index += 50)
    await Promise.all(Array.from({ length: Math.min(50, count - index) }, (_, each) => open(index + each)))
  return {
    get frames() {
      return frames
    },
    until: (upTo: number) =>
      frames >= upTo
        ? Promise.resolve()
        : new Promise<void>((resolve) => {
            waiting = { upTo, resolve }
          }),
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
