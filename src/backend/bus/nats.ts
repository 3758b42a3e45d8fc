import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { topics } from './messages.ts'
import type { OpenTransport } from './transport.ts'

const connectMs = 5000
const reconnectMs = 250
/** The interval of pings. The connection is closed when three of them get no response. */
const pingMs = 5000
/** The limit until the server has sent its own. [nats] max_payload */
const usualMaxBytes = 1024 * 1024

/**
 * NATS core, which stores nothing. The subjects are `fd.<log>.batch`, `fd.<log>.signal` and `fd.<log>.here`.
 *
 * @param url `nats://` or `tls://` with an optional user and password, or a token as the user; several servers of a cluster with
 *   commas between them
 */
export function natsTransport(url: string): OpenTransport {
  return (log, events) => {
    const closing = new AbortController()
    const { signal } = closing
    let connection: NatsConnection | undefined
    let isConnected = false

    /** Connects. Resolves when the connection is closed; until then it reconnects after failures. */
    async function run(): Promise<void> {
      connection = await connect({
        ...parseServers(url),
        name: 'flowdock-gateway',
        noEcho: true,
        maxReconnectAttempts: -1,
        timeout: connectMs,
        reconnectTimeWait: reconnectMs,
        reconnectJitter: reconnectMs,
        pingInterval: pingMs,
        maxPingOut: 2,
        ignoreAuthErrorAbort: true,
      })
      if (signal.aborted) return connection.close()
      for (const topic of topics)
        connection.subscribe(`fd.${log}.${topic}`, {
          callback(error, message) {
            if (error === null) events.onMessage(message.string())
            else lose(error.message)
          },
        })
      await announce(connection)
      for await (const status of connection.status()) {
        if (status.type === 'reconnect') await announce(connection)
        else if (status.type === 'disconnect' || status.type === 'staleConnection')
          lose('the connection to NATS was lost')
      }
    }

    function lose(reason: string): void {
      isConnected = false
      if (!signal.aborted) events.onDisconnected(reason)
    }

    /** Reports the connection after the server has processed the subscriptions, so that no later message is missed. */
    async function announce(current: NatsConnection): Promise<void> {
      await current.flush().then(
        () => {
          isConnected = true
          events.onConnected()
        },
        // The connection was lost again. The status events of the client report that.
        () => undefined,
      )
    }

    async function keepConnected(): Promise<void> {
      while (!signal.aborted) {
        await run().catch((error: Error) => lose(error.message))
        isConnected = false
        await sleep(reconnectMs * (1 + Math.random()), undefined, { signal, ref: false }).catch(
          () => undefined,
        )
      }
    }

    const running = keepConnected()
    return {
      get maxBytes() {
        return connection?.info?.max_payload ?? usualMaxBytes
      },
      send(topic, text) {
        // Without a connection, texts are dropped: by the time they arrived, they would be outdated.
        if (isConnected) connection?.publish(`fd.${log}.${topic}`, text)
      },
      async close() {
        closing.abort()
        // While the connection is still being opened, the aborted signal closes it.
        if (connection === undefined) return
        await connection.close()
        await running
      },
    }
  }
}

/** The options of the NATS client, which does not read the password or TLS from the URL. */
function parseServers(text: string) {
  const urls = text.split(',').map((each) => new URL(each.trim()))
  const [{ username, password, protocol } = new URL('nats://localhost')] = urls
  const user = decodeURIComponent(username)
  return {
    servers: urls.map(({ hostname, port }) => (port === '' ? hostname : `${hostname}:${port}`)),
    ...(user === '' ? {} : password === '' ? { token: user } : { user, pass: decodeURIComponent(password) }),
    ...(protocol === 'tls:' ? { tls: {} } : {}),
  }
}
