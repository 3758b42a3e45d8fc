/** A server of the package ws that sends each drop to each subscriber, and serializes it each time. */
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
const subscribers = new Set<WebSocket>()
let count = 0

server.on('connection', (socket) => {
  socket.on('error', () => undefined)
  socket.on('close', () => subscribers.delete(socket))
  socket.on('message', (data) => {
    const text = String(data)
    if (text === 'subscribe') {
      subscribers.add(socket)
      return socket.send('{}')
    }
    count += 1
    const { elems } = JSON.parse(text) as { elems: Record<string, unknown> }
    const value = {
      id: `d${count.toString(16).padStart(24, '0')}`,
      flowId: 'f551ac39bd4c6c0000000000',
      path: '/alice/sensors',
      creationDate: Date.now(),
      version: 0,
      elems: Object.fromEntries(
        Object.entries(elems).map(([name, each]) => [name, { type: typeof each, value: each }]),
      ),
    }
    for (const each of subscribers)
      each.send(JSON.stringify({ type: 'message', resource: value.flowId, value }))
  })
})
server.once('listening', () => console.log((server.address() as AddressInfo).port))
process.stdin.on('data', () => {
  const { user, system } = process.cpuUsage()
  console.log(user + system)
})
process.stdin.on('end', () => process.exit(0))
