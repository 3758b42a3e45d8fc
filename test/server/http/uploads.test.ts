import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { RateLimitedError } from '../../../src/errors.ts'
import { serveUpload } from '../../../src/server/http/uploads.ts'

test('a file that cannot be stored now says when to send it again', async () => {
  const send = () => Promise.reject(new RateLimitedError('The upstream asks to slow down', 2500))
  const server = createServer((request, response) => void serveUpload('ticket', request, response, send))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const refused = await fetch(`http://127.0.0.1:${port}/uploads/ticket`, { method: 'PUT', body: 'bytes' })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3'])
  expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] })
})
