import { expect, test } from 'vitest'
import { startBalancer } from '../support/balancer.ts'
import {
  expectEachOnceInOrder,
  follow,
  type ServerProcess,
  startBackendProcess,
  startGatewayProcess,
  startLoad,
  subscribe,
} from '../support/load.ts'
import { engines, makeCluster } from '../support/machines.ts'
import { makeNatsServer } from '../support/nats.ts'

test.each(engines)(
  'over %s: the engine, the database, a backend and a gateway fail, and every reader receives every message once, in order',
  async (engine) => {
    const server = await makeNatsServer()
    await server.start()
    const cluster = await makeCluster(engine)
    const settings: Record<string, string> = engine === 'NATS' ? { NATS_URL: server.url } : {}
    const start = () => startBackendProcess(cluster.databaseUrl, settings)
    const [a, b] = await Promise.all([start(), start()])
    let living: ServerProcess[] = [a, b]
    const urls = () => living.map(({ url }) => url)
    const backends = await startBalancer(urls())
    const [first, second] = await Promise.all([a, b].map(() => startGatewayProcess(backends.url)))
    const gateways = await startBalancer([first?.url ?? '', second?.url ?? ''])
    const followers = Array.from({ length: 10 }, (_, index) => follow(urls, index))
    const subscribers = Array.from({ length: 6 }, () => subscribe(gateways.url))
    await expect.poll(() => followers.every(({ connections }) => connections > 0)).toBe(true)
    await expect
      .poll(() => subscribers.map(({ isLive, endings }) => (isLive ? 'live' : endings)))
      .toEqual(subscribers.map(() => 'live'))

    const load = startLoad(urls, { most: 400 })
    await load.reaches(80)
    await (engine === 'NATS' ? server.kill() : cluster.cutConnections())
    await load.reaches(160)
    if (engine === 'NATS') await server.start()
    await load.reaches(200)
    await cluster.cutConnections()
    await load.reaches(240)
    gateways.setTargets([second?.url ?? ''])
    first?.child.kill('SIGKILL')
    await expect.poll(() => subscribers.some(({ endings }) => endings.length > 0)).toBe(true)
    await load.reaches(280)
    living = [b]
    backends.setTargets(urls())
    a.child.kill('SIGKILL')
    await a.exited
    await load.reaches(320)
    living = [b, await start()]
    backends.setTargets(urls())
    await load.stop()
    await expectEachOnceInOrder(b.url, load, { followers, subscribers })
    expect(load.refused).toBeGreaterThan(0)
  },
  120_000,
)
