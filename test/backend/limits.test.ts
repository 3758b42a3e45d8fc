import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defaultTraffic } from '../../src/backend/http/traffic.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'
import { openRawStream } from '../support/stream.ts'

const KiB = 1024
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const from = (address: string) => ({ 'x-forwarded-for': address })

async function start(options: Partial<BackendOptions> = {}): Promise<TestBackend> {
  const backend = await startTestBackend(options)
  onTestFinished(backend.close)
  return backend
}

interface Outgoing {
  readonly sent: ClientRequest
  /** Resolves with the status and the text of the response, which may come before the whole body is sent. */
  readonly answer: Promise<{ status: number; headers: IncomingMessage['headers']; text: string }>
}

/** Begins a request of which only a part is sent. */
function begin(
  url: string,
  headers: Record<string, string | number>,
  part: string | Buffer,
  method = 'POST',
): Outgoing {
  const sent = request(url, { method, headers })
  sent.on('error', () => undefined)
  onTestFinished(() => void sent.destroy())
  const answer = (once(sent, 'response') as Promise<[IncomingMessage]>).then(async ([response]) => ({
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: await text(response),
  }))
  answer.catch(() => undefined)
  sent.write(part)
  return { sent, answer }
}

/** Resolves once the server has read what was sent so far: a request after it on another connection is answered. */
async function settled(backend: TestBackend): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await call(`${backend.url}/health/ready`, 'GET', {})
}

const boundary = { 'content-type': 'multipart/form-data; boundary=x' }
const field = (name: string, value: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
const file = (name: string, value: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"; filename="f.txt"\r\n\r\n${value}`

describe('without a valid credential', () => {
  test('a body has 16 KiB at most', async () => {
    const backend = await start()
    const post = (headers: Record<string, string>, bytes: number) =>
      call(`${backend.url}/oauth/token`, 'POST', { ...form, ...headers }, `a=${'x'.repeat(bytes - 2)}`)
    expect((await post({}, 16 * KiB)).status).toBe(401)
    const refused = await post({}, 16 * KiB + 1)
    expect([refused.status, refused.json]).toEqual([413, { message: 'Body is longer than 16384 bytes' }])
    const authorization = basic(await backend.token('Ada'))
    expect((await post({ authorization }, 100 * KiB)).status).toBe(401)
  })

  test('a multipart body has 16 KiB at most, in all', async () => {
    const backend = await start()
    const fields = (count: number) =>
      `${Array.from({ length: count }, (_, index) => field(`n${index}`, 'x'.repeat(KiB))).join('')}--x--\r\n`
    const post = (count: number) => call(`${backend.url}/oauth/token`, 'POST', boundary, fields(count))
    expect((await post(10)).status).toBe(401)
    expect((await post(16)).status).toBe(413)
  })

  test.each(['/oauth/token', `/v1/messages/chat/${'0'.repeat(32)}`, '/messages', '/storage/x'])(
    'no file of %s is written to the disk',
    async (path) => {
      const backend = await start()
      const method = path.startsWith('/storage') ? 'GET' : 'POST'
      const headers = { ...boundary, 'transfer-encoding': 'chunked' }
      const { answer } = begin(backend.url + path, headers, file('content', 'y'.repeat(8 * KiB)), method)
      // The file has not ended, and is refused.
      expect((await answer).status).toBe(401)
      expect(await arrivingFiles(backend.dataDir)).toEqual([])
    },
  )

  test('the token of a push address lets a longer body in', async () => {
    const backend = await start()
    const { api_token: token } = (await backend.as('Ada')('GET', '/flows/example/main')).json
    const mail = {
      ...{ source: 'CI', from_address: 'ci@x.example', subject: 's', content: 'x'.repeat(30 * KiB) },
    }
    const post = (of: string) =>
      call(`${backend.url}/v1/messages/team_inbox/${of}`, 'POST', {}, mail).then(({ status }) => status)
    expect([await post(token), await post('0'.repeat(32))]).toEqual([200, 413])
  })

  test('a flow token lets one in that has it in the address, or in its first 16 KiB', async () => {
    const backend = await start()
    const { flow_token: token } = (
      await backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'CI' })
    ).json
    const discussion = {
      ...{ event: 'discussion', title: 't', external_thread_id: 'T', author: { name: 'CI' } },
      ...{ thread: { title: 't' }, body: 'x'.repeat(30 * KiB) },
    }
    const post = async (body: object, query = '') =>
      (await call(`${backend.url}/messages${query}`, 'POST', {}, body)).status
    expect(await post({ flow_token: token, ...discussion })).toBe(202)
    expect(await post({ ...discussion, flow_token: token })).toBe(413)
    expect(await post(discussion, `?flow_token=${token}`)).toBe(202)
    expect(await post({ flow_token: '0'.repeat(32), ...discussion })).toBe(413)
    const parts = (first: string, bytes: number) =>
      `${first}${Object.entries({ event: 'file', external_thread_id: 'T', 'thread[title]': 't' })
        .map(([name, value]) => field(name, value))
        .join('')}${file('content', 'y'.repeat(bytes))}\r\n--x--\r\n`
    const upload = async (body: string) =>
      (await call(`${backend.url}/messages`, 'POST', boundary, body)).status
    expect(await upload(parts(field('flow_token', token), 30 * KiB))).toBe(202)
    expect(await upload(parts(field('flow_token', '0'.repeat(32)), KiB))).toBe(401)
  })
})

