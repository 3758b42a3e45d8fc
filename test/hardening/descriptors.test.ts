import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { post } from '../support/app.ts'
import { root } from '../support/process.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

test('more connections than the system has files for are waited for, and nothing else happens', async () => {
  const upstream = await startScriptedUpstream((request, response) => {
    request.resume()
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end('{"id":1,"nick":"Ada","name":"Ada","email":"","avatar":""}')
  })
  const gateway = spawn('bash', ['-c', `ulimit -n 150; exec "${process.execPath}" src/main.ts serve`], {
    cwd: root,
    env: {
      PATH: process.env['PATH'] ?? '',
      PORT: '0',
      FLOWDOCK_API_URL: upstream.url,
      MAX_CONNECTIONS_PER_IP: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(gateway, 'close')
  onTestFinished(async () => {
    gateway.kill('SIGKILL')
    await exited
  })
  let output = ''
  for (const stream of [gateway.stdout, gateway.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  await expect.poll(() => output).toMatch(/GraphQL +http:\S+\/graphql/)
  const [, url = ''] = /GraphQL +(http:\S+)\/graphql/.exec(output) ?? []
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  for (let index = 0; index < 400; index += 1) {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    sockets.push(socket)
  }
  await expect.poll(() => sockets.filter(({ connecting }) => connecting).length).toBe(0)
  for (const socket of sockets) socket.destroy()
  await expect
    .poll(
      async () => (await post(url, { query: '{ viewer { nick } }' }, 'x').catch(() => ({ data: null }))).data,
    )
    .toEqual({ viewer: { nick: 'Ada' } })
  expect(gateway.exitCode).toBeNull()
  gateway.kill('SIGTERM')
  expect((await exited)[0]).toBe(0)
})
