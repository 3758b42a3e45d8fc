import { spawnSync } from 'node:child_process'
import { isInstalled, startMosquitto, startNats } from './broker-servers.ts'
import { type CountingSockets, type Dialect, openCountingSockets } from './counting-sockets.ts'
import { gatewayDialect, introduction, subscription } from './dialects.ts'
import { makePeople, startService } from './people.ts'
import { cpuSeconds, hasTaskset, memoryKiB, startPinnedGateway } from './pinned-process.ts'
import { serviceToken, startServiceUpstream, tokenOf } from './service-upstream.ts'

const subscribers = Number(process.env['SUBSCRIBERS'] ?? 1000)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const roundMs = Number(process.env['ROUND_MS'] ?? 2000)
/** How many messages are published at once. Twice as many are under way, so that no server waits; or one by one. */
const bursts = (process.env['BURSTS'] ?? '100,10,1').split(',').map(Number)
/** Messages before the first round: code that is not compiled yet takes several times as long. */
const warmUp = 1000
const content = 'something somebody had to say to everybody else in this flow. '.repeat(4)
const silentMs = 20_000

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN

/** A server with its subscribers. */
interface Contender {
  readonly name: string
  readonly pid: number
  readonly sockets: CountingSockets
  readonly idleKiB: number
  publish(count: number): unknown
  close(): Promise<void>
}

interface Round {
  readonly rate: number
  /** µs of the server's CPU for a delivery. */
  readonly cpu: number
  /** The share of a core that the server took. */
  readonly busy: number
  /** The share of a core that the clients took. */
  readonly clients: number
}

/** The same payload to subscribers with a user and rights each: the gateway beside message brokers. */
export async function brokers(): Promise<void> {
  // The clients have the other core for themselves.
  if (hasTaskset) spawnSync('taskset', ['-apc', '1', String(process.pid)])
  const contenders: Contender[] = []
  const { gateway, payload } = await startGateway()
  contenders.push(gateway)
  contenders.push(await startWithBackend())
  if (isInstalled('nats-server')) {
    const nats = await startNats(subscribers, payload)
    contenders.push(await subscribed(nats.name, nats.pid, nats.port, nats.dialect, nats))
  }
  if (isInstalled('mosquitto')) {
    const mosquitto = await startMosquitto(subscribers, payload)
    contenders.push(
      await subscribed(mosquitto.name, mosquitto.pid, mosquitto.port, mosquitto.dialect, mosquitto),
    )
  }
  console.log(
    `\n${subscribers} subscribers over WebSocket, each with a user and rights of its own; messages of ${payload.length} bytes`,
  )
  for (const contender of contenders) await send(contender, Math.max(...bursts), (sent) => sent < warmUp)
  for (const burst of bursts) await compare(contenders, burst)
  for (const { name, sockets, idleKiB } of contenders) {
    const [fewest, most] = sockets.range()
    console.log(
      `  ${name.padEnd(24)} ${idleKiB.toFixed(1)} KiB for each idle subscriber; each received ${fewest === most ? `all ${most}` : `${fewest} to ${most}`} messages`,
    )
  }
  for (const contender of contenders) await contender.close()
  if (hasTaskset) spawnSync('taskset', ['-apc', '0-1023', String(process.pid)])
}

async function compare(contenders: readonly Contender[], burst: number): Promise<void> {
  const results = new Map<Contender, Round[]>(contenders.map((each) => [each, []]))
  for (let round = 0; round < rounds; round += 1)
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed())
      results.get(contender)?.push(await play(contender, burst))
  console.log(`  ${burst} at once:`)
  const own = results.get(contenders[0] as Contender) ?? []
  for (const [{ name }, list] of results) {
    const of = (key: keyof Round, from = list) => median(from.map((each) => each[key]))
    const compared =
      list === own
        ? ''
        : `  the gateway: ${(of('rate', own) / of('rate')).toFixed(2)} × the deliveries, ${(of('cpu', own) / of('cpu')).toFixed(2)} × the CPU`
    console.log(
      `    ${name.padEnd(24)} ${of('rate').toFixed(0).padStart(8)} deliveries/s  ${of('cpu').toFixed(2).padStart(6)} µs of CPU each  busy ${(of('busy') * 100).toFixed(0)} %, clients ${(of('clients') * 100).toFixed(0)} % of a core${compared}`,
    )
  }
}