describe('bodies that arrive', () => {
  const bodies = {
    ...defaultTraffic.bodies,
    ...{ stranger: 20 * KiB, allStrangers: 40 * KiB, principal: 200 * KiB },
  }
  const half = { ...form, 'content-length': 16 * KiB }
  const part = `a=${'x'.repeat(12 * KiB)}`

  test('of one address share a budget, which they give back', async () => {
    const backend = await start({ trustedProxies: 1, traffic: { bodies } })
    const url = `${backend.url}/oauth/token`
    const first = begin(url, { ...half, ...from('1.1.1.1') }, part)
    await settled(backend)
    const second = await begin(url, { ...half, ...from('1.1.1.1') }, part).answer
    expect([second.status, second.headers['retry-after']]).toEqual([429, '1'])
    const another = begin(url, { ...half, ...from('2.2.2.2') }, part)
    const member = await backend.as('Ada')('POST', '/flows/example/main/messages', {
      ...{ event: 'message', content: 'x', padding: 'x'.repeat(50 * KiB) },
    })
    expect(member.status).toBe(201)
    first.sent.end('x'.repeat(16 * KiB - part.length))
    another.sent.end('x'.repeat(16 * KiB - part.length))
    expect([(await first.answer).status, (await another.answer).status]).toEqual([401, 401])
    const again = begin(url, { ...half, ...from('1.1.1.1') }, part)
    again.sent.end('x'.repeat(16 * KiB - part.length))
    expect((await again.answer).status).toBe(401)
  })

  test('of all strangers share a budget that members do not use', async () => {
    const backend = await start({ trustedProxies: 1, traffic: { bodies } })
    const url = `${backend.url}/oauth/token`
    for (const address of ['1.1.1.1', '2.2.2.2', '3.3.3.3']) begin(url, { ...half, ...from(address) }, part)
    await settled(backend)
    const refused = await begin(url, { ...half, ...from('4.4.4.4') }, part).answer
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1'])
    expect((await backend.as('Ada')('GET', '/user')).status).toBe(200)
  })

  test('of one credential share a budget', async () => {
    const backend = await start({ traffic: { bodies } })
    const url = `${backend.url}/flows/example/main/messages`
    const headers = { authorization: basic(await backend.token('Ada')), 'content-length': 190 * KiB }
    begin(url, headers, 'x'.repeat(150 * KiB))
    await settled(backend)
    const second = await begin(url, headers, 'x'.repeat(150 * KiB)).answer
    expect([second.status, second.headers['retry-after']]).toEqual([429, '1'])
    const ben = await backend.as('Ben')('POST', '/flows/example/main/messages', {
      ...{ event: 'message', content: 'x', padding: 'x'.repeat(150 * KiB) },
    })
    expect(ben.status).toBe(201)
  })

  test('count while a field of a multipart body is not complete, and not for files that went to the disk', async () => {
    const backend = await start({ traffic: { bodies } })
    const url = `${backend.url}/flows/example/main/messages`
    const authorization = basic(await backend.token('Ada'))
    const headers = { authorization, ...boundary }
    const part = field('content', 'x'.repeat(150 * KiB)).slice(0, -10)
    const first = begin(url, headers, part)
    await settled(backend)
    const second = await begin(url, headers, part).answer
    expect(second).toMatchObject({ status: 429, text: expect.stringContaining('more than 204800 bytes') })
    first.sent.destroy()
    await settled(backend)
    const body = `${field('event', 'file')}${file('content', 'x'.repeat(2000 * KiB))}\r\n--x--\r\n`
    const response = await fetch(url, { method: 'POST', headers, body })
    expect(response.status).toBe(201)
    // What was refused counts no longer.
    const fields = `${field('event', 'message')}${field('content', 'x')}${field('padding', 'x'.repeat(190 * KiB))}--x--\r\n`
    expect((await fetch(url, { method: 'POST', headers, body: fields })).status).toBe(201)
  })

  test('have 15 MiB of fields in all, and 100 of them', async () => {
    const backend = await start()
    const headers = { ...boundary, authorization: basic(await backend.token('Ada')) }
    const post = async (count: number, bytes: number) =>
      (
        await call(
          `${backend.url}/flows/example/main/messages`,
          'POST',
          headers,
          `${field('event', 'message')}${field('content', 'x')}${Array.from({ length: count }, (_, index) =>
            field(`n${index}`, 'x'.repeat(bytes)),
          ).join('')}--x--\r\n`,
        )
      ).status
    expect(await post(3, 4 * KiB * KiB)).toBe(201)
    expect(await post(4, 4 * KiB * KiB)).toBe(413)
    expect(await post(97, 10)).toBe(201)
    expect(await post(99, 10)).toBe(413)
  })

  test('end when a stranger takes longer than allowed, and when nothing comes any more', async () => {
    const backend = await start({ strangerBodyMs: 200, bodyIdleMs: 1000 })
    const slow = begin(`${backend.url}/oauth/token`, half, part)
    const dripping = setInterval(() => slow.sent.write('x'), 20)
    onTestFinished(() => clearInterval(dripping))
    expect((await slow.answer).status).toBe(408)
    const authorization = basic(await backend.token('Ada'))
    const idle = begin(`${backend.url}/flows/example/main/messages`, { ...half, authorization }, part)
    expect((await idle.answer).status).toBe(408)
    const upload = begin(
      `${backend.url}/flows/example/main/messages`,
      { ...boundary, 'transfer-encoding': 'chunked', authorization },
      field('event', 'file') + file('content', 'abc'),
    )
    expect((await upload.answer).status).toBe(408)
  })
})

