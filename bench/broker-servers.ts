import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clientFrame, type Dialect } from './counting-sockets.ts'
import { hasTaskset } from './pinned-process.ts'
import { tokenOf } from './service-upstream.ts'

/** A message broker on the first core, with a user for each client. */
export interface Broker {
  readonly name: string
  readonly port: number
  readonly pid: number
  readonly dialect: Dialect
  publish(count: number): void
  close(): Promise<void>
}

const subject = 'flows.busy'
const topic = 'flows/busy'
const publisher = { user: 'publisher', password: 'f'.repeat(32) }
const userOf = (index: number) => `person${index}`
const teamOf = (index: number) => `team-${Math.floor(index / 20)}`

/** Whether a program is installed. */
export function isInstalled(program: string): boolean {
  return spawnSync('which', [program]).status === 0
}

/**
 * `nats-server`: each user may subscribe to two subjects and publish nothing, and subscribes to one of them.
 *
 * @param payload of every message
 */
export async function startNats(users: number, payload: Buffer): Promise<Broker> {
  const [port, webSocketPort] = [await freePort(), await freePort()]
  const list = Array.from(
    { length: users },
    (_, index) =>
      `{ user: ${userOf(index)}, password: "${tokenOf(index)}", permissions: { subscribe: ["${subject}", "flows.${teamOf(index)}"], publish: { deny: ">" } } }`,
  )
  const config = `
listen: "127.0.0.1:${port}"
websocket { listen: "127.0.0.1:${webSocketPort}", no_tls: true, compression: false }
max_connections: 65536
authorization { users: [
  { user: ${publisher.user}, password: "${publisher.password}", permissions: { publish: "flows.>", subscribe: { deny: ">" } } }
  ${list.join('\n  ')}
] }
`
  const message = Buffer.concat([
    Buffer.from(`PUB ${subject} ${payload.length}\r\n`),
    payload,
    Buffer.from('\r\n'),
  ])
  const running = await startBroker('nats-server', { 'nats.conf': config }, (folder) => [
    '-c',
    join(folder, 'nats.conf'),
  ])
  const line = await connectWhenReady(port)
  line.write(`CONNECT ${connectOf(publisher.user, publisher.password)}\r\n`)
  line.on('data', (bytes) => {
    if (String(bytes).includes('PING')) line.write('PONG\r\n')
  })
  return {
    ...{ name: 'nats-server', port: webSocketPort, pid: running.pid },
    dialect: {
      ...{ path: '/', subprotocol: undefined, first: undefined },
      reply(received, index) {
        const said = String(received)
        if (said.includes('-ERR')) throw new Error(`nats-server refused a client: ${said}`)
        if (said.includes('PONG')) return 'open'
        if (!said.startsWith('INFO') || said.includes('"connect_info":true')) return undefined
        const hello = `CONNECT ${connectOf(userOf(index), tokenOf(index))}\r\nSUB ${subject} 1\r\nPING\r\n`
        return clientFrame(Buffer.from(hello), true)
      },
      stream: {
        messageSize: Buffer.byteLength(`MSG ${subject} 1 ${payload.length}\r\n`) + payload.length + 2,
        firstByte: 'M'.charCodeAt(0),
        pingSize: 6,
        pong: clientFrame(Buffer.from('PONG\r\n'), true),
      },
    },
    publish: (count) => void line.write(repeated(message, count)),
    async close() {
      line.destroy()
      await running.close()
    },
  }
}

function connectOf(user: string, pass: string): string {
  return JSON.stringify({
    user,
    pass,
    verbose: false,
    pedantic: false,
    lang: 'bench',
    version: '1',
    protocol: 1,
  })
}

/**
 * Mosquitto: each user may read two topics, by its list of rights, and subscribes to one of them with QoS 0.
 *
 * @param payload of every message
 */
