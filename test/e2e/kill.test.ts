import { expect, test } from 'vitest'
import { basic, call, makeFolder } from '../support/backend.ts'
import { runGateway } from '../support/process.ts'
import { eventIds, openRawStream } from '../support/stream.ts'

const rounds = 5
const writers = 8

test('a message that was acknowledged is there once after SIGKILL, and streams resume without gap or repeat', async () => {
  const dataDir = await makeFolder()
  const acknowledged = new Set<string>()
  const sent: string[] = []
  let lastEventId = '0'

  for (let round = 0; round < rounds; round += 1) {
    const gateway = await runGateway(dataDir)
    const headers = { authorization: basic(gateway.token) }
    const stream = await openRawStream(`${gateway.restUrl}/stream/flows?filter=example/main`, {
      ...headers,
      accept: 'text/event-stream',
      'last-event-id': lastEventId,
    })
    const killAfter = 40 + round * 35
    let count = 0
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let index = 0; ; index += 1) {
          const uuid = `${round}-${writer}-${index}`
          sent.push(uuid)
          const body = { event: 'message', content: uuid, uuid }
          const answer = await call(
            `${gateway.restUrl}/flows/example/main/messages`,
            'POST',
            headers,
            body,
          ).catch(() => undefined)
          if (answer?.status !== 201) return
          acknowledged.add(uuid)
          count += 1
          if (count === killAfter) gateway.child.kill('SIGKILL')
        }
      }),
    )
    expect(await gateway.exited).toBe('SIGKILL')
    await stream.ended
    const seen = eventIds(stream.text.slice(0, stream.text.lastIndexOf('\n\n') + 2))
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
    lastEventId = String(seen.at(-1) ?? lastEventId)
  }

  const gateway = await runGateway(dataDir)
  const headers = { authorization: basic(gateway.token) }
  // Whoever did not hear an answer sends again, and still makes no second message.
  for (const uuid of sent.filter((each) => !acknowledged.has(each)))
    await call(`${gateway.restUrl}/flows/example/main/messages`, 'POST', headers, {
      event: 'message',
      content: uuid,
      uuid,
    })

  const stored: string[] = []
  for (let since = 0; ; ) {
    const url = `${gateway.restUrl}/flows/example/main/messages?event=message&sort=asc&limit=100&since_id=${since}`
    const { json } = await call(url, 'GET', headers)
    if (json.length === 0) break
    since = json.at(-1).id
    stored.push(...json.map((message: { uuid: string }) => message.uuid))
  }
  expect(acknowledged.size).toBeGreaterThan(rounds * 40)
  const counts = Map.groupBy(stored, (uuid) => uuid)
  for (const uuid of sent) expect(counts.get(uuid), uuid).toHaveLength(1)
}, 60_000)