describe('requests of a minute', () => {
  test('are counted for a token in all spellings, and for no other principal', async () => {
    const backend = await start({ traffic: { requestsPerMinute: 4 } })
    const token = await backend.token('Ada')
    const base64 = (name: string) => Buffer.from(name).toString('base64')
    const spellings = [
      `Basic ${base64(`${token}:`)}`,
      `Basic ${base64(`${token}:1`)}`,
      `basic  ${base64(token)}`,
      `Bearer   ${token}`,
    ]
    const status = async (authorization: string) =>
      (await call(`${backend.url}/user`, 'GET', { authorization })).status
    for (const spelling of spellings) expect(await status(spelling)).toBe(200)
    const refused = await call(`${backend.url}/user?access_token=${token}`, 'GET', {})
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '15'])
    expect(refused.json).toEqual({ message: 'Too many requests (4 in a minute)' })
    expect(await status(basic(await backend.token('Ben')))).toBe(200)
  })

  test('are counted for the IP address without a credential, and do not affect users behind it', async () => {
    const backend = await start({ trustedProxies: 1, traffic: { strangerRequestsPerMinute: 2 } })
    const get = async (address: string, authorization = 'Bearer wrong') =>
      (await call(`${backend.url}/user`, 'GET', { ...from(address), authorization })).status
    expect([await get('1.1.1.1'), await get('1.1.1.1'), await get('1.1.1.1')]).toEqual([401, 401, 429])
    expect(await get('2.2.2.2')).toBe(401)
    expect(await get('1.1.1.1', basic(await backend.token('Ada')))).toBe(200)
  })

  test('of the server’s own gateway are not counted, and no client can pretend to be it', async () => {
    const gatewayKey = 'k'.repeat(43)
    const traffic = { requestsPerMinute: 1, strangerRequestsPerMinute: 1, streamsPerPrincipal: 1 }
    const backend = await start({ gatewayKey, traffic })
    const authorization = basic(await backend.token('Ada'))
    const get = async (key: string) =>
      (await call(`${backend.url}/user`, 'GET', { authorization, 'x-gateway-key': key })).status
    for (let turn = 0; turn < 3; turn += 1) expect(await get(gatewayKey)).toBe(200)
    expect([await get('x'), await get('x'.repeat(43))]).toEqual([200, 429])
  })
})

