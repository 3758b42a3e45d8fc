import { join } from 'node:path'
import { openCountingSockets } from './counting-sockets.ts'
import { gatewayDialect, rawDialect } from './dialects.ts'
import { memoryKiB, type Running, startPinned, startPinnedGateway } from './pinned-process.ts'
import { serviceToken, startServiceUpstream, tokenOf } from './service-upstream.ts'

const subscribers = Number(process.env['SUBSCRIBERS'] ?? 10_000)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const flags = ['--expose-gc', '--import', join(import.meta.dirname, 'collect-on-signal.ts')]

const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN

interface Memory {
  readonly resident: number
  readonly heap: number
  readonly external: number
}

/** The memory of subscribers that receive nothing, after a collection: a token each, one for all, and sockets without a protocol. */
export async function idle(): Promise<void> {
  console.log(`\n${subscribers} idle subscribers; KiB for each of them after a collection`)
  const upstream = await startServiceUpstream('')
  const own = join(import.meta.dirname, '..')
  const gateway = (name: string, folder: string, dialect = gatewayDialect()) => ({
    ...{ name, dialect },
    start: () =>
      startPinnedGateway(upstream.url, { SERVICE_TOKEN: serviceToken }, flags, join(folder, 'src/main.ts')),
  })
  const base = process.env['BASE']
  const contenders = [
    gateway('a token each', own),
    gateway(
      'one token',
      own,
      gatewayDialect(() => tokenOf(0)),
    ),
    ...(base === undefined ? [] : [gateway('an earlier build', base)]),
    {
      ...{ name: 'sockets of ws', dialect: rawDialect },
      start: () =>
        startPinned(
          'fan-out-contender.ts',
          ['naive', `${upstream.url}/nothing`],
          {},
          /listening (\d+)/,
          flags,
        ),
    },
  ]
  const results = contenders.map((): Memory[] => [])
  for (let round = 0; round < rounds; round += 1)
    for (const [index, { start, dialect }] of contenders.entries()) {
      const server = await start()
      // Code and caches of the first subscribers are not theirs.
      const first = await openCountingSockets(server.port, 100, dialect)
      const before = await memoryOf(server)
      const sockets = await openCountingSockets(server.port, subscribers, dialect)
      const after = await memoryOf(server)
      const each = (key: keyof Memory) => (after[key] - before[key]) / 1024 / subscribers
      results[index]?.push({
        ...{ resident: each('resident'), heap: each('heap'), external: each('external') },
      })
      sockets.close()
      first.close()
      await server.close()
    }
  for (const [index, { name }] of contenders.entries()) {
    const of = (key: keyof Memory, at = index) => median(results[at]?.map((each) => each[key]) ?? [])
    console.log(
      `  ${name.padEnd(16)} ${of('resident').toFixed(2)} resident (${(of('resident') / of('resident', results.length - 1)).toFixed(2)} ×), of it ${of('heap').toFixed(2)} in the heap and ${of('external').toFixed(2)} outside`,
    )
  }
  upstream.close()
}

/** In bytes, after a collection. */
async function memoryOf(server: Running): Promise<Memory> {
  const seen = server.output().length
  process.kill(server.pid, 'SIGUSR2')
  for (;;) {
    const [, heap, external] = /collected (\d+) (\d+)\n/.exec(server.output().slice(seen)) ?? []
    if (heap !== undefined) {
      const resident = memoryKiB(server.pid) * 1024
      return { resident, heap: Number(heap), external: Number(external) }
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
