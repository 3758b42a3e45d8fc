import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { answerJson, openScriptedUpstream, startScriptedUpstream } from '../support/upstream.ts'

const hourMs = 3_600_000
/** A Monday, at midnight. */
const monday = Date.UTC(2026, 0, 5)

let app: TestApp
/** A gateway to the same backend, which says that it cannot count. */
let plain: TestApp
let proxy: Awaited<ReturnType<typeof openScriptedUpstream>>
/** The flow as REST lists it. */
let messages: {
  event: string
  user: string
  sent: number
  tags: string[]
  sent_by?: string
  author?: { name: string }
}[]

beforeAll(async () => {
  app = await startTestApp()
  const ada = app.backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Counted' })
  const path = '/flows/example/counted/messages'
  await ada('POST', '/flows/example/counted/users', { id: 2 })
  const { json: source } = await ada('POST', '/flows/example/counted/sources', { name: 'Tickets' })
  const ben = app.backend.as('Ben')
  for (let index = 0; index < 40; index += 1) {
    const as = index % 3 === 0 ? ben : ada
    await as('POST', path, {
      ...{ event: 'message', content: `number ${index} #Odd${index % 2}` },
      ...(index % 7 === 0 ? { tags: ['release', 'odd1'] } : {}),
      ...(index % 10 === 0 ? { external_user_name: 'Bot' } : {}),
    })
    if (index % 8 === 0)
      await ada('POST', '/messages', {
        ...{ flow_token: source.flow_token, event: 'activity', title: 'closed', external_thread_id: 'T' },
        ...{ author: { name: 'Marty' }, thread: { title: 'T' } },
      })
  }
  // What is sent now was sent then: two and a half hours apart, over five days.
  await app.backend.store.write(async (db) => {
    const flow = await db
      .selectFrom('flows')
      .select('channel_id')
      .where('slug', '=', 'counted')
      .executeTakeFirstOrThrow()
    const rows = await db
      .selectFrom('messages')
      .select('seq')
      .where('channel_id', '=', flow.channel_id)
      .orderBy('id')
      .execute()
    for (const [index, { seq }] of rows.entries())
      await db
        .updateTable('messages')
        .set({ sent: monday - 10 * hourMs + index * 2.5 * hourMs })
        .where('seq', '=', seq)
        .execute()
  })
  messages = (await ada('GET', `${path}?limit=100`)).json
  proxy = await openScriptedUpstream(async (request, response) => {
    if (request.url === '/capabilities') return answerJson(response, 404, { message: 'not found' })
    const answer = await fetch(app.backend.url + request.url, {
      headers: { authorization: String(request.headers.authorization) },
    })
    answerJson(response, answer.status, await answer.json())
  })
  plain = await startTestApp({ upstreamUrl: proxy.url })
  plain.backend.token = app.backend.token
})
afterAll(async () => {
  await plain.close()
  await proxy.close()
  await app.close()
})

type Answered = { start: string; end: string; count: number; groups: Record<string, unknown>[] }

async function activity(of: TestApp, args: string) {
  const { data, errors } = await of.graphql(
    'Ada',
    `{ flow(by: { path: "example/counted" }) { activity(${args}) { count isExhaustive since coveredSince
      buckets { start end count groups { count event tag source { name } author { __typename name } } } } } }`,
  )
  expect(errors).toBeUndefined()
  return data.flow.activity as { count: number; isExhaustive: boolean; buckets: Answered[] }
}

const range = 'since: "2026-01-04T00:00:00.000Z", until: "2026-01-10T06:00:00.000Z"'
const written = () =>
  messages.filter(
    ({ event, sent }) =>
      event !== 'action' && sent >= monday - 24 * hourMs && sent < monday + 5 * 24 * hourMs + 6 * hourMs,
  )

