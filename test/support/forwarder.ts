import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Forwarder {
  readonly port: number
  /** Connects to this port from now on. Open connections stay where they are. */
  setTarget(port: number): void
  /** Cuts every open connection. */
  cut(): void
  /**
   * Forwards nothing any more in either direction, and closes nothing: what is sent waits, and new connections get no answer. So
   * both sides only notice by the silence.
   */
  stall(): void
  /** Cuts the connections that were stalled, and forwards those that are opened from now on. */
  resume(): void
}

interface Connection {
  readonly client: Socket
  readonly server: Socket
}

/** Forwards TCP connections of an address of this machine to a port of it. It ends with the test. */
export async function startForwarder(target: number, host = '127.0.0.1'): Promise<Forwarder> {
  const connections = new Set<Connection>()
  const silent = new Set<Socket>()
  let isStalled = false
  let port = target
  const listener = createServer({ noDelay: true }, (client) => {
    client.on('error', () => undefined)
    if (isStalled) {
      client.pause()
      silent.add(client)
      return
    }
    const server = connect({ port, host: '127.0.0.1', noDelay: true })
    const connection = { client, server }
    connections.add(connection)
    server.on('error', () => undefined)
    for (const socket of [client, server])
      socket.on('close', () => {
        if (isStalled) return
        client.destroy()
        server.destroy()
        connections.delete(connection)
      })
    client.pipe(server).pipe(client)
  })
  listener.listen(0, host)
  await once(listener, 'listening')

  function cut(): void {
    for (const { client, server } of connections) {
      client.destroy()
      server.destroy()
    }
    connections.clear()
    for (const socket of silent) socket.destroy()
    silent.clear()
  }

  onTestFinished(async () => {
    const closed = once(listener, 'close')
    listener.close()
    isStalled = false
    cut()
    await closed
  })
  return {
    port: (listener.address() as AddressInfo).port,
    setTarget(next) {
      port = next
    },
    cut,
    stall() {
      isStalled = true
      for (const { client, server } of connections) {
        client.unpipe(server)
        server.unpipe(client)
        client.pause()
        server.pause()
      }
    },
    resume() {
      isStalled = false
      cut()
    },
  }
}
