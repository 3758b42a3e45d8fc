import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { makeCluster } from '../support/machines.ts'

test('messages sent at two backends at once have ids without holes in each flow, and counts that are right', async () => {
  const cluster = await makeCluster('PostgreSQL')
  const [a, b] = [await cluster.start(), await cluster.start()]
  const flows = ['example/main', 'example/engineering', 'example/support']
  const last = async (flow: string) => (await a.as('Ada')('GET', `/flows/${flow}/messages?limit=1`)).json[0]
  const before = await Promise.all(flows.map(last))
  const uuids = Array.from({ length: 20 }, () => randomUUID())
  const answers = await Promise.all(
    Array.from({ length: 180 }, async (_, index) => {
      const flow = index % flows.length
      const body = {
        ...{ event: 'message', content: `message ${index}` },
        // Every second message is a reply.
        ...(index % 2 === 0 ? {} : { thread_id: before[flow].thread_id }),
        // The first 20 of a flow are sent at both backends.
        ...(flow === 0 && index < 120 ? { uuid: uuids[(index / flows.length) % uuids.length] } : {}),
      }
      return (index % 5 < 2 ? a : b).as('Ada')('POST', `/flows/${flows[flow]}/messages`, body)
    }),
  )
  expect(answers.filter(({ status }) => status !== 201)).toEqual([])
  for (const [index, flow] of flows.entries()) {
    const path = `/flows/${flow}/messages?limit=100&since_id=${before[index].id}`
    const { json } = await b.as('Ada')('GET', path)
    const ids: number[] = json.map(({ id }: { id: number }) => id)
    expect(ids).toHaveLength(index === 0 ? 40 : 60)
    expect(ids).toEqual(ids.map((_, at) => before[index].id + 1 + at))
    const thread = await a.as('Ada')('GET', `/flows/${flow}/threads/${before[index].thread_id}`)
    const stored = await a.as('Ada')(
      'GET',
      `/flows/${flow}/threads/${before[index].thread_id}/messages?limit=100`,
    )
    expect(thread.json.internal_comments + thread.json.activities + thread.json.external_comments).toBe(
      stored.json.length,
    )
  }
  const events = await a.store.reader.selectFrom('events').select('seq').orderBy('seq').execute()
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
})

test('a user who is blocked at one backend sends nothing at another after that, however many are under way', async () => {
  const cluster = await makeCluster('PostgreSQL')
  const [a, b] = [await cluster.start(), await cluster.start()]
  const sending = Promise.all(
    Array.from({ length: 60 }, (_, index) => (index % 2 === 0 ? a : b).send('Ben', `message ${index}`)),
  )
  const blocked = await a.as('Ada')('PUT', '/flows/example/main/users/2', { disabled: true })
  expect(blocked.status).toBe(200)
  expect(await Promise.all([a.send('Ben', 'late'), b.send('Ben', 'late')])).toEqual([403, 403])
  const statuses = await sending
  expect(statuses.every((status) => status === 201 || status === 403)).toBe(true)
  const rows = await a.store.reader.selectFrom('events').select(['seq', 'payload']).orderBy('seq').execute()
  const block = rows.findIndex(({ payload }) => payload.includes('backend.user.block'))
  const after = rows.slice(block).filter(({ payload }) => /"event":"message".*"user":"2"/.test(payload))
  expect(after).toEqual([])
  const sent = rows.filter(({ payload }) => /"event":"message".*"content":"message \d+"/.test(payload))
  expect(sent).toHaveLength(statuses.filter((status) => status === 201).length)
})