describe.each([
  ['counted by the upstream', () => app],
  ['counted here, where the upstream cannot', () => plain],
])('what was written in a flow, %s', (_, of) => {
  test.each([
    ['HOUR', hourMs],
    ['DAY', 24 * hourMs],
    ['WEEK', 7 * 24 * hourMs],
  ])('by the %s is what a reading of everything finds, without a gap', async (bucket, lengthMs) => {
    const { count, buckets, isExhaustive } = await activity(of(), `${range}, bucket: ${bucket}`)
    expect(isExhaustive).toBe(true)
    expect(count).toBe(written().length)
    expect(count).toBeGreaterThan(20)
    for (const [index, { start, end, count: inBucket, groups }] of buckets.entries()) {
      const from = Date.parse(start)
      expect(Date.parse(end) - from).toBe(lengthMs)
      if (index > 0) expect(start).toBe(buckets[index - 1]?.end)
      expect(inBucket).toBe(written().filter(({ sent }) => sent >= from && sent < from + lengthMs).length)
      expect(groups).toEqual([])
    }
    if (bucket === 'WEEK')
      expect(buckets.map(({ start }) => new Date(start).getUTCDay())).toEqual(buckets.map(() => 1))
  })

  test('is grouped by author, kind, tag and source', async () => {
    const grouped = async (groupBy: string) => {
      const { buckets } = await activity(of(), `${range}, bucket: WEEK, groupBy: ${groupBy}`)
      const total = new Map<string, number>()
      for (const { groups } of buckets)
        for (const { count, ...group } of groups) {
          const found = Object.values(group).find((value) => value !== null) ?? 'none'
          const name = typeof found === 'string' ? found : (found as { name: string }).name
          total.set(name, (total.get(name) ?? 0) + (count as number))
        }
      return Object.fromEntries([...total].sort())
    }
    const counted = (keys: (message: (typeof messages)[number]) => string[]) => {
      const total = new Map<string, number>()
      for (const message of written())
        for (const key of keys(message)) total.set(key, (total.get(key) ?? 0) + 1)
      return Object.fromEntries([...total].sort())
    }
    const names: Record<string, string> = { '1': 'Ada Byron', '2': 'Ben Okri' }
    expect(await grouped('AUTHOR')).toEqual(
      counted(({ user, sent_by: sender, author }) => [author?.name ?? names[sender ?? user] ?? '']),
    )
    expect(await grouped('KIND')).toEqual(counted(({ event }) => [event]))
    expect(await grouped('TAG')).toEqual(
      counted(({ tags }) => [
        ...new Set(tags.filter((tag) => !tag.startsWith(':')).map((tag) => tag.toLowerCase())),
      ]),
    )
    expect(await grouped('THREAD_SOURCE')).toEqual(
      counted(({ event }) => [event === 'activity' ? 'Tickets' : 'none']),
    )
  })
})

test('says from when on it counted, where it did not look at everything', async () => {
  const upstream = await startScriptedUpstream((request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    if (url.pathname === '/capabilities') return answerJson(response, 404, { message: 'not found' })
    const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
    if (!url.pathname.endsWith('/messages'))
      return answerJson(response, 200, { id: 'f', name: 'F', parameterized_name: 'f', organization })
    // A message a minute, without an end.
    const until = Number(url.searchParams.get('until_id') ?? 1_000_001)
    answerJson(
      response,
      200,
      Array.from({ length: 100 }, (_, index) => {
        const id = until - 100 + index
        return {
          ...{ id, flow: 'f', event: 'message', content: 'x', user: '1', tags: [] },
          sent: monday + (id - 1_000_000) * 60_000,
        }
      }),
    )
  })
  const busy = await startTestApp({ upstreamUrl: upstream.url })
  const query = `{ flow(by: { path: "acme/f" }) { activity(since: "2026-01-01T00:00:00.000Z", until: "2026-01-05T00:00:00.000Z") {
    count isExhaustive coveredSince } } }`
  const { data } = await busy.graphql('Ada', query)
  await busy.close()
  expect(data.flow.activity).toEqual({
    count: 999,
    isExhaustive: false,
    coveredSince: new Date(monday - 999 * 60_000).toISOString(),
  })
})

