import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import type { Nick } from '../support/backend.ts'

let app: TestApp
const userIds: Record<string, string> = {}
/** All of the flow, as REST reads it. */
let all: Wire[]

interface Wire {
  id: number
  event: string
  content: string
  user: string
  sent: number
  tags: string[]
  attachments: unknown[]
}

beforeAll(async () => {
  app = await startTestApp()
  const ada = app.backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Filter' })
  await ada('POST', '/flows/example/filter/users', { id: 2 })
  for (const nick of ['Ada', 'Ben'] as const)
    userIds[nick] = (await app.graphql(nick, '{ viewer { id } }')).data.viewer.id
  const say = (nick: Nick, content: string, event = 'message') =>
    app.backend.as(nick)('POST', '/flows/example/filter/messages', { event, content })
  for (let index = 0; index < 60; index += 1) {
    const words = `number ${index}${index % 3 === 0 ? ' three' : ''}${index % 5 === 0 ? ' #five' : ''}`
    await say(index % 2 === 0 ? 'Ada' : 'Ben', words + (index % 7 === 0 ? ' http://x.example/ @Ada' : ''))
    if (index % 10 === 0) await say('Ben', `busy ${index}`, 'status')
    if (index % 15 === 0)
      await ada('POST', '/flows/example/filter/messages', {
        event: 'file',
        content: { data: 'eA==', file_name: `${index}.txt`, content_type: 'text/plain' },
      })
  }
  all = []
  for (;;) {
    const since = all.at(-1)?.id ?? 0
    const { json } = await ada('GET', `/flows/example/filter/messages?sort=asc&limit=100&since_id=${since}`)
    if (json.length === 0) break
    all.push(...json)
  }
})
afterAll(() => app.close())

const query = `query ($filter: MessageFilter, $first: Int, $last: Int, $after: String, $before: String) {
  flow(by: { path: "example/filter" }) { messages(filter: $filter, first: $first, last: $last, after: $after, before: $before) {
    isExhaustive nodes { databaseId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`

async function page(variables: object) {
  const { data, errors } = await app.graphql('Ada', query, variables as Record<string, unknown>)
  return { connection: data?.flow?.messages, errors }
}

/** Everything a filter lists, page after page. */
async function pages(filter: object, size: number, from: 'first' | 'last'): Promise<number[]> {
  const found: number[] = []
  let cursor: string | null = null
  for (let turn = 0; turn < 100; turn += 1) {
    const edge = from === 'first' ? { after: cursor } : { before: cursor }
    const { connection, errors } = await page({ filter, [from]: size, ...edge })
    expect(errors).toBeUndefined()
    const ids = connection.nodes.map(({ databaseId }: { databaseId: number }) => databaseId)
    if (from === 'first') found.push(...ids)
    else found.unshift(...ids)
    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = connection.pageInfo
    if (!(from === 'first' ? hasNextPage : hasPreviousPage)) return found
    cursor = from === 'first' ? endCursor : startCursor
  }
  throw new Error('It never ended')
}

const has = (tag: string) => (message: Wire) => message.tags.includes(tag)
const middle = () => all[30]?.sent ?? 0

const filters: [name: string, filter: () => object, expected: (message: Wire) => boolean, searched?: true][] =
  [
    ['chat alone', () => ({ kinds: ['CHAT'] }), ({ event }) => event === 'message'],
    [
      'files and statuses',
      () => ({ kinds: ['FILE', 'STATUS'] }),
      ({ event }) => event === 'file' || event === 'status',
    ],
    ['what Ben wrote', () => ({ authorIds: [userIds['Ben']] }), ({ user }) => user === '2'],
    ['what names Ada', () => ({ mentionIds: [userIds['Ada']] }), has(':user:1')],
    ['what has a file', () => ({ hasFile: true }), ({ attachments }) => attachments.length > 0],
    [
      'chat without a link',
      () => ({ kinds: ['CHAT'], hasLink: false }),
      (message) => message.event === 'message' && !has(':url')(message),
    ],
    ['a span of time', () => ({ since: new Date(middle()).toISOString() }), ({ sent }) => sent >= middle()],
    ['its other side', () => ({ until: new Date(middle()).toISOString() }), ({ sent }) => sent < middle()],
    ['nothing at all', () => ({ since: '2999-01-01T00:00:00.000Z' }), () => false],
    ['a tag', () => ({ tags: ['#five'] }), has('five'), true],
    ['words', () => ({ text: 'THREE number' }), ({ content }) => /three/.test(content), true],
    [
      'words and a tag',
      () => ({ text: 'three', tags: ['five'] }),
      (message) => /three/.test(message.content) && has('five')(message),
      true,
    ],
    [
      'words of Ben',
      () => ({ text: 'three', authorIds: [userIds['Ben']] }),
      (message) => /three/.test(message.content) && message.user === '2',
      true,
    ],
    [
      'one tag or another',
      () => ({ tags: ['five', ':url'], tagMode: 'ANY' }),
      (message) => has('five')(message) || has(':url')(message),
      true,
    ],
  ]

