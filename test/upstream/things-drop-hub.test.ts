import { expect, test } from 'vitest'
import { type GatewayError, NotFoundError, UpstreamError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { createDropHub, type DropListener } from '../../src/upstream/flowthings/drop-hub.ts'
import type { DropSocket } from '../../src/upstream/flowthings/socket.ts'

const credential = { account: 'alice', token: new Secret('x'), principal: 'alice' }

/** A hub whose upstream has flows that can be deleted. */
function createWorld(checkEveryMs = 1) {
  const flows = new Set(['f1', 'f2'])
  const subscribed: string[] = []
  let failure: GatewayError | undefined
  const socket: DropSocket = {
    async subscribe(flowId) {
      subscribed.push(flowId)
      if (failure !== undefined) throw failure
      if (!flows.has(flowId)) throw new NotFoundError('not found')
    },
    unsubscribe: () => undefined,
    close: () => undefined,
  }
  const hub = createDropHub(async () => socket, { checkEveryMs })
  const ends: unknown[] = []
  const listen = (...ids: string[]) => {
    const listener: DropListener = {
      flowIds: new Set(ids),
      drop: () => undefined,
      unreadable: () => undefined,
      rejoined: () => undefined,
      end: (error) => ends.push([ids, error]),
    }
    return hub.join(credential, listener)
  }
  const fail = (error: GatewayError | undefined) => {
    failure = error
  }
  return { hub, flows, subscribed, ends, listen, fail }
}

test('a flow that another program deleted ends its subscriptions at the next check', async () => {
  const world = createWorld()
  await world.listen('f1', 'f2')
  const leave = await world.listen('f2')
  world.flows.delete('f1')
  await expect.poll(() => world.ends).toEqual([[['f1', 'f2'], expect.any(NotFoundError)]])
  expect(world.hub.size).toBe(1)
  leave()
  expect(world.hub.size).toBe(0)
})

test('a check that fails for another reason ends nothing', async () => {
  const world = createWorld()
  const leave = await world.listen('f1')
  world.fail(new UpstreamError('UPSTREAM_TIMEOUT', 'no reply'))
  const before = world.subscribed.length
  await expect.poll(() => world.subscribed.length).toBeGreaterThan(before + 3)
  expect(world.ends).toEqual([])
  leave()
})

test('without subscriptions nothing is checked', async () => {
  const world = createWorld(60_000)
  const leave = await world.listen('f1')
  leave()
  world.hub.checkFlow('f1')
  expect(world.subscribed).toEqual(['f1'])
})
