import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { callThings, type Json } from '../../support/things.ts'
import { openSession, openSocket, type ThingsSocket } from '../../support/things-socket.ts'
import { makeWorld, unknownFlow, type World } from './facts.ts'

/* Sessions and sockets: reference, section 10. */

let world: World & { close(): Promise<void> }
let url: string
beforeAll(async () => {
  world = await makeWorld()
  url = world.things.thingsUrl
})
afterAll(() => world.close())

async function open(
  as: 'alice' | 'bob' | { account: string; token: string } = 'alice',
  query = '',
): Promise<ThingsSocket> {
  const socket = await openSocket(url, typeof as === 'string' ? world[as] : as, query)
  onTestFinished(() => socket.socket.terminate())
  return socket
}

let flows = 0
async function makeFlow(members: object = {}): Promise<Json> {
  flows += 1
  return (await world.alice('POST', '/flow', { path: `/alice/live/${flows}`, ...members })).body
}
const add = (flow: Json, elems: object, more: object = {}) =>
  world.alice('POST', `/drop/${flow.id}`, { elems, ...more })

describe('sessions', () => {
  const headers = () => ({ 'x-auth-account': 'alice', 'x-auth-token': world.alice.token })

  test('10.1: a session is created, and has an id', async () => {
    const { status, body, head } = await callThings(`${url}/session`, 'POST', headers())
    expect([status, head.ok]).toEqual([201, true])
    expect(body.id).toMatch(/^\S{20,}$/)
  })

  test('10.1: a slash at the end makes no difference', async () => {
    expect((await callThings(`${url}/session/`, 'POST', headers())).status).toBe(201)
  })

  test('1.6: a request without a length is answered', async () => {
    const { port, hostname } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write(
      `POST /session HTTP/1.1\r\nHost: a\r\nX-Auth-Account: alice\r\nX-Auth-Token: ${world.alice.token}\r\nConnection: close\r\n\r\n`,
    )
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 201 /)
  })

  test.each([
    ['no credential', {}],
    ['a wrong token', { 'x-auth-account': 'alice', 'x-auth-token': 'x'.repeat(32) }],
    ['another account', { 'x-auth-account': 'bob' }],
  ])('16.11: %s is 403', async (_, sent) => {
    const all = Object.keys(sent).length === 1 ? { ...headers(), ...sent } : (sent as Record<string, string>)
    expect((await callThings(`${url}/session`, 'POST', all)).status).toBe(403)
  })

  test('10.1: an unknown session is refused', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/session/abcdef/ws`)
    const status = await new Promise((resolve) => {
      socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
      socket.on('error', () => undefined)
    })
    expect(status).toBe(404)
  })

  test('10.3: a session is opened again after its socket closed', async () => {
    const id = await openSession(url, world.alice)
    for (let turn = 0; turn < 2; turn += 1) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/session/${id}/ws`)
      await new Promise((resolve) => socket.once('open', resolve))
      socket.close()
      await new Promise((resolve) => socket.once('close', resolve))
    }
  })
})

describe('replies', () => {
  test('10.3: have the msgId, a status, and a body', async () => {
    const { ask } = await open()
    const flow = await makeFlow()
    expect(await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })).toEqual({
      head: {
        ...{ msgId: expect.any(Number), status: 200, ok: true, errors: [], references: {} },
        messages: ['Your request has been processed successfully.'],
      },
      body: {},
    })
  })

  test.each([0, 7, -1, 1.5, '', 'text', '123', [1], { a: 1 }, true])(
    '10.2: the msgId %j comes back as it is',
    async (msgId) => {
      const { send, frames } = await open()
      send({ msgId, object: 'flow', type: 'find', id: world.flow.id })
      await expect.poll(() => frames.length).toBe(1)
      expect(frames[0].head.msgId).toEqual(msgId)
    },
  )

  test('10.3: none comes without a msgId, nor for a heartbeat, nor for text that is no command', async () => {
    const { send, ask, frames } = await open()
    const flow = await makeFlow()
    for (const frame of [
      { type: 'heartbeat' },
      { type: 'heartbeat', msgId: 1 },
      'no json',
      '[]',
      '7',
      '{}',
      { msgId: 5 },
      { object: 'flow', type: 'find', id: unknownFlow },
      { object: 'drop', type: 'subscribe', flowId: flow.id },
      { object: 'drop', type: 'create', flowId: flow.id, value: { elems: { n: 1 } } },
      { msgId: null, object: 'flow', type: 'find', id: world.flow.id },
    ])
      send(frame)
    await ask({ object: 'flow', type: 'find', id: world.flow.id })
    expect(frames.filter(({ head }) => head !== undefined)).toHaveLength(1)
  })

  test.each([
    [404, { object: 'flow', type: 'find', id: unknownFlow }],
    [404, { object: 'drop', type: 'subscribe', flowId: unknownFlow }],
    [400, { object: 'drop', type: 'subscribe', path: '/alice/none' }],
    [400, { object: 'drop', type: 'subscribe' }],
    [400, { object: 'flow', type: 'find', id: 'nonsense' }],
    [400, { object: 'flow', type: 'find' }],
    [400, { object: 'nonsense', type: 'find' }],
    [400, { object: 'flow', type: 'nonsense' }],
    [400, { object: 'flow', type: 'create', value: {} }],
    [400, { object: 'flow', type: 'create' }],
    [400, { object: 'flow', type: 'findmany', options: { filter: 'a ==' } }],
    [400, { object: 'drop', type: 'create', value: { elems: {} } }],
    [403, { object: 'flow', type: 'create', value: { path: '/bob/x' } }],
  ])('10.3: a failure has the status %i and a text: %j', async (status, command) => {
    const { ask } = await open()
    const { head, body } = await ask(command)
    expect(head).toMatchObject({ status, ok: false, errors: [expect.stringMatching(/\S/)] })
    expect(body).toEqual({})
  })
})

