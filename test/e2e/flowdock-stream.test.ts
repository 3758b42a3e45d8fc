import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startTestBackend } from '../support/backend.ts'
import { run } from '../support/process.ts'

/** The client as its readme uses it. It knows only the service's own hosts; a proxy is one of the options it takes. */
const bot = `
const { createClient } = require(${JSON.stringify(createRequire(import.meta.url).resolve('flowdock-stream'))})
const print = (type, value) => console.log(JSON.stringify({ type, value }))
const client = createClient('Example', ['Main', 'Support'], process.env.TOKEN, { proxy: process.env.PROXY, tunnel: false })
client.on('error', (error) => print('error', String(error)))
client.on('ready', () => {
  print('ready', Object.values(client.flows).map(({ name, users }) => ({ name, nicks: Object.values(users) })))
  client.getUsers('Main', (error, users) => print('users', users))
})
client.on('data', (message) => {
  print('heard', { event: message.event, content: message.content, user: message.user })
  if (message.content === 'ping') client.send('Main', 'pong', message.id)
})
`

/** A proxy that leads every host to the backend. */
async function startProxy(target: string): Promise<string> {
  const proxy = createServer((incoming, response) => {
    const url = new URL(incoming.url ?? '')
    const { method, headers } = incoming
    const outgoing = request(
      target + url.pathname + url.search,
      { method: method ?? 'GET', headers: { ...headers, host: url.host } },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    outgoing.on('error', () => response.destroy())
    incoming.pipe(outgoing)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
}

test('flowdock-stream works unchanged: it lists flows and users, reads a stream and comments', async () => {
  const backend = await startTestBackend({ keepAliveMs: 100 })
  onTestFinished(backend.close)
  const client = run(['--no-deprecation', '-e', bot], {
    TOKEN: await backend.token('Cleo'),
    PROXY: await startProxy(backend.url),
  })
  const line = async (type: string) =>
    JSON.parse((await client.until(new RegExp(`^\\{"type":"${type}".*$`, 'm')))[0]).value
  expect(await line('ready')).toEqual([
    { name: 'main', nicks: ['Ada', 'Ben', 'Cleo'] },
    { name: 'support', nicks: ['Ada', 'Cleo'] },
  ])
  expect(await line('users')).toEqual({ 1: 'Ada', 2: 'Ben', 3: 'Cleo' })
  const ada = backend.as('Ada')
  const { json: ping } = await ada('POST', '/flows/example/main/messages', {
    event: 'message',
    content: 'ping',
  })
  expect(await line('heard')).toEqual({ event: 'message', content: 'ping', user: '1' })
  const [, comment] = await client.until(/^(\{"type":"heard".*"comment".*)$/m)
  expect(JSON.parse(comment as string).value).toEqual({
    event: 'comment',
    content: { title: 'ping', text: 'pong' },
    user: '3',
  })
  expect((await ada('GET', '/flows/example/main/messages?limit=1')).json[0]).toMatchObject({
    tags: [`influx:${ping.id}`],
    thread_id: ping.thread_id,
  })
})
