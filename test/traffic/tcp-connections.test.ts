import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { readConfig } from '../../src/config.ts'
import {
  boundTcpConnections,
  type ClosedTcpConnection,
  type TcpConnectionLimits,
} from '../../src/traffic/tcp-connections.ts'
import { startTestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

async function start(limits: Partial<TcpConnectionLimits>) {
  const responses: ServerResponse[] = []
  const closed: ClosedTcpConnection[] = []
  const server = createServer((request, response) => {
    try {
      response.once('close', connections.use(request))
    } catch {
      return void response.writeHead(429).end()
    }
    if (request.url === '/slow') responses.push(response)
    else response.end('done')
  })
  const connections = boundTcpConnections(
    server,
    { tcpConnections: 0, tcpConnectionsPerIp: 0, trustedProxies: 0, ...limits },
    (each) => closed.push(each),
  )
  server.on('upgrade', (request) => void connections.use(request))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, server, responses, connections, closed }
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function send(socket: Socket, path: string, headers = ''): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`)
  const [chunk] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer | boolean]
  return typeof chunk === 'boolean' ? 'closed' : chunk.toString('latin1').slice(9, 12)
}

test.each([
  ['one IP address', { tcpConnectionsPerIp: 2 }, 'ip'],
  ['all clients', { tcpConnections: 2 }, 'all'],
] as const)(
  'past the limit of %s the connection that has been idle for the longest time is closed',
  async (_, limits, limit) => {
    const { port, connections, closed: reported } = await start(limits)
    const first = await open(port)
    expect(await send(first, '/')).toBe('200')
    const second = await open(port)
    expect(await send(second, '/')).toBe('200')
    expect(await send(first, '/')).toBe('200')
    const closed = once(second, 'close')
    const third = await open(port)
    await closed
    expect(await send(third, '/')).toBe('200')
    expect(await send(first, '/')).toBe('200')
    expect(reported).toEqual([{ limit, state: 'idle' }])
    expect(connections.open).toBe(2)
  },
)

test('a request and a WebSocket that are under way are never cut: the new connection is closed', async () => {
  const { port, server, responses, closed: reported } = await start({ tcpConnectionsPerIp: 2 })
  const slow = await open(port)
  const slowResponse = send(slow, '/slow')
  await expect.poll(() => responses.length).toBe(1)
  const socket = await open(port)
  const upgraded = once(server, 'upgrade')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await upgraded
  const third = await open(port)
  await once(third, 'close')
  expect(reported).toEqual([{ limit: 'ip', state: 'new' }])
  responses[0]?.end('done')
  expect(await slowResponse).toBe('200')
  const closed = once(slow, 'close')
  expect(await send(await open(port), '/')).toBe('200')
  await closed
  expect(socket.destroyed).toBe(false)
})

test('behind a proxy a client has as many connections as carry its requests, and others are not counted for it', async () => {
  const { port, responses } = await start({ tcpConnectionsPerIp: 1, trustedProxies: 1 })
  const slow = await open(port)
  const slowResponse = send(slow, '/slow', 'X-Forwarded-For: 192.0.2.1\r\n')
  await expect.poll(() => responses.length).toBe(1)
  const other = await open(port)
  expect(await send(other, '/', 'X-Forwarded-For: 192.0.2.1\r\n')).toBe('429')
  expect(await send(other, '/', 'X-Forwarded-For: 192.0.2.2\r\n')).toBe('200')
  responses[0]?.end('done')
  expect(await slowResponse).toBe('200')
  await expect.poll(() => send(other, '/', 'X-Forwarded-For: 192.0.2.1\r\n')).toBe('200')
})

test('the gateway counts HTTP and WebSocket together, and says so to a client of a proxy', async () => {
  const app = await startTestApp({ settings: { MAX_TCP_CONNECTIONS_PER_IP: '1', TRUSTED_PROXIES: '1' } })
  onTestFinished(app.close)
  const headers = { 'x-forwarded-for': '192.0.2.1', authorization: basic(await app.backend.token('Ada')) }
  const url = `${app.url.replace('http', 'ws')}/graphql`
  const socket = new WebSocket(url, 'graphql-transport-ws', { headers })
  await once(socket, 'open')
  const request = () => fetch(`${app.url}/graphql?query={viewer{nick}}`, { headers })
  const refused = await request()
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] })
  const [error] = (await once(new WebSocket(url, 'graphql-transport-ws', { headers }), 'error')) as [Error]
  expect(error.message).toContain('429')
  socket.close()
  await once(socket, 'close')
  await expect.poll(async () => (await request()).status).toBe(200)
})

test('connections that are closed are in the metrics, and in the log once in a minute', async () => {
  const lines: string[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(line) })
  const app = await startTestApp({ settings: { MAX_TCP_CONNECTIONS_PER_IP: '2' }, log })
  onTestFinished(app.close)
  const port = Number(new URL(app.url).port)
  const sockets: Socket[] = []
  for (let index = 0; index < 5; index += 1) sockets.push(await open(port))
  await Promise.all(sockets.slice(0, 3).map((socket) => socket.destroyed || once(socket, 'close')))
  const closing = sockets.slice(3).map((socket) => once(socket, 'close'))
  const metrics = await (await fetch(`${app.url}/metrics`)).text()
  // The request for the metrics has a connection, too.
  await Promise.race(closing)
  expect(metrics).toContain('flowdock_gateway_tcp_connections 2\n')
  expect(metrics).toContain('flowdock_gateway_tcp_connections_closed_total{limit="ip",state="idle"} 4\n')
  expect(
    lines.filter((line) => line.includes('TCP connections')).map((line) => JSON.parse(line)),
  ).toMatchObject([
    { level: 40, limit: 'ip', state: 'idle', setting: 'MAX_TCP_CONNECTIONS_PER_IP', count: 1 },
  ])
})

test('an office of 1,000 users behind one IP address with two connections each is within the defaults', async () => {
  const { tcpConnections, tcpConnectionsPerIp } = readConfig({}).protection
  const { port, server } = await start({ tcpConnections, tcpConnectionsPerIp })
  const sockets: Socket[] = []
  for (let index = 0; index < 2000; index += 1) sockets.push(await open(port))
  const count = await new Promise((resolve) =>
    server.getConnections((_, connections) => resolve(connections)),
  )
  expect(count).toBe(2000)
  expect(await send(sockets[0] as Socket, '/')).toBe('200')
})