export async function startMosquitto(users: number, payload: Buffer): Promise<Broker> {
  const [port, webSocketPort] = [await freePort(), await freePort()]
  const indexes = Array.from({ length: users }, (_, index) => index)
  const passwords = [
    `${publisher.user}:${publisher.password}`,
    ...indexes.map((index) => `${userOf(index)}:${tokenOf(index)}`),
  ]
  const rights = [
    `user ${publisher.user}\ntopic write flows/#`,
    ...indexes.map(
      (index) => `user ${userOf(index)}\ntopic read ${topic}\ntopic read flows/${teamOf(index)}`,
    ),
  ]
  const configOf = (folder: string) => `
${process.getuid?.() === 0 ? 'user root' : ''}
allow_anonymous false
password_file ${folder}/passwords
acl_file ${folder}/rights
log_dest none
persistence false
max_queued_messages 0
max_connections -1
listener ${port} 127.0.0.1
listener ${webSocketPort} 127.0.0.1
protocol websockets
`
  const packet = Buffer.concat([
    ...[Buffer.from([0x30]), varint(2 + topic.length + payload.length), mqttText(topic), payload],
  ])
  const running = await startBroker(
    'mosquitto',
    { passwords: `${passwords.join('\n')}\n`, rights: `${rights.join('\n\n')}\n` },
    (folder) => {
      spawnSync('mosquitto_passwd', ['-U', join(folder, 'passwords')])
      writeFileSync(join(folder, 'mosquitto.conf'), configOf(folder))
      return ['-c', join(folder, 'mosquitto.conf')]
    },
  )
  const line = await connectWhenReady(port)
  line.write(mqttConnect(publisher.user, publisher.password))
  line.on('data', () => undefined)
  const subscribe = Buffer.concat([Buffer.from([0, 1]), mqttText(topic), Buffer.from([0])])
  return {
    ...{ name: 'Mosquitto', port: webSocketPort, pid: running.pid },
    dialect: {
      ...{ path: '/mqtt', subprotocol: 'mqtt' },
      first: (index) => clientFrame(mqttConnect(userOf(index), tokenOf(index)), true),
      reply(received) {
        if (received.length === 0) return undefined
        const kind = (received[0] ?? 0) >> 4
        // CONNACK and SUBACK, whose last byte is the outcome. [spec] MQTT 3.1.1, 3.2 and 3.9
        if ((kind !== 2 && kind !== 9) || (received.at(-1) ?? 0) !== 0)
          throw new Error(`Mosquitto refused a client: ${received.toString('hex')}`)
        if (kind === 9) return 'open'
        return clientFrame(Buffer.concat([Buffer.from([0x82]), varint(subscribe.length), subscribe]), true)
      },
      stream: {
        messageSize: packet.length,
        firstByte: 0x30,
        pingSize: 2,
        pong: Buffer.alloc(0),
      },
    },
    publish: (count) => void line.write(repeated(packet, count)),
    async close() {
      line.destroy()
      await running.close()
    },
  }
}

/** Of MQTT 3.1.1, without keep-alive. [spec] MQTT 3.1.1, 3.1 */
function mqttConnect(user: string, password: string): Buffer {
  const body = Buffer.concat([
    ...[mqttText('MQTT'), Buffer.from([4, 0b1100_0010, 0, 0])],
    ...[mqttText(`client-${user}`), mqttText(user), mqttText(password)],
  ])
  return Buffer.concat([Buffer.from([0x10]), varint(body.length), body])
}

function mqttText(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left >>= 7) {
    bytes.push(left > 127 ? (left & 127) | 128 : left)
    if (left <= 127) return Buffer.from(bytes)
  }
}

function repeated(message: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => message))
}

async function startBroker(
  program: string,
  files: Readonly<Record<string, string>>,
  argsIn: (folder: string) => string[],
) {
  const folder = mkdtempSync(join(tmpdir(), `flowdock-gateway-${program}-`))
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), content)
    chmodSync(join(folder, name), 0o600)
  }
  const command = [program, ...argsIn(folder)]
  const [file = '', ...args] = hasTaskset ? ['taskset', '-c', '0', ...command] : command
  const child: ChildProcess = spawn(file, args, { stdio: 'ignore' })
  return {
    pid: child.pid ?? 0,
    async close() {
      if (child.exitCode === null) {
        child.kill('SIGKILL')
        await once(child, 'close')
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Connects as soon as a server listens; for 10 s at most. */
async function connectWhenReady(port: number): Promise<Socket> {
  for (let attempts = 0; ; attempts += 1) {
    const socket = connectTcp(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return socket
    } catch (error) {
      if (attempts === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
