import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { type Forwarder, startForwarder } from './forwarder.ts'
import type { ServerProcess } from './load.ts'

const execute = promisify(execFile)

/** A link of the backend that is tested. */
export type LinkName = 'gateway' | 'database' | 'nats'

/** A backend behind links on which packets vanish: no side is told. They end with the test. */
export interface Partitions {
  /** Where the backend reaches the database or NATS. */
  addressOf(name: 'database' | 'nats'): { readonly host: string; readonly port: number }
  /** The command that runs a program where the backend is. */
  readonly command: readonly string[]
  /** Starts the backend. @returns it with the URL at which the gateway reaches it */
  start(start: (settings: Record<string, string>) => Promise<ServerProcess>): Promise<ServerProcess>
  lose(name: LinkName): Promise<void>
  restore(name: LinkName): Promise<void>
}

/** Whether this process may make network namespaces, and a queue that drops every packet: it takes Linux, root and iproute2. */
function hasNamespaces(): boolean {
  const name = `fd${randomBytes(3).toString('hex')}`
  const run = (...args: string[]) => execFileSync(args[0] ?? '', args.slice(1), { stdio: 'ignore' })
  try {
    run('ip', 'netns', 'add', name)
  } catch {
    return false
  }
  try {
    run('ip', '-n', name, 'link', 'set', 'lo', 'up')
    run('ip', 'netns', 'exec', name, 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'blackhole')
    return true
  } catch {
    return false
  } finally {
    run('ip', 'netns', 'del', name)
  }
}

const canMakeNamespaces = hasNamespaces()
export const partitionKind = canMakeNamespaces ? 'network namespaces' : 'forwarders that stop'

/** @param ports of the database and NATS, at 127.0.0.1 */
export function makePartitions(ports: { database: number; nats: number }): Promise<Partitions> {
  return canMakeNamespaces ? makeNamespace(ports) : makeForwarders(ports)
}

/** The backend is in a network namespace of its own, with a pair of interfaces for each link. */
async function makeNamespace(ports: { database: number; nats: number }): Promise<Partitions> {
  const id = randomBytes(2).toString('hex')
  const name = `flowdock-${id}`
  const run = (...args: string[]) => execute(args[0] ?? '', args.slice(1))
  await run('ip', 'netns', 'add', name)
  onTestFinished(async () => {
    await run('ip', 'netns', 'del', name)
  })
  await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  const [high, low] = randomBytes(2)
  const links = new Map<LinkName, { here: string; there: string; devices: [here: string, there: string] }>()
  for (const [index, link] of (['gateway', 'database', 'nats'] as const).entries()) {
    // Addresses of a private network that nobody uses for long.
    const net = `10.${200 + ((high ?? 0) % 50)}.${low}.${index * 4}`.replace(/\d+$/, '')
    const [here, there] = [`${net}${index * 4 + 1}`, `${net}${index * 4 + 2}`]
    const devices: [string, string] = [`fd${id}${index}a`, `fd${id}${index}b`]
    const [a, b] = devices
    // It goes with the namespace.
    await run('ip', 'link', 'add', a, 'type', 'veth', 'peer', 'name', b, 'netns', name)
    await run('ip', 'addr', 'add', `${here}/30`, 'dev', a)
    await run('ip', 'link', 'set', a, 'up')
    await run('ip', '-n', name, 'addr', 'add', `${there}/30`, 'dev', b)
    await run('ip', '-n', name, 'link', 'set', b, 'up')
    links.set(link, { here, there, devices })
  }
  const of = (link: LinkName) => links.get(link) ?? { here: '', there: '', devices: ['', ''] as const }
  const forwarders = {
    database: await startForwarder(ports.database, of('database').here),
    nats: await startForwarder(ports.nats, of('nats').here),
  }
  const change = async (link: LinkName, ...action: [string, ...string[]]) => {
    const [a, b] = of(link).devices
    const [verb = '', ...rest] = action
    const args = (device: string) => ['tc', 'qdisc', verb, 'dev', device, 'root', ...rest]
    await run(...args(a))
    await run('ip', 'netns', 'exec', name, ...args(b))
  }
  return {
    addressOf: (link) => ({ host: of(link).here, port: forwarders[link].port }),
    command: ['ip', 'netns', 'exec', name],
    async start(start) {
      const running = await start({ HOST: '0.0.0.0' })
      const url = new URL(running.url)
      url.hostname = of('gateway').there
      return { ...running, url: url.origin }
    },
    lose: (link) => change(link, 'add', 'blackhole'),
    restore: (link) => change(link, 'del'),
  }
}

async function makeForwarders(ports: { database: number; nats: number }): Promise<Partitions> {
  const forwarders = new Map<LinkName, Forwarder>([
    ['database', await startForwarder(ports.database)],
    ['nats', await startForwarder(ports.nats)],
  ])
  return {
    addressOf: (link) => ({ host: '127.0.0.1', port: forwarders.get(link)?.port ?? 0 }),
    command: [],
    async start(start) {
      const running = await start({})
      const forwarder = await startForwarder(Number(new URL(running.url).port))
      forwarders.set('gateway', forwarder)
      return { ...running, url: `http://127.0.0.1:${forwarder.port}` }
    },
    lose: async (link) => forwarders.get(link)?.stall(),
    restore: async (link) => forwarders.get(link)?.resume(),
  }
}
