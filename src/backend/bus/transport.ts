import type { Topic } from './messages.ts'

/** What a transport reports. */
export interface TransportEvents {
  onMessage(text: string): void
  /** It is connected: for the first time, or again after messages may have been lost. */
  onConnected(): void
  /** The connection is gone or could not be made; it is tried again. */
  onDisconnected(reason: string): void
}

/** Carries texts between the backends of one log. It connects by itself, and again after each failure. */
export interface Transport {
  /** Longest text that it carries, in bytes of UTF-8. */
  readonly maxBytes: number
  /** Sends a text to all other backends. What cannot be sent now is lost. */
  send(topic: Topic, text: string): void
  close(): Promise<void>
}

/** @param log the id of the log: texts of other logs do not arrive */
export type OpenTransport = (log: string, events: TransportEvents) => Transport