describe('commands', () => {
  test('10.2: create, find, update and delete a flow', async () => {
    const { ask } = await open()
    const created = await ask({ object: 'flow', type: 'create', value: { path: '/alice/by-socket' } })
    expect(created).toMatchObject({
      head: { status: 201 },
      body: { path: '/alice/by-socket', capacity: 1000 },
    })
    const { id } = created.body
    expect((await ask({ object: 'flow', type: 'find', id })).body).toEqual(created.body)
    expect((await ask({ object: 'flow', type: 'update', id, value: { capacity: 10 } })).body.capacity).toBe(
      10,
    )
    expect((await ask({ object: 'flow', type: 'delete', id })).body).toEqual({})
    expect((await ask({ object: 'flow', type: 'find', id })).head.status).toBe(404)
  })

  test('10.2: findmany takes its options as texts', async () => {
    const { ask } = await open()
    const options = { filter: 'path =~ /^\\/alice\\/sensors$/', limit: '5', skip: '0' }
    expect((await ask({ object: 'flow', type: 'findmany', options })).body).toMatchObject([
      { path: '/alice/sensors' },
    ])
    expect((await ask({ object: 'flow', type: 'findmany', options: {} })).body.length).toBeGreaterThan(0)
  })

  test('10.2: a drop is created by flow, and by path', async () => {
    const { ask } = await open()
    const flow = await makeFlow()
    const byId = await ask({ object: 'drop', type: 'create', flowId: flow.id, value: { elems: { x: 1 } } })
    expect(byId.body).toMatchObject({ flowId: flow.id, elems: { x: { type: 'integer', value: 1 } } })
    const byPath = await ask({ object: 'drop', type: 'create', value: { path: flow.path, elems: {} } })
    expect(byPath.body.flowId).toBe(flow.id)
  })

  test('10.2: a drop is named by flow and id, by a pair, or by a list', async () => {
    const { ask } = await open()
    const [drop] = world.drops
    for (const address of [
      { flowId: drop.flowId, id: drop.id },
      { id: [drop.flowId, drop.id] },
      { flowId: drop.flowId, id: [drop.id] },
    ])
      expect((await ask({ object: 'drop', type: 'find', ...address })).body).toEqual(drop)
  })

  test('10.2: drops are found, changed and deleted', async () => {
    const { ask } = await open()
    const flow = await makeFlow()
    const { body: drop } = await add(flow, { n: 1 })
    const found = await ask({ object: 'drop', type: 'findmany', flowId: flow.id, options: { limit: '1' } })
    expect(found.body).toEqual([drop])
    const address = { object: 'drop', flowId: flow.id, id: drop.id }
    expect((await ask({ ...address, type: 'update', value: { elems: { n: 2 } } })).body.elems.n.value).toBe(2)
    expect((await ask({ ...address, type: 'delete' })).body).toEqual({})
    expect((await ask({ ...address, type: 'find' })).head.status).toBe(404)
  })

  test.each(['track', 'group', 'identity', 'token', 'share', 'device', 'api-task', 'mqtt', 'rss'])(
    '10.2: %s is an object, too',
    async (object) => {
      const { ask } = await open()
      expect((await ask({ object, type: 'findmany' })).head.status).toBe(200)
    },
  )

  test('10.2: commands that are sent together take effect in their order', async () => {
    const { send, ask, until } = await open()
    const flow = await makeFlow()
    const create = (n: number) =>
      send({ object: 'drop', type: 'create', flowId: flow.id, value: { elems: { n } } })
    create(1)
    send({ object: 'drop', type: 'subscribe', flowId: flow.id })
    for (let n = 2; n < 200; n += 1) create(n)
    send({ object: 'drop', type: 'unsubscribe', flowId: flow.id })
    create(200)
    await ask({ object: 'flow', type: 'find', id: flow.id })
    const events = await until(198)
    expect(events.map(({ value }) => value.elems.n.value)).toEqual(
      Array.from({ length: 198 }, (_, n) => n + 2),
    )
  })

  test('10.4: a ping is answered', async () => {
    const { socket } = await open()
    const pong = new Promise((resolve) => socket.once('pong', (data: Buffer) => resolve(data.toString())))
    socket.ping('{"type":"heartbeat"}')
    expect(await pong).toBe('{"type":"heartbeat"}')
  })
})