async function play(contender: Contender, burst: number): Promise<Round> {
  const cpu = cpuSeconds(contender.pid)
  const clients = process.cpuUsage()
  const begun = performance.now()
  const sent = await send(contender, burst, () => performance.now() - begun < roundMs)
  const ms = performance.now() - begun
  const used = process.cpuUsage(clients)
  const deliveries = sent * subscribers
  const seconds = cpuSeconds(contender.pid) - cpu
  return {
    rate: (deliveries * 1000) / ms,
    cpu: (seconds * 1e6) / deliveries,
    busy: (seconds * 1000) / ms,
    clients: (used.user + used.system) / 1000 / ms,
  }
}

/** @returns how many messages were sent, all of which have arrived */
async function send(
  { sockets, publish }: Contender,
  burst: number,
  isWanted: (sent: number) => boolean,
): Promise<number> {
  const before = sockets.messages
  const mostUnderWay = burst === 1 ? 1 : 2 * burst
  let sent = 0
  let arrived = 0
  while (isWanted(sent) || arrived < sent) {
    while (sent + burst <= arrived + mostUnderWay && isWanted(sent)) {
      sent += burst
      await publish(burst)
    }
    arrived += burst
    await sockets.until(before + arrived * subscribers, silentMs)
  }
  return sent
}

async function startGateway(): Promise<{ gateway: Contender; payload: Buffer }> {
  const upstream = await startServiceUpstream(content)
  const server = await startPinnedGateway(upstream.url, { SERVICE_TOKEN: serviceToken })
  const payload = await messageOf(server.port, () => upstream.publish(1))
  const gateway = await subscribed('the gateway', server.pid, server.port, gatewayDialect(), {
    publish: (count) => upstream.publish(count),
    async close() {
      upstream.close()
      await server.close()
    },
  })
  return { gateway, payload }
}

/** The gateway with its embedded backend in one process, which stores each message. */
async function startWithBackend(): Promise<Contender> {
  const people = await makePeople(subscribers)
  const service = await startService(people)
  const dialect = gatewayDialect((index) => people.tokens[index] ?? '')
  return subscribed('with its backend', service.pid, service.port, dialect, {
    publish: (count) => Promise.all(Array.from({ length: count }, () => service.post(content))),
    async close() {
      await service.close()
      people.remove()
    },
  })
}

async function subscribed(
  name: string,
  pid: number,
  port: number,
  dialect: Dialect,
  { publish, close }: Pick<Contender, 'publish' | 'close'>,
): Promise<Contender> {
  const before = memoryKiB(pid)
  const sockets = await openCountingSockets(port, subscribers, dialect)
  await pause(1000)
  return {
    ...{ name, pid, sockets, publish, idleKiB: (memoryKiB(pid) - before) / subscribers },
    async close() {
      sockets.close()
      await close()
    },
  }
}

/** A message as a subscriber of the gateway receives it. */
async function messageOf(port: number, publish: () => void): Promise<Buffer> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws')
  const received = Promise.withResolvers<Buffer>()
  socket.addEventListener('error', () => received.reject(new Error('The gateway refused a WebSocket')))
  socket.addEventListener('open', () => socket.send(JSON.stringify(introduction(tokenOf(0)))))
  socket.addEventListener('message', ({ data }) => {
    const message = String(data)
    if (message.includes('connection_ack')) socket.send(JSON.stringify(subscription))
    else if (message.includes('"data":null')) publish()
    else if (message.includes('"messageAdded"')) received.resolve(Buffer.from(message))
  })
  const message = await received.promise
  socket.close()
  return message
}
