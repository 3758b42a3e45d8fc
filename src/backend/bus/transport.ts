import type { Topic } from './messages.ts'

/** The events of a transport. */
export interface TransportEvents {
  onMessage(text: string): void
  /** The transport is connected, for the first time or again. Messages may have been lost before. */
  onConnected(): void
  /** The connection was lost or could not be opened. The transport tries again. */
  onDisconnected(reason: string): void
}

/** Carries texts between the backends of one log. It connects on creation, and again after each failure. */
export interface Transport {
  /** The longest text, in bytes of UTF-8. */
  readonly maxBytes: number
  /** Sends a text to all other backends. Without a connection, the text is lost. */
  send(topic: Topic, text: string): void
  close(): Promise<void>
}

/** @param log the id of the log. Texts of other logs are not received */
export type OpenTransport = (log: string, events: TransportEvents) => Transport
