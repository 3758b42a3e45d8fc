import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Fortress, startFortress } from '../support/fortress.ts'
import { heapInUse } from '../support/memory.ts'
import { openScriptedUpstream, startScriptedUpstream } from '../support/upstream.ts'

/* An upstream that is not what it should be, and names that want to lead elsewhere in it. */

const canary = 'canary-5f2d'
const user = { id: 1, nick: 'Ada', name: 'Ada', email: 'a@b', avatar: '', status: null, disabled: false }

type Answer = (request: IncomingMessage, response: ServerResponse) => void

describe('an answer of the upstream', () => {
  let fortress: Fortress
  let upstream: Awaited<ReturnType<typeof openScriptedUpstream>>
  let answer: Answer = () => undefined

  beforeAll(async () => {
    upstream = await openScriptedUpstream((request, response) => {
      request.resume()
      response.on('error', () => undefined)
      answer(request, response)
    })
    fortress = await startFortress({ upstreamUrl: upstream.url })
  })
  afterAll(async () => {
    await fortress.close()
    await upstream.close()
  })

  const json = (
    body: string | Buffer,
    headers: Record<string, string | string[]> = {},
    status = 200,
  ): Answer => {
    return (_, response) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  }
  const fill = (piece: string | Buffer, times: number): Answer => {
    return (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      let left = times
      const send = () => {
        left -= 1
        if (response.destroyed) return
        if (left < 0) return void response.end()
        response.write(piece, send)
      }
      send()
    }
  }

  test.each<[string, Answer, string]>([
    ['of 64 MiB', fill('[1,2,3,4,5,6,7,8]'.repeat(4096), 1000), 'UPSTREAM_INVALID'],
    [
      'that says it is shorter than it is',
      (_, response) => {
        response.socket?.write(
          'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{"id":1,"nick":"x"}',
        )
      },
      'UPSTREAM_INVALID',
    ],
    [
      'that says it is longer than it is',
      (_, response) => {
        response.socket?.end(
          'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"id":1}',
        )
      },
      'UPSTREAM_UNAVAILABLE',
    ],
    [
      'that is no HTTP',
      (_, response) => void response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n'),
      'UPSTREAM_UNAVAILABLE',
    ],
    ['that is cut', (_, response) => void response.socket?.destroy(), 'UPSTREAM_UNAVAILABLE'],
    ['that nests 100,000 deep', json('['.repeat(100_000) + ']'.repeat(100_000)), 'UPSTREAM_INVALID'],
    ['that is broken', json('{"id":1,'), 'UPSTREAM_INVALID'],
    [
      'that is a page',
      (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${canary}`),
      'UPSTREAM_INVALID',
    ],
    ['that is empty', json(''), 'UPSTREAM_INVALID'],
    ['that is null', json('null'), 'UPSTREAM_INVALID'],
    ['that is a list', json('[1]'), 'UPSTREAM_INVALID'],
    ['that is something else', json(`{"id":"${canary}"}`), 'UPSTREAM_INVALID'],
    ['that has ancestors for members', json('{"__proto__":{"id":1,"nick":"x"}}'), 'UPSTREAM_INVALID'],
    [
      'that is compressed without being asked',
      json(gzipSync(JSON.stringify(user)), { 'content-encoding': 'gzip' }),
      'UPSTREAM_INVALID',
    ],
    [
      'that is a bomb',
      json(gzipSync(Buffer.alloc(64 * 1024 * 1024)), { 'content-encoding': 'gzip' }),
      'UPSTREAM_INVALID',
    ],
    [
      'with a thousand long headers',
      (_, response) => {
        response.socket?.end(
          `HTTP/1.1 200 OK\r\n${Array.from({ length: 1000 }, (_, i) => `X-${i}: ${'y'.repeat(16_000)}\r\n`).join('')}\r\n`,
        )
      },
      'UPSTREAM_UNAVAILABLE',
    ],
    ['that leads elsewhere', json('', { location: `http://127.0.0.1:9/${canary}` }, 302), 'UPSTREAM_INVALID'],
    ['that leads to itself', json('', { location: '/user' }, 301), 'UPSTREAM_INVALID'],
    [
      'of 500 with its reasons',
      json(`{"message":"${canary}","stack":"at x (/srv/app.js:1)"}`, {}, 500),
      'UPSTREAM_UNAVAILABLE',
    ],
    [
      'of 401 with its reasons',
      json(`{"message":"${canary}"}`, { 'www-authenticate': `Basic realm="${canary}"` }, 401),
      'UNAUTHENTICATED',
    ],
    ['of 403 with its reasons', json(`{"message":"${canary}"}`, {}, 403), 'FORBIDDEN'],
    ['of 418', json(`{"message":"${canary}"}`, {}, 418), 'UPSTREAM_INVALID'],
    [
      'of 200 with cookies',
      json(`{"x":1}`, { 'set-cookie': `a=${canary}`, 'access-control-allow-origin': '*' }),
      'UPSTREAM_INVALID',
    ],
  ])('%s is a failure of its own, of which nothing is passed on', async (_, how, code) => {
    // Otherwise the upstream would soon be left alone.
    answer = json(JSON.stringify(user))
    for (let count = 0; count < 5; count += 1) await fortress.post({ query: '{ viewer { nick } }' })
    answer = how
    const before = heapInUse()
    const { body, text } = await fortress.send({
      headers: { 'content-type': 'application/json', authorization: `Bearer ${fortress.token}` },
      body: '{"query":"{ viewer { nick } }"}',
    })
    expect(text).not.toContain(canary)
    expect(body.errors?.[0]?.extensions?.['code']).toBe(code)
    expect(heapInUse() - before).toBeLessThan(16 * 1024 * 1024)
  })

  test.each([
    ['3', 3000],
    ['1e9', undefined],
    ['99999999999', 300_000],
    ['-5', 0],
    ['soon', undefined],
    [new Date(Date.now() + 7200_000).toUTCString(), 300_000],
    ['', undefined],
  ])('of 429 with Retry-After %j asks to wait %s ms', async (value, expected) => {
    answer = json('', value === '' ? {} : { 'retry-after': value }, 429)
    const { errors } = await fortress.post({ query: '{ viewer { nick } }' })
    expect(errors?.[0]?.extensions?.['code']).toBe('RATE_LIMITED')
    expect(errors?.[0]?.extensions?.['retryAfterMs']).toBe(expected)
  })

  test('as it should be is passed on', async () => {
    answer = json(JSON.stringify(user), { 'set-cookie': 'a=b', 'x-powered-by': 'x' })
    expect((await fortress.post({ query: '{ viewer { nick } }' })).data).toEqual({ viewer: { nick: 'Ada' } })
  })
})

describe('a name in an address of the upstream', () => {
  const names = [
    ...[
      '../users',
      '..%2f..%2fusers',
      '%2e%2e',
      '..',
      '.',
      'a\\b',
      'a?x=1',
      'a#x',
      'a;b',
      'a b',
      'a%00b',
      'a\u0000b',
    ],
    ...[
      'a／b',
      'a&user=1',
      'a,b',
      '\r\nX-Evil: 1',
      'ä',
      '😀',
      'x'.repeat(3000),
      '%',
      '%zz',
      'a//b',
      '@evil.example',
      ':80',
    ],
  ]

  test.each(names)('stays one segment: %j', async (name) => {
    const lines: string[] = []
    const upstream = await startScriptedUpstream((request, response) => {
      lines.push(`${request.method} ${request.url}`)
      expect(request.headers['x-evil']).toBeUndefined()
      request.resume()
      response.writeHead(404, { 'content-type': 'application/json' }).end('{}')
    })
    const fortress = await startFortress({ upstreamUrl: upstream.url })
    onTestFinished(fortress.close)
    const by = (value: unknown) =>
      fortress.post({ query: 'query ($by: FlowBy!) { flow(by: $by) { name } }', variables: { by: value } })
    await by({ path: `acme/${name}` })
    await by({ path: `${name}/main` })
    await by({ id: name })
    await fortress.post({
      query: 'query ($slug: String!) { organization(by: { slug: $slug }) { name } }',
      variables: { slug: name },
    })
    await fortress.post({
      query: 'query ($id: ID!) { node(id: $id) { id } }',
      variables: { id: Buffer.from(`Flow:${name}`).toString('base64url') },
    })
    await fortress.post({
      query: 'query ($text: String!) { search(text: $text) { nodes { __typename } } }',
      variables: { text: name },
    })
    for (const line of lines) {
      expect(line).toMatch(
        /^(GET|POST) (\/flows\/[^/?#]+\/[^/?#]+(\/messages)?(\?[^#]*)?|\/(flows|organizations)\/find\?id=[^&#]*|\/organizations\/[^/?#]+|\/(search|capabilities|user|flows)(\?[^#]*)?)$/,
      )
      expect(line).not.toMatch(/\/\.\.?(\/|$|\?)/)
      expect(line).not.toMatch(/[?&]user=1/)
    }
  })
})
