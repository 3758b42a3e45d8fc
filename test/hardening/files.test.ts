import { request } from 'node:http'
import { gzipSync } from 'node:zlib'
import { parse } from 'content-disposition'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createTickets } from '../../src/tickets.ts'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createFileDownloads } from '../../src/upstream/flowdock/files.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { eventually, post, startTestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'
import { openScriptedUpstream } from '../support/upstream.ts'

/* Files that are not what they should be, and those who send or read them badly. */

let fortress: Fortress
beforeAll(async () => {
  fortress = await startFortress()
})
afterAll(() => fortress.close())

const createUpload =
  'mutation ($name: String!, $type: String!) { createUpload(input: { flow: { path: "example/main" }, name: $name, contentType: $type }) { __typename ... on UserError { code } ... on CreateUploadPayload { url } } }'

async function create(name: string, type = 'text/plain') {
  const { data, errors } = await fortress.post({ query: createUpload, variables: { name, type } })
  return { outcome: data?.createUpload, errors }
}

async function newest() {
  const { data } = await fortress.post({
    query:
      '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { ... on FileMessage { file { name url contentType } } } } } }',
  })
  return data.flow.messages.nodes[0].file as { name: string; url: string; contentType: string }
}

const incoming = () => arrivingFiles(fortress.app.backend.dataDir)

