import { type BusMessage, decodeMessage, encodeMessage, type Sender, shortenMessage } from './messages.ts'
import type { OpenTransport } from './transport.ts'

/** A message of another backend, and the instance that sent it. */
export type BusListener = (message: BusMessage, from: string) => void

/**
 * Carries messages between the backends of one database. It is a short cut: whatever is lost is found in the database, or is
 * sent again.
 */
export interface Bus {
  /** This backend, as the others know it. */
  readonly instance: string
  /** Whether messages arrive at the moment, as far as is known. */
  readonly isConnected: boolean
  publish(message: BusMessage): void
  listen(listener: BusListener): () => void
  /** Calls the listener each time that the bus was connected, and now if it is; messages may have been lost before. */
  onConnected(listener: () => void): () => void
  close(): Promise<void>
}

/**
 * @param onNotice is called when the connection is lost, and when it is back
 */
export function createBus(
  sender: Sender,
  open: OpenTransport,
  onNotice: (message: string) => void = () => undefined,
): Bus {
  const listeners = new Set<BusListener>()
  const connectedListeners = new Set<() => void>()
  let isConnected = false
  let isLossNoticed = false
  const transport = open(sender.log, {
    onMessage(text) {
      const decoded = decodeMessage(text, sender)
      if (decoded === undefined) return
      for (const listener of listeners) listener(decoded.message, decoded.from)
    },
    onConnected() {
      isConnected = true
      if (isLossNoticed) onNotice('The bus to other backends is connected again')
      isLossNoticed = false
      for (const listener of connectedListeners) listener()
    },
    onDisconnected(reason) {
      isConnected = false
      if (!isLossNoticed)
        onNotice(`The bus to other backends is not connected; their events arrive within a second: ${reason}`)
      isLossNoticed = true
    },
  })

  function publish(message: BusMessage): void {
    if (!isConnected) return
    const { topic, text } = encodeMessage(message, sender)
    // Only a text near the limit is measured: a character takes three bytes at most.
    const isTooLong = text.length * 3 > transport.maxBytes && Buffer.byteLength(text) > transport.maxBytes
    if (isTooLong) for (const shorter of shortenMessage(message)) publish(shorter)
    else transport.send(topic, text)
  }

  return {
    instance: sender.instance,
    get isConnected() {
      return isConnected
    },
    publish,
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onConnected(listener) {
      connectedListeners.add(listener)
      if (isConnected) listener()
      return () => connectedListeners.delete(listener)
    },
    async close() {
      listeners.clear()
      connectedListeners.clear()
      await transport.close()
    },
  }
}