test.each([
  [
    'since: "2026-01-02T00:00:00.000Z", until: "2026-01-01T00:00:00.000Z"',
    'Expected since to be before until',
  ],
  [
    'since: "2025-01-01T00:00:00.000Z", until: "2026-01-01T00:00:00.000Z", bucket: HOUR',
    'Expected since to be at most 1000 hours before until; take longer buckets',
  ],
])('%s is refused', async (args, message) => {
  const query = `{ flow(by: { path: "example/counted" }) { name activity(${args}) { count } } }`
  const { data, errors } = await app.graphql('Ada', query)
  expect(data.flow).toEqual({ name: 'Counted', activity: null })
  expect(errors).toMatchObject([{ message, extensions: { code: 'BAD_USER_INPUT' } }])
})

test('is refused for a user who is not in the flow', async () => {
  const answer = await fetch(`${app.backend.url}/flows/example/counted/activity`, {
    headers: { authorization: basic(await app.backend.token('Cleo')) },
  })
  expect(answer.status).toBe(403)
})

describe('live', () => {
  const query = `subscription ($input: FlowActivityInput!) { flowActivity(input: $input) {
    count groups { count author { name } } since until } }`

  test('the count comes at once, then with what is written: the latest alone, and no more often than said', async () => {
    const ada = app.backend.as('Ada')
    await ada('POST', '/flows/example', { name: 'Live' })
    const say = (content: string) =>
      ada('POST', '/flows/example/live/messages', { event: 'message', content })
    await say('one')
    const input = { flow: { path: 'example/live' }, windowMinutes: 60, groupBy: 'AUTHOR', throttleMs: 250 }
    const live = await app.subscribe('Ada', query, { input })
    onTestFinished(live.close)
    const next = async () => (await live.next())?.data.flowActivity
    const first = await next()
    expect(first).toMatchObject({ count: 1, groups: [{ count: 1, author: { name: 'Ada Byron' } }] })
    expect(Date.parse(first.until) - Date.parse(first.since)).toBe(60 * 60_000)
    app.calls.length = 0
    const begun = performance.now()
    await Promise.all(Array.from({ length: 50 }, (_, count) => say(`more ${count}`)))
    let told = 0
    for (let count = 1; count < 51; told += 1) count = (await next()).count
    const most = (performance.now() - begun) / input.throttleMs + 2
    expect(told).toBeLessThanOrEqual(most)
    expect(app.calls.filter(({ url }) => url.includes('/activity')).length).toBeLessThanOrEqual(most)
    expect(told).toBeLessThan(50)
    // What is done is no writing, and tells nothing.
    await ada('PUT', '/flows/example/live/messages/1', { content: 'one, edited' })
    await say('last')
    for (let count = 51; count !== 52; told += 1) {
      count = (await next()).count
      expect([51, 52]).toContain(count)
    }
  })

  test('those who look at the same share one count', async () => {
    const input = { flow: { path: 'example/counted' }, windowMinutes: 5, throttleMs: 250 }
    const all = await Promise.all(Array.from({ length: 5 }, () => app.subscribe('Ada', query, { input })))
    onTestFinished(() => Promise.all(all.map((each) => each.close())).then(() => undefined))
    await Promise.all(all.map((each) => each.next()))
    await eventually(() => liveMembers(app) === 5)
    app.calls.length = 0
    const next = all.map((each) => each.next())
    await app.backend.as('Ada')('POST', '/flows/example/counted/messages', { event: 'message', content: 'x' })
    const counts = (await Promise.all(next)).map((result) => result?.data.flowActivity.count)
    expect(new Set(counts).size).toBe(1)
    expect(app.calls.filter(({ url }) => url.includes('/activity'))).toHaveLength(1)
  })

  test.each([
    [{ windowMinutes: 0 }, 'Expected input.windowMinutes to be 1 to 10080, got 0'],
    [{ throttleMs: 10 }, 'Expected input.throttleMs to be 250 to 60000, got 10'],
  ])('%j is refused', async (more, message) => {
    const input = { flow: { path: 'example/counted' }, ...more }
    const live = await app.subscribe('Ada', query, { input })
    onTestFinished(live.close)
    expect((await live.next())?.errors).toMatchObject([{ message, extensions: { code: 'BAD_USER_INPUT' } }])
  })
})
