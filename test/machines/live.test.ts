import { describe, expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { eventually, post, testConfig } from '../support/app.ts'
import { call } from '../support/backend.ts'
import { type Engine, engines, type Machine, makeCluster } from '../support/machines.ts'
import { serviceToken } from '../support/service-token.ts'
import { eventIds } from '../support/stream.ts'

/** The log is never searched: what arrives came over the bus. */
const onlyBus = { catchUpEveryMs: 3_600_000 }

async function startTwo(engine: Engine, options: Partial<BackendOptions> = {}): Promise<[Machine, Machine]> {
  const cluster = await makeCluster(engine)
  const machines: [Machine, Machine] = [
    await cluster.start({ ...onlyBus, ...options }),
    await cluster.start({ ...onlyBus, ...options }),
  ]
  // A first message in each direction says that both are connected.
  for (const [from, to] of [machines, machines.toReversed()] as [Machine, Machine][]) {
    const stream = await to.listen('Ada', 'filter=example/main')
    for (let count = 0; !stream.text.includes('"typing"'); count += 1) {
      await from.as('Cleo')('POST', '/flows/example/main/typing')
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (count > 500) throw new Error('The backends do not reach each other')
    }
    stream.close()
  }
  return machines
}

describe.each(engines)('two backends of one database, over %s', (engine) => {
  test('an event of one is delivered by the other at once, without a search of the log', async () => {
    const [a, b] = await startTwo(engine)
    const stream = await b.listen('Ben', 'filter=example/main')
    for (const content of ['one', 'two', 'three']) expect(await a.send('Ada', content)).toBe(201)
    const text = await stream.until(/"three"/)
    expect([...text.matchAll(/"content":"(\w+)"/g)].map(([, content]) => content)).toEqual([
      'one',
      'two',
      'three',
    ])
    expect(b.log.delivered()).toBe(a.log.delivered())
  })

  test('a message that is too long for a notification is delivered, too', async () => {
    const [a, b] = await startTwo(engine)
    const stream = await b.listen('Ben', 'filter=example/main')
    const long = 'x'.repeat(8000)
    expect(await a.send('Ada', `${long} end`)).toBe(201)
    expect(await stream.until(/end"/)).toContain(long)
  })

  test('many messages sent at both are delivered by both in one order, each once', async () => {
    const [a, b] = await startTwo(engine)
    const streams = [
      await a.listen('Cleo', 'filter=example/main'),
      await b.listen('Cleo', 'filter=example/main'),
    ]
    const contents = Array.from({ length: 60 }, (_, index) => `message ${index}.`)
    await Promise.all(contents.map((content, index) => (index % 2 === 0 ? a : b).send('Ada', content)))
    const read = await Promise.all(
      streams.map(async (stream) => {
        for (const content of contents) await stream.until(new RegExp(`"${content}"`))
        return [...stream.text.matchAll(/^id: (\d+)\ndata: .*"content":"(message \d+\.)"/gm)].map(
          ([, id, content]) => `${id} ${content}`,
        )
      }),
    )
    expect(read[0]).toHaveLength(60)
    expect(read[0]).toEqual(read[1])
    const ids = eventIds(streams[1]?.text ?? '')
    expect(ids).toEqual([...new Set(ids)].toSorted((one, other) => one - other))
  })

  test('passwords that were guessed at one count at the other', async () => {
    const [a, b] = await startTwo(engine)
    const guess = async ({ url }: Machine) => {
      const headers = { authorization: `Basic ${btoa('ben@example.com:guess')}` }
      return (await fetch(`${url}/user`, { headers })).status
    }
    const heard = await b.listen('Ada', 'filter=example/main')
    for (let turn = 0; turn < 10; turn += 1) expect(await guess(a)).toBe(401)
    // Typing takes the same way, after them.
    await a.as('Cleo')('POST', '/flows/example/main/typing')
    await heard.until(/"typing"/)
    expect([await guess(b), await guess(a)]).toEqual([429, 429])
  })

  test('a user who is blocked at one receives nothing at the other after that', async () => {
    const [a, b] = await startTwo(engine)
    const stream = await b.listen('Cleo', 'filter=example/main')
    const other = await b.listen('Ben', 'filter=example/main')
    expect((await a.as('Ada')('PUT', '/flows/example/main/users/3', { disabled: true })).status).toBe(200)
    await a.send('Ada', 'after the block')
    await other.until(/after the block/)
    expect(stream.text).toContain('backend.user.block')
    expect(stream.text).not.toContain('after the block')
  })

  test('the first query at the gateway of one shows what was changed at the other', async () => {
    const [a, b] = await startTwo(engine, { serviceTokens: [serviceToken] })
    const calls: string[] = []
    const app = await startApp(testConfig(b.url, { SERVICE_TOKEN: serviceToken }), {
      log: createLogger('silent'),
      onUpstreamCall: ({ url }) => calls.push(new URL(url).pathname),
    })
    onTestFinished(app.close)
    const token = await b.token('Ada')
    const query = '{ viewer { nick } flow(by: { path: "example/main" }) { name organization { name } } }'
    const read = async () => {
      calls.length = 0
      return (await post(app.url, { query }, token)).data
    }
    const isKnown = () => !calls.includes('/user')
    await eventually(async () => (await read()) !== null && isKnown())
    const ada = a.as('Ada')
    for (let round = 0; round < 20; round += 1) {
      const names = { nick: `ada${round}`, name: `Main ${round}` }
      await ada('PUT', '/users/1', { nick: names.nick })
      await ada('PUT', '/flows/example/main', { name: names.name })
      await ada('PUT', '/organizations/example', { name: names.name })
      expect(await read()).toEqual({
        viewer: { nick: names.nick },
        flow: { name: names.name, organization: { name: names.name } },
      })
    }
    // Where the events had not come yet, the REST API was read.
    await eventually(async () => (await read()) !== null && isKnown())
  })

  test('typing at one is delivered by the other', async () => {
    const [a, b] = await startTwo(engine)
    const stream = await b.listen('Ada', 'filter=example/main&user=1')
    await a.as('Ben')('POST', '/flows/example/main/typing', { thread_id: 't1' })
    expect(await stream.until(/"thread_id":"t1"/)).toContain('"user":"2"')
    await a.as('Ben')('POST', '/private/1/typing')
    await stream.until(/"to":"1"/)
  })

  test('a user who is at one is present at the other, until their last stream anywhere ends', async () => {
    const [a, b] = await startTwo(engine)
    const watching = await b.listen('Ada', 'filter=example/main&presence=true')
    const presence = (state: number) => new RegExp(`"presence","content":\\{"user_id":2,"state":${state}`)
    const atA = await a.listen('Ben', 'filter=example/main&active=true')
    await watching.until(presence(2_000_000))

    // A stream that begins later begins with who is present.
    const late = await b.listen('Cleo', 'filter=example/main&presence=true')
    await late.until(presence(2_000_000))
    const { json } = await b.as('Ada')('GET', '/users/presence')
    expect(json).toContainEqual(expect.objectContaining({ user_id: 2, state: 2_000_000 }))

    const atB = await b.listen('Ben', 'filter=example/main&active=idle')
    await late.until(/activity\.user/)
    atA.close()
    await watching.until(presence(1_000_000))
    expect(watching.text).not.toMatch(presence(0))
    atB.close()
    await watching.until(presence(0))
    await late.until(presence(0))
  })

  test('what a user says last of their presence counts, whichever backend it reaches', async () => {
    const [a, b] = await startTwo(engine)
    const watching = await b.listen('Ada', 'filter=example/main&presence=true')
    const becomes = (machine: Machine, state: number | undefined) =>
      expect
        .poll(async () => {
          const { json } = await machine.as('Ada')('GET', '/users/presence')
          return json.find((each: { user_id: number }) => each.user_id === 2)?.state
        })
        .toBe(state)
    const say = (machine: Machine, state: string) => machine.as('Ben')('PUT', '/user/presence', { state })
    expect((await say(a, 'active')).status).toBe(200)
    await becomes(b, 2_000_000)
    expect((await say(b, 'idle')).status).toBe(200)
    await becomes(a, 1_000_000)
    await becomes(b, 1_000_000)
    expect((await say(a, 'offline')).status).toBe(200)
    await becomes(a, 0)
    await becomes(b, 0)
    const states = [...watching.text.matchAll(/"presence","content":\{"user_id":2,"state":(\d+)/g)]
    expect(states.map(([, state]) => Number(state))).toEqual([2_000_000, 1_000_000, 0])
  })

  test('a backend that starts later knows who is present at the others', async () => {
    const cluster = await makeCluster(engine)
    const a = await cluster.start(onlyBus)
    await a.listen('Ben', 'filter=example/main&active=true')
    await a.listen('Cleo', 'filter=example/main&active=idle')
    const b = await cluster.start(onlyBus)
    const present = async () => {
      const { json } = await b.as('Ada')('GET', '/users/presence')
      return json.flatMap((each: { user_id: number; state: number }) =>
        each.state > 0 ? [each.user_id] : [],
      )
    }
    await expect.poll(present).toEqual([2, 3])
  })
})

test('a code of OAuth that one backend made is exchanged at another, once', async () => {
  const [a, b] = await startTwo('PostgreSQL')
  const hash = await hashPassword('open sesame')
  await a.store.write((db) =>
    db.updateTable('users').set({ password_hash: hash }).where('id', '=', 2).execute(),
  )
  const application = { name: 'Polls', redirect_uri: 'https://polls.example/callback' }
  const { json: app } = await a.as('Ada')('POST', '/oauth/applications', { application })
  const asked = new URLSearchParams({ client_id: app.client_id, response_type: 'code' })
  const allowed = await call(
    `${a.url}/oauth/authorize?${asked}`,
    'POST',
    { 'content-type': 'application/x-www-form-urlencoded' },
    `${new URLSearchParams({ decision: 'allow', email: 'ben@example.com', password: 'open sesame' })}`,
  )
  const code = new URL(allowed.headers.get('location') ?? '').searchParams.get('code')
  const exchange = ({ url }: Machine) =>
    call(
      `${url}/oauth/token`,
      'POST',
      { accept: 'application/json' },
      {
        ...{ grant_type: 'authorization_code', code, redirect_uri: application.redirect_uri },
        ...{ client_id: app.client_id, client_secret: app.client_secret },
      },
    )
  const { status, json } = await exchange(b)
  expect(status).toBe(200)
  const authorization = `Bearer ${json.access_token}`
  expect((await call(`${a.url}/user`, 'GET', { authorization })).json.id).toBe(2)
  expect((await exchange(a)).status).toBe(400)
})

test('the users of a backend that ended without notice go offline once it is silent for too long', async () => {
  const instances = { everyMs: 50, silentMs: 500 }
  const [a, b] = await startTwo('PostgreSQL', { instances })
  const watching = await b.listen('Ada', 'filter=example/main&presence=true')
  await a.listen('Ben', 'filter=example/main&active=true')
  await a.listen('Cleo', 'filter=example/main&active=true')
  await b.listen('Cleo', 'filter=example/main&active=idle')
  await watching.until(/"user_id":3,"state":2000000/)
  await watching.until(/"user_id":2,"state":2000000/)
  await a.close()
  await watching.until(/"user_id":2,"state":0/)
  await watching.until(/"user_id":3,"state":1000000/)
  expect(watching.text).not.toMatch(/"user_id":3,"state":0/)
})
