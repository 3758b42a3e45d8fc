import { expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, placeIn, startTestApp } from '../support/app.ts'
import { liveTransports } from '../support/live-client.ts'
import { ScriptedStreams } from '../support/scripted-service.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
const flow = { id: 'f', name: 'F', parameterized_name: 'f', organization, joined: true, users: [] }

/** An upstream with one flow, whose stream the test plays. */
async function start() {
  const streams = new ScriptedStreams()
  const upstream = await startScriptedUpstream((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://x')
    if (streams.answer(request, response)) return
    if (pathname === '/capabilities') answerJson(response, 404, { message: 'not found' })
    else if (pathname === '/flows') answerJson(response, 200, [flow])
    else answerJson(response, 200, flow)
  })
  const app = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(app.close)
  let id = 0
  return {
    app,
    /** So many messages of about that length. */
    tell(count: number, length: number) {
      const content = 'x'.repeat(length)
      const messages = Array.from({ length: count }, () => {
        id += 1
        return { event: 'message', flow: 'f', id, sent: id, user: '0', tags: [], content }
      })
      streams.tell(...messages)
    },
  }
}

const query = `subscription { messageAdded(input: { flows: [{ path: "acme/f" }] }) { cursor
  ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

test.each(liveTransports)(
  'over %s, readers who stall are dropped, and those who read notice nothing',
  async (name, connect) => {
    const { app, tell } = await start()
    const token = await app.backend.token('Ada')
    const cursors: number[][] = []
    const healthy = Array.from({ length: 3 }, (_, index) => {
      const heard: number[] = []
      cursors[index] = heard
      return connect({
        ...{ url: app.url, token, query },
        onResult: ({ data }) => heard.push(placeIn(data.messageAdded.cursor)),
      })
    })
    const stalled = Array.from({ length: 3 }, () => connect({ url: app.url, token, query }))
    onTestFinished(() => {
      for (const client of [...healthy, ...stalled]) client.close()
    })
    await eventually(() => liveMembers(app) === 6)
    for (const client of stalled) client.pause()
    const total = 30_000
    for (let sent = 0; sent < total; sent += 1000) {
      tell(1000, 1000)
      await expect.poll(() => cursors[0]?.length).toBeGreaterThanOrEqual(sent)
    }
    for (const heard of cursors) {
      await expect.poll(() => heard.length).toBe(total)
      expect(heard.every((cursor, index) => cursor === index + 1)).toBe(true)
    }
    // More than waits for anybody was sent: the others are gone, and nothing is kept for them.
    await expect.poll(() => liveMembers(app)).toBe(3)
    expect(app.state().waitingBytes).toBe(0)
    for (const client of stalled) client.resume()
    const ends = await Promise.all(stalled.map(({ ended }) => ended))
    // What says so may not have fitted on the line any more.
    for (const end of ends)
      expect(end).toMatch(name === 'WebSocket' ? /^closed (1013|1006)|^error/ : /^(?!complete)/)
  },
  60_000,
)

test('a burst of ten thousand events in one turn reaches all subscribers', async () => {
  const { app, tell } = await start()
  const token = await app.backend.token('Ada')
  const clients = liveTransports.map(([, connect]) => connect({ url: app.url, token, query }))
  onTestFinished(() => {
    for (const client of clients) client.close()
  })
  await eventually(() => liveMembers(app) === clients.length)
  tell(10_000, 600)
  for (const { results } of clients) await expect.poll(() => results.length).toBe(10_000)
})
