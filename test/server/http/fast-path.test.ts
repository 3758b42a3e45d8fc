import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { GraphQLError } from 'graphql'
import { expect, test } from 'vitest'
import { CachedBody } from '../../../src/graphql/cached-body.ts'
import type { Answer } from '../../../src/server/engine.ts'
import { Exchange } from '../../../src/server/http/exchange.ts'
import { sendAnswer } from '../../../src/server/http/fast-path.ts'
import { NodeRequest } from '../../../src/server/http/http-request.ts'
import type { JsonType } from '../../../src/server/negotiation.ts'

const json: JsonType = 'application/json; charset=utf-8'
const graphql: JsonType = 'application/graphql-response+json; charset=utf-8'

/** What the fast path writes for an answer of the engine. */
async function respond(
  answer: Answer,
  {
    method = 'POST',
    headers = {},
    type = json,
  }: { method?: string; headers?: Record<string, string>; type?: JsonType } = {},
) {
  const request = Object.assign(new IncomingMessage(new Socket()), { method, headers })
  const response = new ServerResponse(request)
  const chunks: Buffer[] = []
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      chunks.push(chunk)
      done()
    },
  })
  response.assignSocket(socket as Socket)
  const sent = once(response, 'finish')
  sendAnswer(new Exchange(new NodeRequest(request, response), undefined, () => undefined), answer, type)
  await sent
  const bytes = Buffer.concat(chunks)
  const body = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
  return { status: response.statusCode, headers: response.getHeaders(), head: bytes.toString('latin1'), body }
}

const whole = (text: string): Answer => ({ body: text, isWhole: true })

test('a result is written with its length and type, and no cache may store the response to a POST', async () => {
  const { status, head, body } = await respond(whole('{"data":{"a":"é"}}'), { type: graphql })
  expect([status, body.toString()]).toEqual([200, '{"data":{"a":"é"}}'])
  expect(head).toContain(`Content-Type: ${graphql}`)
  expect(head).toContain('Content-Length: 19')
  expect(head).toContain('Cache-Control: no-store')
})

test('a GET gets a tag, and the status 304 without a body when it sends the tag again', async () => {
  const first = await respond(whole('{"data":1}'), { method: 'GET' })
  const [, tag = ''] = /ETag: (\S+)/.exec(first.head) ?? []
  const again = await respond(whole('{"data":1}'), { method: 'GET', headers: { 'if-none-match': tag } })
  expect([again.status, again.body.length]).toEqual([304, 0])
  const changed = await respond(whole('{"data":2}'), { method: 'GET', headers: { 'if-none-match': tag } })
  expect(changed.status).toBe(200)
})

test('a result with errors gets no tag', async () => {
  const { head } = await respond({ body: '{"data":null}', isWhole: false }, { method: 'GET' })
  expect(head).not.toContain('ETag')
})

test('4 KiB are compressed for a client that accepts gzip; less is not', async () => {
  const gzip = { headers: { 'accept-encoding': 'gzip' } }
  const long = 'x'.repeat(4096)
  const compressed = await respond(whole(long), gzip)
  expect(compressed.head).toContain('Content-Encoding: gzip')
  expect(gunzipSync(compressed.body).toString()).toBe(long)
  expect((await respond(whole(long.slice(1)), gzip)).head).not.toContain('Content-Encoding')
  expect((await respond(whole(long))).head).not.toContain('Content-Encoding')
})

test('a cached body is the same response as its text, with the same tag and length', async () => {
  const text = `{"data":"${'é'.repeat(5000)}"}`
  const gzip = { 'accept-encoding': 'gzip' }
  const cached: Answer = { body: new CachedBody(text), isWhole: true }
  const fresh = await respond(whole(text), { method: 'GET' })
  const again = await respond(cached, { method: 'GET' })
  expect([again.headers, again.body]).toEqual([fresh.headers, fresh.body])
  expect(again.headers['content-length']).toBe(Buffer.byteLength(text))
  const compressed = await respond(cached, { method: 'GET', headers: gzip })
  expect(gunzipSync(compressed.body).toString()).toBe(text)
  expect(compressed.headers['etag']).toBe(fresh.headers['etag'])
  expect((await respond(cached, { method: 'GET', headers: gzip })).body).toEqual(compressed.body)
})

test('errors that kept the operation from being executed have a status in the type of GraphQL only', async () => {
  const errors = [new GraphQLError('x', { extensions: { code: 'FORBIDDEN' } })]
  const answer = { body: JSON.stringify({ errors }), isWhole: false, errors }
  expect((await respond(answer, { type: graphql })).status).toBe(403)
  expect((await respond(answer)).status).toBe(200)
})
