import { setTimeout as sleep } from 'node:timers/promises'
import { connectNotifications, maxNotificationBytes, type NotificationConnection } from '../store/postgres.ts'
import type { OpenTransport } from './transport.ts'

const retryMs = { first: 100, longest: 2000 }
/** The most queued texts. The oldest are dropped; other backends find their events when they read the log. */
const maxWaiting = 1000
/** The most texts in one statement. */
const maxTogether = 100

/**
 * Uses `NOTIFY` and `LISTEN` of PostgreSQL on a separate connection. A transaction that notifies locks the whole server during
 * its commit. So no transaction that stores data notifies, and a backend sends one notifying statement at a time.
 */
export function postgresTransport(url: string): OpenTransport {
  return (log, events) => {
    const closing = new AbortController()
    const { signal } = closing
    const waiting: string[] = []
    let connection: NotificationConnection | undefined
    let isSending = false

    async function connect(): Promise<void> {
      const ended = Promise.withResolvers<Error | undefined>()
      const stop = () => ended.resolve(undefined)
      connection = await connectNotifications(url, `flowdock_${log}`, {
        onText: events.onMessage,
        onEnd: ended.resolve,
      })
      try {
        if (signal.aborted) return
        events.onConnected()
        signal.addEventListener('abort', stop)
        const error = await ended.promise
        if (!signal.aborted) throw error ?? new Error('the connection was closed')
      } finally {
        signal.removeEventListener('abort', stop)
        const last = connection
        connection = undefined
        waiting.length = 0
        await last.close().catch(() => undefined)
      }
    }

    async function keepConnected(): Promise<void> {
      let pauseMs = retryMs.first
      while (!signal.aborted) {
        const begun = performance.now()
        await connect().catch((error: Error) => {
          if (!signal.aborted) events.onDisconnected(error.message)
        })
        // The pause is random, so that not all backends reconnect at once.
        if (performance.now() - begun > retryMs.longest) pauseMs = retryMs.first
        await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => undefined)
        pauseMs = Math.min(pauseMs * 2, retryMs.longest)
      }
    }

    async function sendWaiting(): Promise<void> {
      isSending = true
      try {
        while (connection !== undefined && waiting.length > 0)
          await connection.send(waiting.splice(0, maxTogether))
      } catch {
        // The loop in `keepConnected` opens a new connection.
        await connection?.close().catch(() => undefined)
      } finally {
        isSending = false
      }
    }

    const running = keepConnected()
    return {
      maxBytes: maxNotificationBytes,
      send(_topic, text) {
        if (connection === undefined) return
        if (waiting.length >= maxWaiting) waiting.shift()
        waiting.push(text)
        if (!isSending) void sendWaiting()
      },
      async close() {
        closing.abort()
        // While the connection is still being opened, the aborted signal closes it.
        if (connection !== undefined) await running
      },
    }
  }
}
