import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { serveDownload } from '../../src/server/http/downloads.ts'
import { createTickets } from '../../src/tickets.ts'
import { basicAuthorization, parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createFileDownloads } from '../../src/upstream/flowdock/files.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { basic, type Nick } from '../support/backend.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const tickets = createTickets(['k'.repeat(32)])

const asked = `__typename id tags ... on FileMessage { file { name contentType byteSize width height url
  thumbnail { width height url } } } attachments { name url }`

async function store(nick: Nick, path: string, name: string, type: string, bytes: Uint8Array) {
  const form = new FormData()
  form.append('event', 'file')
  form.append('content', new Blob([new Uint8Array(bytes)], { type }), name)
  const headers = { authorization: basic(await app.backend.token(nick)) }
  const response = await fetch(`${app.backend.url}${path}/messages`, { method: 'POST', headers, body: form })
  expect(response.status).toBe(201)
}

async function newestFile(nick: Nick, flow: string) {
  const { data, errors } = await app.graphql(
    nick,
    `{ flow(by: { path: "${flow}" }) { messages(last: 1) { nodes { ${asked} } } } }`,
  )
  expect(errors).toBeUndefined()
  return data.flow.messages.nodes[0]
}

describe('a file is read through the gateway', () => {
  test('at an address without a credential, with its name and type, harmless to browsers', async () => {
    const bytes = new TextEncoder().encode('<script>alert(1)</script>')
    await store('Ada', '/flows/example/engineering', 'pägé 1.html', 'text/html', bytes)
    const { file, attachments } = await newestFile('Ben', 'example/engineering')
    expect(file).toMatchObject({
      name: 'pägé 1.html',
      contentType: 'text/html',
      byteSize: 25,
      thumbnail: null,
    })
    expect(file.url).toMatch(/^\/files\/[\w-]{44,}\/p%C3%A4g%C3%A9%201\.html$/)
    expect(attachments).toEqual([{ name: file.name, url: file.url }])
    const answer = await fetch(app.url + file.url)
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe('<script>alert(1)</script>')
    expect(answer.headers.get('content-disposition')).toContain('attachment')
    expect(answer.headers.get('content-security-policy')).toContain('sandbox')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('location')).toBeNull()
    const head = await fetch(app.url + file.url, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '25'])
  })

  test('in parts, as players do', async () => {
    await store(
      'Ada',
      '/flows/example/main',
      'digits.txt',
      'text/plain',
      new TextEncoder().encode('0123456789'),
    )
    const { file } = await newestFile('Ada', 'example/main')
    const part = async (range: string) => {
      const answer = await fetch(app.url + file.url, { headers: { range } })
      return [answer.status, answer.headers.get('content-range'), await answer.text()]
    }
    expect(await part('bytes=2-4')).toEqual([206, 'bytes 2-4/10', '234'])
    expect(await part('bytes=7-')).toEqual([206, 'bytes 7-9/10', '789'])
    expect(await part('bytes=-2')).toEqual([206, 'bytes 8-9/10', '89'])
    expect(await part('bytes=5-100')).toEqual([206, 'bytes 5-9/10', '56789'])
    expect(await part('bytes=10-')).toEqual([416, 'bytes */10', ''])
    expect(await part('bytes=oops')).toEqual([200, null, '0123456789'])
  })

  test('with a thumbnail for an image', async () => {
    const image = await sharp({ create: { width: 400, height: 200, channels: 3, background: 'navy' } })
      .png()
      .toBuffer()
    await store('Ada', '/flows/example/main', 'wide.png', 'image/png', image)
    const { file } = await newestFile('Ada', 'example/main')
    expect(file).toMatchObject({ width: 400, height: 200, thumbnail: { width: 100, height: 50 } })
    const answer = await fetch(app.url + file.thumbnail.url)
    expect(await sharp(await answer.arrayBuffer()).metadata()).toMatchObject({ width: 100, height: 50 })
  })

  test('privately by the two alone', async () => {
    await store('Ada', '/private/2', 'secret.txt', 'text/plain', new TextEncoder().encode('between us'))
    const read = async (nick: Nick, other: Nick) => {
      const user = (await app.graphql(other, '{ viewer { id } }')).data.viewer.id
      const query = `query ($user: ID!) { privateConversation(userId: $user) { messages(last: 1) { nodes { ${asked} } } } }`
      return (await app.graphql(nick, query, { user })).data.privateConversation.messages.nodes[0]
    }
    const { file } = await read('Ben', 'Ada')
    expect(await (await fetch(app.url + file.url)).text()).toBe('between us')
    expect(await read('Cleo', 'Ada')).toBeUndefined()
  })
})

