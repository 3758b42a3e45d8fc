import { expect, test } from 'vitest'
import {
  expectEachOnceInOrder,
  follow,
  send,
  startBackendProcess,
  startGateway,
  startLoad,
  subscribe,
} from '../support/load.ts'
import { makeCluster } from '../support/machines.ts'
import { makeNatsServer } from '../support/nats.ts'
import { makePartitions, partitionKind } from '../support/partitions.ts'

/*
 * Packets vanish, and nothing says so. One backend is behind links to the gateway, the database and NATS, which are lost one after
 * the other. Another backend has none of these faults.
 */

/** The limits of silence, of docs/scale.md, and a few seconds for a busy machine. */
const limits = {
  gatewayMs: 15_000 + 5000,
  databaseMs: 12_000 + 5000,
  backMs: 15_000 + 5000,
  pollMs: 1000 + 4000,
}

test(`a backend that loses the gateway, the database and NATS (${partitionKind}): every message is delivered once, in order, when they are back`, async () => {
  const nats = await makeNatsServer()
  await nats.start()
  const { databaseUrl } = await makeCluster('NATS', nats.url)
  const portOf = (url: string) => Number(new URL(url).port || 5432)
  const partitions = await makePartitions({ database: portOf(databaseUrl), nats: portOf(nats.url) })
  const through = (url: string, name: 'database' | 'nats') => {
    const changed = new URL(url)
    const { host, port } = partitions.addressOf(name)
    changed.hostname = host
    changed.port = String(port)
    return changed.href
  }
  const behind = await partitions.start((settings) =>
    startBackendProcess(
      through(databaseUrl, 'database'),
      { NATS_URL: through(nats.url, 'nats'), ...settings },
      partitions.command,
    ),
  )
  const other = await startBackendProcess(databaseUrl, { NATS_URL: nats.url })
  const follower = follow(() => [other.url], 0)
  const subscriber = subscribe(await startGateway(behind.url))
  await expect.poll(() => [follower.connections, subscriber.isLive]).toEqual([1, true])
  const isReady = async () => {
    const response = await fetch(`${behind.url}/health/ready`, { signal: AbortSignal.timeout(30_000) })
    return response.status === 200
  }

  const load = startLoad(() => [other.url], { everyMs: 200 })
  await load.reaches(20)
  await partitions.lose('gateway')
  await partitions.lose('nats')
  await expect.poll(() => subscriber.isLive, { timeout: limits.gatewayMs }).toBe(false)
  await expect
    .poll(() => behind.output.stderr, { timeout: limits.gatewayMs })
    .toContain('The bus to other backends is not connected')
  await load.reaches(load.sent + 20)
  await partitions.restore('gateway')
  await expect.poll(() => subscriber.isLive, { timeout: limits.backMs }).toBe(true)
  // Without NATS, events of the other backend are found in the database.
  const { sent } = load
  await expect
    .poll(() => subscriber.delivered.length, { timeout: limits.pollMs })
    .toBeGreaterThanOrEqual(sent)
  await partitions.restore('nats')
  await expect
    .poll(() => behind.output.stderr, { timeout: limits.backMs })
    .toContain('The bus to other backends is connected again')

  await partitions.lose('database')
  const lostAt = performance.now()
  expect(await send(behind.url, 'refused')).toBe(503)
  expect(performance.now() - lostAt).toBeLessThan(limits.databaseMs)
  expect(await isReady()).toBe(false)
  // Without the database, events of the other backend arrive over NATS.
  const delivered = subscriber.delivered.length
  await expect
    .poll(() => subscriber.delivered.length, { timeout: limits.pollMs })
    .toBeGreaterThan(delivered + 20)
  await partitions.restore('database')
  await expect.poll(isReady, { timeout: limits.backMs }).toBe(true)

  await load.stop()
  await expectEachOnceInOrder(other.url, load, { followers: [follower], subscribers: [subscriber] })
}, 120_000)