describe('subscriptions', () => {
  test('10.3: an event has the flow as its resource, and the drop as it is read', async () => {
    const { ask, until } = await open()
    const flow = await makeFlow()
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    const { body: drop } = await add(flow, { total: 7 })
    expect(await until(1)).toEqual([{ type: 'message', resource: flow.id, value: drop }])
    expect(drop.elems.total.value).toBe(7)
  })

  test('10.3: a subscription by path has the flow as its resource, too', async () => {
    const { ask, until } = await open()
    const flow = await makeFlow()
    expect((await ask({ object: 'drop', type: 'subscribe', path: flow.path })).head.ok).toBe(true)
    await add(flow, { n: 1 })
    expect((await until(1))[0].resource).toBe(flow.id)
  })

  test('10.2: the client of 2015 sends a path where the id stands', async () => {
    const { ask, until } = await open()
    const flow = await makeFlow()
    expect((await ask({ object: 'drop', type: 'subscribe', flowId: flow.path })).head.ok).toBe(true)
    await add(flow, { n: 1 })
    await until(1)
  })

  test('10.3: subscribing again changes nothing, and there is one event for each drop', async () => {
    const { ask, until, events } = await open()
    const flow = await makeFlow()
    for (const address of [{ flowId: flow.id }, { path: flow.path }, { flowId: flow.id }])
      expect((await ask({ object: 'drop', type: 'subscribe', ...address })).body).toEqual({})
    await add(flow, { n: 1 })
    await add(flow, { n: 2 })
    await until(2)
    await ask({ object: 'flow', type: 'find', id: flow.id })
    expect(events).toHaveLength(2)
  })

  test('10.2: after unsubscribing nothing comes', async () => {
    const { ask, events } = await open()
    const flow = await makeFlow()
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    expect((await ask({ object: 'drop', type: 'unsubscribe', path: flow.path })).body).toEqual({})
    await add(flow, { n: 1 })
    await ask({ object: 'flow', type: 'find', id: flow.id })
    expect(events).toEqual([])
  })

  test('10.3: with hints=0 the elements of a session are plain', async () => {
    const { ask, until } = await open('alice', '?hints=0')
    const flow = await makeFlow()
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    const reply = await ask({ object: 'drop', type: 'create', flowId: flow.id, value: { elems: { n: 1 } } })
    expect(reply.body.elems).toEqual({ n: 1 })
    expect((await until(1))[0].value.elems).toEqual({ n: 1 })
  })

  test('5.1: flows without capacity still push', async () => {
    const { ask, until } = await open()
    const flow = await makeFlow({ capacity: 0 })
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await add(flow, { n: 1 })
    expect((await until(1))[0].value.elems.n.value).toBe(1)
  })

  test('16.5: a drop with the same fhash comes again', async () => {
    const { ask, until } = await open()
    const flow = await makeFlow()
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await add(flow, { n: 1 }, { fhash: 'k' })
    await add(flow, { n: 2 }, { fhash: 'k' })
    expect((await until(2)).map(({ value }) => [value.version, value.elems.n.value])).toEqual([
      [0, 1],
      [1, 2],
    ])
  })

  test('10.3: what a track writes comes in the destination', async () => {
    const { ask, until } = await open()
    const [source, destination] = [await makeFlow(), await makeFlow()]
    await world.alice('POST', '/track', { source: source.path, destination: destination.path })
    await ask({ object: 'drop', type: 'subscribe', flowId: destination.id })
    await add(source, { n: 1 })
    expect((await until(1))[0]).toMatchObject({
      resource: destination.id,
      value: { parentDropId: { flowId: source.id } },
    })
  })

  test('16.14: changes and deletions are no events', async () => {
    const { ask, events } = await open()
    const flow = await makeFlow()
    const { body: drop } = await add(flow, { n: 1 })
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await world.alice('PUT', `/drop/${flow.id}/${drop.id}`, { elems: { n: 2 } })
    await world.alice('DELETE', `/drop/${flow.id}/${drop.id}`)
    await ask({ object: 'flow', type: 'find', id: flow.id })
    expect(events).toEqual([])
  })

  test('16.15: nor is a drop that the flow refuses', async () => {
    const { ask, events } = await open()
    const flow = await makeFlow({ filter: 'n > 1' })
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    expect((await add(flow, { n: 1 })).status).toBe(400)
    await ask({ object: 'flow', type: 'find', id: flow.id })
    expect(events).toEqual([])
  })

  test('10.3: events have the order in which drops are read', async () => {
    const { ask, until } = await open()
    const flow = await makeFlow()
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await Promise.all(Array.from({ length: 200 }, (_, n) => add(flow, { n })))
    const events = await until(200)
    const { body } = await world.alice('GET', `/drop/${flow.id}?order=asc&limit=200`)
    expect(events.map(({ value }) => value.id)).toEqual(body.map(({ id }: { id: string }) => id))
  })

  test('a thousand subscribers get every drop, whichever style they read', { timeout: 60_000 }, async () => {
    const flow = await makeFlow()
    const sockets = await Promise.all(
      Array.from({ length: 1000 }, (_, n) => openSocket(url, world.alice, n % 2 === 0 ? '' : '?hints=0')),
    )
    onTestFinished(() => {
      for (const { socket } of sockets) socket.terminate()
    })
    await Promise.all(sockets.map(({ ask }) => ask({ object: 'drop', type: 'subscribe', flowId: flow.id })))
    for (let n = 0; n < 5; n += 1) await add(flow, { n, text: 'x'.repeat(200) })
    const received = await Promise.all(sockets.map(({ until }) => until(5)))
    for (const [index, events] of received.entries())
      expect(events.map(({ value }) => (index % 2 === 0 ? value.elems.n.value : value.elems.n))).toEqual([
        0, 1, 2, 3, 4,
      ])
  })
})