describe('a name', () => {
  test.each([
    '../../../etc/passwd',
    '..\\..\\windows\\system32',
    '/etc/passwd',
    'a"; filename="b.exe',
    'a\r\nX-Evil: 1',
    'a\u0000.txt',
    'a\u202egpj.exe',
    '.',
    '..',
    ' ',
    '😀'.repeat(60),
    '%2e%2e%2f',
    '<img src=x onerror=alert(1)>.html',
    'CON',
  ])('%j stays a name, on the disk and in headers, or is refused', async (name) => {
    const { outcome, errors } = await create(name)
    if (outcome?.url === undefined) {
      expect(outcome?.code ?? errors?.[0]?.extensions?.['code']).toMatch(
        /^(BAD_USER_INPUT|UPSTREAM_INVALID)$/,
      )
      return
    }
    const sent = await fetch(fortress.url + outcome.url, { method: 'PUT', body: 'hello' })
    expect(sent.status).toBeLessThan(500)
    if (sent.status >= 300) return
    const file = await newest()
    expect(file.url).toMatch(/^\/files\/[\w-]{44,}\/[^/?#]+$/)
    const answer = await fetch(fortress.url + file.url)
    expect([answer.status, await answer.text()]).toEqual([200, 'hello'])
    expect(answer.headers.get('x-evil')).toBeNull()
    const disposition = answer.headers.get('content-disposition') ?? ''
    expect(disposition).toMatch(/^(attachment|inline); filename=[\x20-\x7e]+$/)
    const { parameters } = parse(disposition)
    expect(Object.keys(parameters)).toEqual(['filename'])
    expect(parameters['filename']).not.toMatch(/[/\\\p{Cc}]/u)
  })

  test('of 10 KB is refused', async () => {
    const { outcome, errors } = await create('x'.repeat(10_000))
    expect(outcome?.url).toBeUndefined()
    expect(outcome?.code ?? errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT')
  })
})

test.each(['text/html', 'image/svg+xml', 'application/javascript', 'text/xml', 'application/xhtml+xml'])(
  'a file of type %s runs nowhere',
  async (type) => {
    const { outcome } = await create('page', type)
    await fetch(fortress.url + outcome.url, { method: 'PUT', body: '<script>alert(1)</script>' })
    const answer = await fetch(fortress.url + (await newest()).url)
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(answer.headers.get('content-security-policy')).toContain('sandbox')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    await answer.text()
  },
)

test.each([
  '/files/x',
  '/files/../../etc/passwd',
  '/files/..%2f..%2fetc/passwd',
  `/files/${'a'.repeat(150)}/x`,
  `/files/${'a'.repeat(150)}/../x`,
  '/files//x',
  '/uploads/',
  '/uploads/../graphql',
  '/graphiql/../../package.json',
  '/graphiql/..%2f..%2fpackage.json',
])('%s is nothing', async (path) => {
  const status = await new Promise<number>((resolve, reject) => {
    request(`${fortress.url}${path}`, { path }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .on('error', reject)
      .end()
  })
  expect(status).toBe(404)
})

test('clients that leave in the middle leave nothing, however many', async () => {
  await fortress.beside(async () => {
    for (let round = 0; round < 5; round += 1) {
      const uploads = await Promise.all(Array.from({ length: 10 }, () => create('half.bin')))
      await Promise.all(
        uploads.map(async ({ outcome }, index) => {
          const sending = request(fortress.url + outcome.url, {
            method: 'PUT',
            headers: { 'content-length': 1_000_000 },
          })
          sending.on('error', () => undefined)
          await new Promise<void>((resolve) =>
            sending.write('x'.repeat((index + 1) * 90_000), () => resolve()),
          )
          sending.destroy()
        }),
      )
    }
  })
  await eventually(async () => (await incoming()).length === 0)
})

test('readers who leave in the middle leave nothing, however many', async () => {
  const { outcome } = await create('big.bin', 'application/octet-stream')
  await fetch(fortress.url + outcome.url, { method: 'PUT', body: new Uint8Array(8 * 1024 * 1024) })
  const { url } = await newest()
  await fortress.beside(async () => {
    for (let count = 0; count < 200; count += 1) {
      const gone = new AbortController()
      const answer = await fetch(fortress.url + url, { signal: gone.signal })
      await answer.body?.getReader().read()
      gone.abort()
    }
  })
  // All fifty that one address may have at once are free again.
  const all = await Promise.all(
    Array.from({ length: 40 }, () => fetch(fortress.url + url, { method: 'HEAD' })),
  )
  expect(all.map(({ status }) => status)).toEqual(all.map(() => 200))
})

test('a file of the upstream that would be much longer inflated is passed on as it is', async () => {
  const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024))
  const upstream = await openScriptedUpstream((_, response) =>
    response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end(bomb),
  )
  const http = createHttp({ deadlineMs: 1000, maxBytes: 1000, connections: 1 })
  onTestFinished(async () => {
    await http.close()
    await upstream.close()
  })
  const downloads = createFileDownloads({
    ...{ http, restUrl: upstream.url },
    tickets: createTickets(['k'.repeat(32)]),
  })
  const credential = parseAuthorization(basic('x'))
  if (credential === null) throw new Error('no credential')
  const [, , ticket = ''] = downloads.address(credential, '/files/1/t/x.txt').split('/')
  const { chunks } = await downloads.open(ticket, undefined, AbortSignal.timeout(5000))
  let length = 0
  for await (const chunk of chunks) length += chunk.length
  expect(length).toBe(bomb.length)
})

test('markup in names and messages is data wherever it is answered', async () => {
  const markup = '<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))'
  const { data } = await fortress.post({
    query:
      'mutation ($content: String!) { sendMessage(input: { flow: { path: "example/main" }, content: $content }) { ... on SendMessagePayload { sentMessage { ... on ChatMessage { content } } } } }',
    variables: { content: markup },
  })
  expect(data.sendMessage.sentMessage.content).toBe(markup)
  for (const accept of ['application/json', '*/*', 'text/plain']) {
    const answer = await fetch(
      `${fortress.url}/graphql?query=${encodeURIComponent('{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { ... on ChatMessage { content } } } } }')}`,
      { headers: { authorization: basic(fortress.token), accept, 'x-requested-with': 'x' } },
    )
    const text = await answer.text()
    if (accept === 'text/plain' && answer.status === 406) continue
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^application\/(graphql-response\+)?json/)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(JSON.parse(text).data.flow.messages.nodes).toEqual([{ content: markup }])
  }
})

test.each([
  [500, 502],
  [413, 400],
  [403, 403],
  [429, 429],
])(
  'an upstream that answers %i before it has the whole file is passed on as %i at once',
  async (answered, status) => {
    const upstream = await openScriptedUpstream((request, response) => {
      if (request.method === 'GET')
        return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":1}')
      request.once('data', () =>
        response
          .writeHead(answered, { 'content-type': 'application/json', connection: 'close' })
          .end('{"message":"secret reason"}'),
      )
    })
    const app = await startTestApp({ upstreamUrl: upstream.url })
    onTestFinished(async () => {
      await app.close()
      await upstream.close()
    })
    const { data } = await post(
      app.url,
      { query: createUpload, variables: { name: 'a', type: 'text/plain' } },
      'x',
    )
    const begun = Date.now()
    const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const sending = request(
        app.url + data.createUpload.url,
        { method: 'PUT', headers: { authorization: basic('x') } },
        (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        },
      )
      sending.on('error', reject)
      sending.write('x'.repeat(100_000))
    })
    expect(answer.status).toBe(status)
    expect(answer.text).not.toContain('secret reason')
    expect(Date.now() - begun).toBeLessThan(3000)
  },
)