describe.each(filters)('%s', (_, filter, expected, searched) => {
  test.each([1, 7, 100])('in pages of %i are what a reading of everything finds', async (size) => {
    const ids = all.filter(expected).map(({ id }) => id)
    expect(await pages(filter(), size, 'last')).toEqual(ids)
    if (searched !== true) expect(await pages(filter(), size, 'first')).toEqual(ids)
  })
})

describe('a filter', () => {
  test('is the upstream’s work where it can be', async () => {
    const calls = async (filter: object) => {
      app.calls.length = 0
      await page({ filter, last: 5 })
      return app.calls.filter(({ url }) => url.includes('/messages')).map(({ url }) => new URL(url).search)
    }
    expect(await calls({ kinds: ['FILE'] })).toEqual(['?sort=desc&limit=100&event=file'])
    expect(await calls({ text: 'three' })).toEqual(['?search=three&limit=100'])
    expect(await calls({ tags: ['five', ':url'], tagMode: 'ANY' })).toEqual([
      '?tags=five%2C%3Aurl&tag_mode=or&limit=100',
    ])
  })

  test('with words or tags is read from the newest, and says so', async () => {
    const { connection } = await page({ filter: { text: 'three' }, last: 3 })
    const { startCursor } = connection.pageInfo
    const message = 'Expected last and before with text or tags: a search begins at the newest match'
    expect((await page({ filter: { text: 'three' }, first: 3 })).errors?.[0]?.message).toBe(message)
    // A place in a search is none in a list, and the other way round.
    expect(
      (await page({ filter: { kinds: ['CHAT'] }, last: 3, before: startCursor })).errors?.[0]?.message,
    ).toContain('Expected before to be a cursor of a list of messages')
    const plain = (await page({ last: 3 })).connection.pageInfo.startCursor
    expect(
      (await page({ filter: { text: 'three' }, last: 3, before: plain })).errors?.[0]?.message,
    ).toContain('Expected before to be a cursor of a list of search results')
  })

  test('that nothing matches for a thousand messages says so, and goes on from there', async () => {
    const ada = app.backend.as('Ada')
    await ada('POST', '/flows/example', { name: 'Haystack' })
    const path = '/flows/example/haystack/messages'
    await ada('POST', path, { event: 'message', content: 'the needle http://x.example/' })
    for (let index = 0; index < 21; index += 1)
      await Promise.all(
        Array.from({ length: 50 }, () => ada('POST', path, { event: 'message', content: 'hay' })),
      )
    const look = async (before: string | null) =>
      (
        await app.graphql(
          'Ada',
          `query ($before: String) { flow(by: { path: "example/haystack" }) { messages(last: 5, before: $before, filter: { hasLink: true }) {
            isExhaustive nodes { ... on ChatMessage { content } } pageInfo { hasPreviousPage startCursor } } } }`,
          { before },
        )
      ).data.flow.messages
    app.calls.length = 0
    const first = await look(null)
    expect(first).toMatchObject({ isExhaustive: false, nodes: [], pageInfo: { hasPreviousPage: true } })
    expect(app.calls.filter(({ url }) => url.includes('/messages'))).toHaveLength(10)
    expect(await look(first.pageInfo.startCursor)).toMatchObject({
      isExhaustive: true,
      nodes: [{ content: 'the needle http://x.example/' }],
      pageInfo: { hasPreviousPage: false },
    })
  })
})