describe('a file is not read', () => {
  test('by a ticket that is none, another method, or after access was lost', async () => {
    const { data } = await app.graphql(
      'Ada',
      'mutation { createFlow(input: { organizationId: "T3JnYW5pemF0aW9uOjE", name: "Closing" }) { __typename } }',
    )
    expect(data.createFlow.__typename).toBe('FlowPayload')
    await app.backend.as('Ada')('POST', '/flows/example/closing/users', { id: 2 })
    await store('Ada', '/flows/example/closing', 'x.txt', 'text/plain', new TextEncoder().encode('x'))
    const { file } = await newestFile('Ben', 'example/closing')
    expect((await fetch(app.url + file.url)).status).toBe(200)
    await app.backend.as('Ada')('PUT', '/flows/example/closing/users/2', { disabled: true })
    const lost = await fetch(app.url + file.url)
    expect([lost.status, (await lost.json()).errors[0].extensions.code]).toEqual([404, 'NOT_FOUND'])
    expect((await fetch(`${app.url}/files/${'x'.repeat(150)}/x.txt`)).status).toBe(404)
    expect((await fetch(`${app.url}/files/short/x.txt`)).status).toBe(404)
    expect((await fetch(app.url + file.url, { method: 'POST' })).status).toBe(405)
  })
})

test('a ticket is the same for the same principal and file for a while, different for others, and expires', async () => {
  let now = 0
  const http = createHttp({ deadlineMs: 1000, maxBytes: 1000, connections: 1 })
  const downloads = createFileDownloads({
    ...{ http, restUrl: 'http://127.0.0.1:1', now: () => now },
    tickets: createTickets(['k'.repeat(32)], () => now),
  })
  const credential = (token: string) => {
    const parsed = parseAuthorization(basicAuthorization(token))
    if (parsed === null) throw new Error('no credential')
    return parsed
  }
  const first = downloads.address(credential('a'), '/files/1/t/x.png')
  expect(downloads.address(credential('a'), '/files/1/t/x.png')).toBe(first)
  expect(downloads.address(credential('b'), '/files/1/t/x.png')).not.toBe(first)
  expect(downloads.address(credential('a'), '/files/1/u/x.png')).not.toBe(first)
  now = 8 * 60_000
  expect(downloads.address(credential('a'), '/files/1/t/x.png')).not.toBe(first)
  now = 16 * 60_000
  const ticket = first.split('/')[2] ?? ''
  await expect(downloads.open(ticket, undefined, AbortSignal.timeout(1000))).rejects.toThrow('has expired')
  await http.close()
})

test('the credential goes to the upstream alone, wherever it sends the reader', async () => {
  const storage = await startScriptedUpstream((_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('from storage')
  })
  const upstream = await startScriptedUpstream((_, response) => {
    response.writeHead(302, { location: `${storage.url}/bucket/x` }).end()
  })
  const http = createHttp({ deadlineMs: 1000, maxBytes: 1000, connections: 1 })
  const downloads = createFileDownloads({ http, tickets, restUrl: upstream.url, fileHosts: ['127.0.0.1'] })
  const credential = parseAuthorization(basicAuthorization('secret'))
  if (credential === null) throw new Error('no credential')
  const open = async (path: string) => {
    const [, , ticket = ''] = downloads.address(credential, path).split('/')
    const { chunks } = await downloads.open(ticket, 'bytes=0-3', AbortSignal.timeout(1000))
    let text = ''
    for await (const chunk of chunks) text += Buffer.from(chunk).toString()
    return text
  }
  expect(await open('/files/1/t/x.txt')).toBe('from storage')
  expect(upstream.requests[0]?.headers.authorization).toBe(basic('secret'))
  expect(storage.requests[0]?.headers).not.toHaveProperty('authorization')
  expect(storage.requests[0]?.headers.range).toBe('bytes=0-3')
  // A path of the upstream's never leads to another host.
  for (const path of ['//evil.example/x', 'https://evil.example/x', '/\\evil.example/x'])
    expect(await open(path), path).toBe('from storage')
  expect(upstream.requests).toHaveLength(4)
  await http.close()
})