describe('access of sockets', () => {
  const makeToken = async (paths: object, more: object = {}) => {
    const { body } = await world.alice('POST', '/token', { paths, ...more })
    return { ...body, client: { account: 'alice', token: body.tokenString } }
  }

  test('5.5: a token subscribes to its paths alone', async () => {
    const [mine, other] = [await makeFlow(), await makeFlow()]
    const { client } = await makeToken({ [mine.path]: { dropRead: true } })
    const { ask } = await open(client)
    expect((await ask({ object: 'drop', type: 'subscribe', flowId: mine.id })).head.status).toBe(200)
    expect((await ask({ object: 'drop', type: 'subscribe', flowId: other.id })).head.status).toBe(403)
    expect(
      (await ask({ object: 'drop', type: 'create', flowId: mine.id, value: { elems: {} } })).head.status,
    ).toBe(403)
    expect(
      (await ask({ object: 'flow', type: 'create', value: { path: `${mine.path}/x` } })).head.status,
    ).toBe(403)
  })

  test('5.5: one that only writes does not subscribe', async () => {
    const flow = await makeFlow()
    const { client } = await makeToken({ [flow.path]: { dropWrite: true } })
    const { ask } = await open(client)
    expect((await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })).head.status).toBe(403)
    expect(
      (await ask({ object: 'drop', type: 'create', flowId: flow.id, value: { elems: {} } })).head.status,
    ).toBe(201)
  })

  test('16.21: another account does not subscribe', async () => {
    const { ask } = await open('bob')
    expect((await ask({ object: 'drop', type: 'subscribe', flowId: world.flow.id })).head.status).toBe(404)
    expect((await ask({ object: 'drop', type: 'subscribe', path: world.flow.path })).head.status).toBe(400)
  })

  test('10.3: a token that is revoked receives nothing more within two seconds', async () => {
    const flow = await makeFlow()
    const { id, client } = await makeToken({ [flow.path]: { dropRead: true } })
    const { ask, closed, events } = await open(client)
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await world.alice('DELETE', `/token/${id}`)
    const since = performance.now()
    expect(await closed).toBe(1008)
    expect(performance.now() - since).toBeLessThan(2000)
    await add(flow, { n: 1 })
    expect(events).toEqual([])
  })

  test('10.3: so does one that expires, at once', async () => {
    const flow = await makeFlow()
    const { client } = await makeToken({ [flow.path]: { dropRead: true } }, { duration: 700 })
    const until = Date.now() + 700
    const { ask, events, closed } = await open(client)
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await add(flow, { n: 1 })
    await expect.poll(() => events.length).toBe(1)
    await expect.poll(() => Date.now() > until, { interval: 20 }).toBe(true)
    await add(flow, { n: 2 })
    expect(await closed).toBe(1008)
    expect(events).toHaveLength(1)
  })

  test('10.3: a replaced master token ends its sockets', async () => {
    const carol = await world.things.addAccount('carol')
    const { closed } = await open(carol)
    const { openAdministration } = await import('../../../src/backend/admin/administration.ts')
    const administration = await openAdministration(world.things.location)
    onTestFinished(administration.close)
    await administration.replaceMasterToken('carol')
    expect(await closed).toBe(1008)
  })

  test('10.3: what is shared no more is not received', async () => {
    const flow = await makeFlow()
    const { body: share } = await world.alice('POST', '/share', {
      ...{ issuedTo: world.bobId, paths: { [flow.path]: { dropRead: true } } },
    })
    const { ask, until, events } = await open('bob')
    await ask({ object: 'drop', type: 'subscribe', path: flow.path })
    await add(flow, { n: 1 })
    await until(1)
    await world.alice('DELETE', `/share/${share.id}`)
    await expect
      .poll(
        async () => {
          const before = events.length
          await add(flow, { n: 2 })
          await ask({ object: 'identity', type: 'findmany' })
          return events.length - before
        },
        { interval: 100, timeout: 2500 },
      )
      .toBe(0)
  })

  test('5.5: a flow that moves out of the paths of a token is not received', async () => {
    const flow = await makeFlow()
    const { client } = await makeToken({ [flow.path]: { dropRead: true } })
    const { ask, until, events } = await open(client)
    await ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    await add(flow, { n: 1 })
    await until(1)
    await world.alice('PUT', `/flow/${flow.id}`, { path: `${flow.path}-moved` })
    await add(flow, { n: 2 })
    await ask({ object: 'identity', type: 'findmany' })
    expect(events).toHaveLength(1)
  })
})

