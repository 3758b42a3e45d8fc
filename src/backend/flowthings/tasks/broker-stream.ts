import { connect as connectTcp, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { createWebSocketStream, WebSocket } from 'ws'
import { isPublic, lookupPublicAddress, NotPublicAddressError } from '../../../net/public-address.ts'
import { maxDropBytes } from '../drop-model.ts'
import type { MqttTask } from './mqtt-task.ts'
import { limitPackets } from './packet-limit.ts'

/** Of a packet after its head: room for the longest topic beside the longest payload, and to see that a payload is too long. */
export const maxPacketBytes = maxDropBytes + 128 * 1024
const handshakeMs = 10_000

/**
 * Opens the connection to the broker of a task.
 *
 * @param anywhere whether this machine and its network are allowed
 * @throws NotPublicAddressError at once for an IP address; a name that leads to one fails the stream
 */
export function openBrokerStream(task: MqttTask, anywhere: boolean): Duplex {
  const { broker, version } = task
  if (!anywhere && !isPublic({ hostname: broker.host })) throw new NotPublicAddressError(broker.host)
  const stream = open(task, anywhere ? undefined : lookupPublicAddress)
  const limit = limitPackets(maxPacketBytes, version === 5 ? 'fail' : 'truncate')
  limit.on('error', (error) => stream.destroy(error))
  // The client reads with `pipe` alone. A duplex stream of both parts does not always close with the connection.
  const pipe = stream.pipe.bind(stream)
  return Object.assign(stream, {
    pipe: <T extends NodeJS.WritableStream>(target: T): T => pipe(limit).pipe(target),
  })
}

function open({ broker, version }: MqttTask, lookup: typeof lookupPublicAddress | undefined): Duplex {
  const { protocol, host, port, path } = broker
  const target = { host, port, ...(lookup === undefined ? {} : { lookup }) }
  switch (protocol) {
    case 'mqtt':
      return connectTcp({ ...target, noDelay: true })
    case 'mqtts':
      return connectTls({ ...target, ...(isIP(host) === 0 ? { servername: host } : {}) })
    case 'ws':
    case 'wss': {
      const name = isIP(host) === 6 ? `[${host}]` : host
      const socket = new WebSocket(
        `${protocol}://${name}:${port}${path}`,
        version === 3 ? 'mqttv3.1' : 'mqtt',
        {
          ...{ maxPayload: 2 * maxPacketBytes, handshakeTimeout: handshakeMs, perMessageDeflate: false },
          ...(lookup === undefined ? {} : { lookup }),
        },
      )
      const stream = createWebSocketStream(socket)
      // Else it stays open for writing when the broker ends.
      socket.once('close', () => stream.destroy())
      return stream
    }
  }
}
