import { expect, test } from 'vitest'
import { post } from '../support/app.ts'
import { basic, makeFolder } from '../support/backend.ts'
import { runGateway } from '../support/process.ts'

test('a server in New York finds what was sent since an hour ago in UTC', async () => {
  const gateway = await runGateway(await makeFolder(), { TZ: 'America/New_York' })
  const { url, restUrl, token } = gateway
  const headers = { authorization: basic(token), 'content-type': 'application/json' }
  const sent = await fetch(`${restUrl}/flows/example/main/messages`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ event: 'message', content: 'just now' }),
  })
  expect(sent.status).toBe(201)
  const hourAgo = new Date(Date.now() - 3_600_000).toISOString().replace('Z', '')

  for (const [path, find] of [
    ['threads', (json: { title: string }[]) => json.some(({ title }) => title === 'just now')],
    ['activity', (json: { buckets: { count: number }[] }) => json.buckets.some(({ count }) => count > 0)],
  ] as const) {
    const found = await fetch(`${restUrl}/flows/example/main/${path}?since=${hourAgo}&bucket=hour`, {
      headers,
    })
    expect(find((await found.json()) as never), path).toBe(true)
  }

  const query = `query ($since: DateTime) { flow(by: { path: "example/main" }) {
    messages(last: 5, filter: { since: $since }) { nodes { ... on ChatMessage { content } } }
    threads(first: 5, since: $since) { nodes { title } } } }`
  const ask = (since: string) => post(url, { query, variables: { since } }, token)
  expect((await ask(`${hourAgo}Z`)).data.flow).toEqual({
    messages: { nodes: expect.arrayContaining([{ content: 'just now' }]) },
    threads: { nodes: expect.arrayContaining([{ title: 'just now' }]) },
  })
  const refused = await ask(hourAgo)
  expect(refused.data).toBeUndefined()
  expect(refused.errors).toEqual([
    expect.objectContaining({
      message: `Variable "$since" got invalid value "${hourAgo}"; Expected an RFC 3339 time with an offset, such as "2026-01-31T12:00:00.000Z"`,
      locations: [{ line: 1, column: 8 }],
    }),
  ])
})
