import { expect, test } from 'vitest'
import { checkData } from '../../src/backend/admin/maintenance.ts'
import { basic, call, makeFolder } from '../support/backend.ts'
import { runBackend } from '../support/process.ts'
import { eventIds, openRawStream } from '../support/stream.ts'

/** How many times the process is killed; a long run is asked for with `KILLS=500`. */
const rounds = Number(process.env['KILLS'] ?? 12)
const writers = 8

test(
  'a message that was acknowledged is there once after SIGKILL, and streams resume without gap or repeat',
  async () => {
    const dataDir = await makeFolder()
    const acknowledged = new Set<string>()
    const sent: string[] = []
    let lastEventId = '0'

    for (let round = 0; round < rounds; round += 1) {
      const backend = await runBackend(dataDir)
      const headers = { authorization: basic(backend.token) }
      const stream = await openRawStream(`${backend.url}/stream/flows?filter=example/main`, {
        ...headers,
        accept: 'text/event-stream',
        'last-event-id': lastEventId,
      })
      const killAfter = 20 + ((round * 37) % 150)
      let count = 0
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          for (let index = 0; ; index += 1) {
            const uuid = `${round}-${writer}-${index}`
            sent.push(uuid)
            const body = { event: 'message', content: uuid, uuid }
            const answer = await call(
              `${backend.url}/flows/example/main/messages`,
              'POST',
              headers,
              body,
            ).catch(() => undefined)
            if (answer?.status !== 201) return
            acknowledged.add(uuid)
            count += 1
            if (count === killAfter) backend.child.kill('SIGKILL')
          }
        }),
      )
      expect(await backend.exited).toBe('SIGKILL')
      await stream.ended
      const seen = eventIds(stream.text.slice(0, stream.text.lastIndexOf('\n\n') + 2))
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
      lastEventId = String(seen.at(-1) ?? lastEventId)
    }

    const backend = await runBackend(dataDir)
    const headers = { authorization: basic(backend.token) }
    // Whoever did not hear an answer sends again, and still makes no second message.
    for (const uuid of sent.filter((each) => !acknowledged.has(each)))
      await call(`${backend.url}/flows/example/main/messages`, 'POST', headers, {
        event: 'message',
        content: uuid,
        uuid,
      })

    const stored: string[] = []
    for (let since = 0; ; ) {
      const url = `${backend.url}/flows/example/main/messages?event=message&sort=asc&limit=100&since_id=${since}`
      const { json } = await call(url, 'GET', headers)
      if (json.length === 0) break
      since = json.at(-1).id
      stored.push(...json.map((message: { uuid: string }) => message.uuid))
    }
    expect(acknowledged.size).toBeGreaterThanOrEqual(rounds * 20)
    expect((await checkData({ dataDir, databaseUrl: undefined })).problems).toEqual([])
    const counts = Map.groupBy(stored, (uuid) => uuid)
    for (const uuid of sent) expect(counts.get(uuid), uuid).toHaveLength(1)
  },
  rounds * 10_000,
)
