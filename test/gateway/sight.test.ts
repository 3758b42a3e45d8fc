import { expect, onTestFinished, test } from 'vitest'
import { streams } from '../../src/cli/streams.ts'
import { eventually, liveMembers, startTestApp } from '../support/app.ts'

test('operators see streams, their subscriptions, groups, and slow readers', async () => {
  const METRICS_TOKEN = 'a token of operators'.replaceAll(' ', '-')
  const app = await startTestApp({ settings: { METRICS_TOKEN } })
  onTestFinished(app.close)
  const query = 'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { cursor } }'
  const open = async (nick: 'Ada' | 'Ben', count: number) => {
    for (let index = 0; index < count; index += 1) {
      const subscription = await app.subscribe(nick, query)
      void subscription.next()
      onTestFinished(subscription.close)
    }
  }
  await open('Ada', 2)
  await eventually(() => liveMembers(app) === 2)
  await open('Ben', 3)
  await eventually(() => liveMembers(app) === 5)

  const metrics = await (
    await fetch(`${app.url}/metrics`, { headers: { authorization: `Bearer ${METRICS_TOKEN}` } })
  ).text()
  for (const [name, value] of [
    ['upstream_streams', 1],
    ['upstream_stream_subscriptions', 5],
    ['upstream_stream_borrowers', 3],
    ['subscriptions', 5],
    ['subscription_groups', 1],
    ['subscription_groups_shared', 1],
    ['sockets', 5],
    ['waiting_bytes', 0],
  ] as const)
    expect(metrics).toContain(`\nflowdock_gateway_${name} ${value}\n`)

  const printed: string[] = []
  expect(await streams([app.url], { METRICS_TOKEN }, (text) => printed.push(text))).toBe(0)
  expect(printed.join('')).toContain('1 upstream streams for 5 subscriptions (5.0 each)')
  expect(printed.join('')).toMatch(/5 subscriptions, 3 of them borrowed; groups of 5$/)
  printed.length = 0
  await streams([app.url, '--json'], { METRICS_TOKEN }, (text) => printed.push(text))
  const json = JSON.parse(printed.join(''))
  expect(json).toMatchObject({
    sockets: 5,
    sources: [{ subscriptions: 5, isOpen: true, lastDisconnect: null }],
  })
  // Nothing of it says whose anything is.
  expect(JSON.stringify(json)).not.toContain(await app.backend.token('Ada'))
  await expect(streams(['http://127.0.0.1:1'], { METRICS_TOKEN }, () => undefined)).rejects.toThrow(
    'Cannot read the streams of the gateway at',
  )
})
