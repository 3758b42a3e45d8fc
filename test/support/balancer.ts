import { createServer, type IncomingMessage, request as send } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Balancer {
  readonly url: string
  /** Where each request went. */
  readonly routed: readonly string[]
  /** Routes to these from now on. */
  setTargets(urls: readonly string[]): void
}

/** Sends each request to the next of the servers, whatever connection it comes by. It goes with the test. */
export async function startBalancer(targets: readonly string[]): Promise<Balancer> {
  let urls = targets
  const routed: string[] = []
  const sockets = new Set<Socket>()
  const next = () => {
    const url = urls[routed.length % urls.length] ?? ''
    routed.push(url)
    return new URL(url)
  }
  const forwardedFor = ({ socket }: IncomingMessage) => ({
    'x-forwarded-for': socket.remoteAddress ?? '',
  })
  const server = createServer((incoming, outgoing) => {
    const { hostname, port } = next()
    const { method, url, headers } = incoming
    const forwarded = send(
      { hostname, port, method, path: url, headers: { ...headers, ...forwardedFor(incoming) } },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        outgoing.flushHeaders()
        answer.on('error', () => outgoing.destroy())
        answer.pipe(outgoing)
      },
    )
    forwarded.on('error', () => outgoing.destroy())
    outgoing.on('error', () => undefined)
    outgoing.on('close', () => forwarded.destroy())
    incoming.on('error', () => forwarded.destroy())
    incoming.pipe(forwarded)
  })
  server.on('upgrade', (incoming, client: Socket, head) => {
    const { hostname, port } = next()
    const target = connect(Number(port), hostname)
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`]
    for (const [name, value] of Object.entries({ ...incoming.headers, ...forwardedFor(incoming) }))
      lines.push(`${name}: ${String(value)}`)
    target.write(`${lines.join('\r\n')}\r\n\r\n`)
    target.write(head)
    client.pipe(target).pipe(client)
    for (const socket of [client, target]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        target.destroy()
        sockets.delete(socket)
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    routed,
    setTargets(next) {
      urls = next
    },
  }
}
