import type { OpenTransport, TransportEvents } from './transport.ts'

/** Carries texts within this process. */
export interface MemoryNetwork {
  readonly open: OpenTransport
}

/**
 * Texts arrive in a later turn of the event loop, in the order they were sent. A transport without others does not count as
 * connected, so that nothing is encoded without a receiver.
 */
export function createMemoryNetwork(): MemoryNetwork {
  const members = new Map<string, Set<TransportEvents>>()
  return {
    open(log, events) {
      const all = members.get(log) ?? new Set()
      members.set(log, all.add(events))
      if (all.size > 1)
        setImmediate(() => {
          for (const each of all.size === 2 ? all : [events]) if (all.has(each)) each.onConnected()
        })
      return {
        maxBytes: Number.POSITIVE_INFINITY,
        send(_topic, text) {
          setImmediate(() => {
            for (const other of all) if (other !== events) other.onMessage(text)
          })
        },
        async close() {
          all.delete(events)
        },
      }
    },
  }
}
