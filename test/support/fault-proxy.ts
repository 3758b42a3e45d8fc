import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Random } from './query-generator.ts'

export interface FaultProxy {
  readonly url: string
  /** Lines that were cut so far. */
  readonly cuts: number
  /** Sends what comes to another port: the server behind was started anew. */
  setTarget(url: string): void
  /** Cuts a line that is open at a random byte of what the server sends next. Answers whether there is one. */
  cut(): boolean
  /** Answers every new connection in this way until it is set back. */
  refuse(how: 'reset' | 'unavailable' | undefined): void
  close(): Promise<void>
}

interface Line {
  readonly client: Socket
  readonly server: Socket
  /** How many more bytes of the server get through, and how the line ends then. */
  left: number
  end: 'reset' | 'finish' | 'swallow'
}

/** Stands between a client and a server, and breaks lines as networks do. */
export async function startFaultProxy(target: string, random: Random): Promise<FaultProxy> {
  const lines = new Set<Line>()
  const sockets = new Set<Socket>()
  let { port } = new URL(target)
  let refusal: 'reset' | 'unavailable' | undefined
  let cuts = 0
  const proxy = createServer((client) => {
    client.on('error', () => undefined)
    sockets.add(client)
    client.on('close', () => sockets.delete(client))
    if (refusal === 'reset') return void client.resetAndDestroy()
    if (refusal === 'unavailable')
      return void client.end(
        'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
      )
    const server = connect(Number(port), '127.0.0.1')
    const line: Line = { client, server, left: Number.POSITIVE_INFINITY, end: 'reset' }
    lines.add(line)
    server.on('error', () => client.destroy())
    client.on('data', (chunk) => server.write(chunk))
    server.on('data', (chunk: Buffer) => {
      if (line.left >= chunk.length) {
        line.left -= chunk.length
        client.write(chunk)
        return
      }
      const rest = chunk.subarray(0, line.left)
      line.left = 0
      if (line.end === 'swallow') {
        // Nothing comes any more, and nobody says so.
        if (rest.length > 0) client.write(rest)
        line.left = 0
        return
      }
      client.write(rest, () => (line.end === 'reset' ? client.resetAndDestroy() : client.end()))
      server.destroy()
    })
    const gone = () => {
      lines.delete(line)
      client.destroy()
      server.destroy()
    }
    client.on('close', gone)
    server.on('close', () => (line.left === 0 ? lines.delete(line) : gone()))
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    get cuts() {
      return cuts
    },
    setTarget(url) {
      port = new URL(url).port
    },
    cut() {
      const open = [...lines].filter(({ left }) => left === Number.POSITIVE_INFINITY)
      const line = open[Math.floor(random() * open.length)]
      if (line === undefined) return false
      cuts += 1
      line.left = Math.floor(random() * 600)
      line.end = random() < 0.5 ? 'reset' : 'finish'
      return true
    },
    refuse(how) {
      refusal = how
    },
    close: () =>
      new Promise<void>((resolve) => {
        for (const { server } of lines) server.destroy()
        for (const socket of sockets) socket.destroy()
        proxy.close(() => resolve())
      }),
  }
}