describe('whatever frames come', () => {
  test('a frame that is too long closes its socket alone', async () => {
    const [one, other] = [await open(), await open()]
    one.send('x'.repeat(1024 * 1024 + 1))
    expect(await one.closed).toBe(1009)
    expect((await other.ask({ object: 'flow', type: 'find', id: world.flow.id })).head.ok).toBe(true)
  })

  test('a broken frame closes its socket alone', async () => {
    const [one, other] = [await open(), await open()]
    ;(one.socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(
      Buffer.from([0xff, 0xff, 0xff, 0xff]),
    )
    expect(await one.closed).toBe(1002)
    expect((await other.ask({ object: 'flow', type: 'find', id: world.flow.id })).head.ok).toBe(true)
  })

  test('values of every kind in every member are replied to', async () => {
    const { ask, frames } = await open()
    const values = [
      null,
      true,
      0,
      -1,
      1e308,
      '',
      'x',
      '/alice/sensors',
      world.flow.id,
      [],
      [[]],
      {},
      { a: {} },
      'a'.repeat(10_000),
    ]
    const members = ['object', 'type', 'id', 'flowId', 'path', 'value', 'options']
    const base = { object: 'drop', type: 'findmany', flowId: world.flow.id }
    let count = 0
    for (const type of ['create', 'find', 'findmany', 'update', 'delete', 'subscribe', 'unsubscribe'])
      for (const object of ['drop', 'flow', 'track', 'token'])
        for (const member of members)
          for (const value of values) {
            if (type === 'delete' && value === world.flow.id) continue
            const frame = { ...base, type, object, [member]: value }
            if (typeof frame.type !== 'string') continue
            count += 1
            const { head } = await ask(frame)
            expect([200, 201, 400, 403, 404], JSON.stringify(frame).slice(0, 300)).toContain(head.status)
          }
    expect(count).toBeGreaterThan(1000)
    expect(frames.length).toBeGreaterThanOrEqual(count)
  })
})