test('a credential has a limit of open streams, and can open another when one ended', async () => {
  const backend = await start({ traffic: { streamsPerPrincipal: 2 } })
  const open = async (nick: 'Ada' | 'Ben') => {
    const authorization = basic(await backend.token(nick))
    const stream = await openRawStream(`${backend.url}/stream/flows/example/main`, { authorization })
    onTestFinished(stream.close)
    return stream
  }
  const [one, two, three] = [await open('Ada'), await open('Ada'), await open('Ada')]
  expect([one.status, two.status, three.status]).toEqual([200, 200, 429])
  expect(three.headers['retry-after']).toBe('10')
  expect((await open('Ben')).status).toBe(200)
  one.close()
  await expect.poll(async () => (await open('Ada')).status).toBe(200)
})

test('typing has a budget of bytes', async () => {
  const backend = await start({ traffic: { typingBytesPerMinute: 520 } })
  const type = async (nick: 'Ada' | 'Ben') =>
    (await backend.as(nick)('POST', '/flows/example/main/typing', { thread_id: 'x'.repeat(60) })).status
  expect([await type('Ada'), await type('Ada'), await type('Ada')]).toEqual([200, 429, 429])
  expect(await type('Ben')).toBe(200)
  expect((await backend.as('Ada')('POST', '/private/2/typing')).status).toBe(200)
})

describe('connections', () => {
  async function open(backend: TestBackend): Promise<Socket> {
    const socket = connect(Number(new URL(backend.url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    return socket
  }

  test('without a valid credential are bounded for an address: the oldest ends', async () => {
    const backend = await start({ connections: { all: 100, strangers: 3 } })
    const member = await open(backend)
    const authorization = basic(await backend.token('Ada'))
    const ask = async (socket: Socket) => {
      socket.write(`GET /user HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`)
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      return chunk.toString().slice(0, 12)
    }
    expect(await ask(member)).toBe('HTTP/1.1 200')
    const strangers = [await open(backend), await open(backend), await open(backend)]
    const ended = once(strangers[0] as Socket, 'close')
    strangers.push(await open(backend))
    await ended
    expect(await ask(member)).toBe('HTTP/1.1 200')
    expect(await ask(strangers[3] as Socket)).toBe('HTTP/1.1 200')
  })
})