test.each([
  'http://127.0.0.1:PORT/x',
  'http://localhost:PORT/x',
  'http://2130706433:PORT/x',
  'http://0x7f.1:PORT/x',
  'http://[::1]:PORT/x',
  'http://[::ffff:127.0.0.1]:PORT/x',
  'http://169.254.169.254/latest/meta-data',
  '//10.0.0.1/x',
  'file:///etc/passwd',
])('an upstream that sends the reader to %s, in our own network, is not believed', async (to) => {
  const inside = await startScriptedUpstream((_, response) => response.writeHead(200).end('secret'))
  const location = to.replace('PORT', new URL(inside.url).port)
  const upstream = await startScriptedUpstream((_, response) => response.writeHead(302, { location }).end())
  const http = createHttp({ deadlineMs: 1000, maxBytes: 1000, connections: 1 })
  const downloads = createFileDownloads({ http, tickets, restUrl: upstream.url })
  const credential = parseAuthorization(basicAuthorization('secret'))
  if (credential === null) throw new Error('no credential')
  const [, , ticket = ''] = downloads.address(credential, '/files/1/t/x.txt').split('/')
  await expect(downloads.open(ticket, undefined, AbortSignal.timeout(1000))).rejects.toMatchObject({
    code: 'UPSTREAM_INVALID',
  })
  expect(inside.requests).toEqual([])
  await http.close()
})

test('a file that its storage compresses is requested uncompressed, and keeps its encoding otherwise', async () => {
  const upstream = await startScriptedUpstream((_, response) => {
    const bytes = gzipSync('what was stored')
    response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end(bytes)
  })
  const http = createHttp({ deadlineMs: 1000, maxBytes: 1000, connections: 1 })
  onTestFinished(() => http.close())
  const downloads = createFileDownloads({ http, tickets, restUrl: upstream.url })
  const credential = parseAuthorization(basicAuthorization('secret'))
  if (credential === null) throw new Error('no credential')
  const [, , ticket = ''] = downloads.address(credential, '/files/1/t/x.txt').split('/')
  const server = createServer((request, response) =>
    serveDownload(ticket, request, response, (...args) => downloads.open(...args)),
  ).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const answer = await fetch(`http://127.0.0.1:${port}/`)
  expect(answer.headers.get('content-encoding')).toBe('gzip')
  expect(await answer.text()).toBe('what was stored')
  expect(upstream.requests[0]?.headers['accept-encoding']).toBe('identity')
})

test('what the upstream calls itself to the outside is read where it is', async () => {
  const publicUrl = 'https://api.team.example'
  const upstream = await startScriptedUpstream((request, response) => {
    if (request.url?.startsWith('/storage/')) response.writeHead(200).end('from inside')
    else response.writeHead(302, { location: `${publicUrl}/storage/x?signature=s` }).end()
  })
  const http = createHttp({ deadlineMs: 1000, maxBytes: 1000, connections: 1 })
  const downloads = createFileDownloads({ http, tickets, restUrl: upstream.url, publicUrl })
  const credential = parseAuthorization(basicAuthorization('secret'))
  if (credential === null) throw new Error('no credential')
  const [, , ticket = ''] = downloads.address(credential, '/files/1/t/x.txt').split('/')
  const { chunks } = await downloads.open(ticket, undefined, AbortSignal.timeout(1000))
  for await (const chunk of chunks) expect(Buffer.from(chunk).toString()).toBe('from inside')
  expect(upstream.requests.at(-1)?.url).toBe('/storage/x?signature=s')
  await http.close()
})
