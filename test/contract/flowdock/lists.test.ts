import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { facts, type Json, makeWorld, type World } from './facts.ts'

/* The executed examples of lists, searches and tags, exactly. */

let world: World & { close(): Promise<void> }
const flows = { search: '/flows/example/search', files: '/flows/example/files' }

beforeAll(async () => {
  world = await makeWorld()
  const ada = world.backend.as('Ada')
  for (const name of ['Search', 'Files']) await ada('POST', '/flows/example', { name })
  const say = (path: string, content: string, tags: string[] = []) =>
    ada('POST', `${path}/messages`, { event: 'message', content, tags })
  await say(flows.search, '1. a keyword')
  await say(flows.search, '2. keywords', ['A'])
  await say(flows.search, '3. more keywords', ['A', 'B'])
  const file = { event: 'file', content: { data: 'eA==', file_name: 'x' } }
  for (const kind of ['file', 'file', 'file', 'chat', 'file'])
    if (kind === 'file') await ada('POST', `${flows.files}/messages`, file)
    else await say(flows.files, 'chat')
})
afterAll(() => world.close())

/** What a query finds, as places among the messages of the flow. */
async function found(path: string, query: string): Promise<number[]> {
  const all = (await world.call({ path: `${path}/messages?limit=100&sort=asc` })).json as { id: number }[]
  const ids = all.map(({ id }) => id)
  const numbered = query.replace(
    /(since_id|until_id)=(\d)/g,
    (_, name, place) => `${name}=${ids[Number(place) - 1]}`,
  )
  const list = (await world.call({ path: `${path}/messages?${numbered}` })).json as { id: number }[]
  return list.map(({ id }) => ids.indexOf(id) + 1)
}

describe('§7.8: searching', () => {
  test.each<[string, number[]]>([
    ['search=keyword', [1]],
    ['tags=A,B', [3]],
    ['tags=A,B&tag_mode=or', [2, 3]],
    ['search=keyword&tags=A,B&tag_mode=or', [1, 2, 3]],
    ['search=keyword&tags=A,B&tag_mode=or&skip=1', [1, 2]],
    ['search=keyword&tags=A,B&tag_mode=or&limit=1', [3]],
    ['search=keyword&tags=A,B&tag_mode=or&skip=1&limit=1', [2]],
    ['search=KEYWORD', [1]],
    ['search=key', []],
    ['search=more%20keywords', [3]],
    ['search=a%20keywords', []],
    ['tags=a', [2, 3]],
    ['tags=%23A', [2, 3]],
    ['tags=A&tags=B', [3]],
    ['search=keyword&since_id=3', [1]],
    ['tags=A&until_id=1', [2, 3]],
    ['tags=@nobody', []],
  ])('%s finds %j', async (query, places) => {
    expect(await found(flows.search, query)).toEqual(places)
  })
})

describe('§7.8: browsing', () => {
  test.each<[string, number[]]>([
    ['since_id=1', [2, 3, 4, 5]],
    ['since_id=1&until_id=5', [2, 3, 4]],
    ['event=file&since_id=1', [2, 3, 5]],
    ['event=file&since_id=1&limit=1', [5]],
    ['event=file&since_id=1&limit=1&sort=asc', [2]],
    ['event=file,message', [1, 2, 3, 4, 5]],
    ['event=message', [4]],
    ['limit=2', [4, 5]],
    ['limit=2&sort=asc', [1, 2]],
    ['limit=2&sort=desc', [4, 5]],
    ['until_id=3&limit=1', [2]],
    ['since_id=3&limit=1&sort=asc', [4]],
    ['event=file,message,comment&since_id=2&sort=asc&limit=100', [3, 4, 5]],
    ['limit=1000', [1, 2, 3, 4, 5]],
    ['limit=0', [5]],
    ['event=status', []],
  ])('%s is %j', async (query, places) => {
    expect(await found(flows.files, query)).toEqual(places)
  })
})

describe('§7.8: words', () => {
  test.each<[string, string, boolean]>([
    ['körper Straße', 'STRASSE', false],
    ['Körper', 'körper', true],
    ['日本語のテキスト', '日', true],
    ['日本語のテキスト', '本語', true],
    ['snake_case', 'snake', false],
    ['snake_case', 'snake_case', true],
    ['a-b.c', 'b', true],
    ['quoted "words" here', '"words"', true],
    ['v1.2', '1.2', false],
  ])('%j is found by %j: %s', async (content, search, expected) => {
    const { json } = await world.call({
      method: 'POST',
      path: `${facts}/messages`,
      body: { event: 'message', content },
    })
    const list = await world.call({ path: `${facts}/messages?search=${encodeURIComponent(search)}` })
    expect(list.json.some(({ id }: { id: number }) => id === json.id)).toBe(expected)
  })

  test('the body of a discussion is searched, and at once', async () => {
    const list = await world.call({ path: `${facts}/messages?search=searchable` })
    expect(list.json.map(({ id }: { id: number }) => id)).toEqual([world.discussion.id])
  })
})

describe('§14: tags', () => {
  test.each<[string, string[] | string | null, string[]]>([
    ['@team, ref here: http://docs.python.org', ['ref'], ['ref', ':user:team', ':url']],
    ['#one #two #one', null, ['one', 'two']],
    ['#Two #one #two', null, ['Two', 'one']],
    ['#one', ['two', 'one'], ['two', 'one']],
    ['hi @Ben', null, [':user:2', ':unread:2']],
    ['hi @ben', null, [':user:2', ':unread:2']],
    ['hi @Nobody', null, []],
    ['hi', '@Ben', [':user:2', ':unread:2']],
    ['hi', '#x,y', ['x', 'y']],
    ['#ALPHA #beta', ['Alpha', '#alpha', '@ben', '@Ben'], ['Alpha', ':user:2', 'beta', ':unread:2']],
    ['#123', null, ['123']],
    ['#größe', null, ['größe']],
    ['a#b', null, []],
    ['a@Ben', null, [':highlight:2']],
    ['@http://x.example', null, []],
    ['http://localhost:4000/', null, [':url']],
    ['x.example.com', null, [':url']],
    ['no.such.thing.qqq', null, []],
    ['    #quoted @Ben', null, [':highlight:2']],
    ['    http://x.example/', null, [':url']],
    ['ask Ben', null, [':highlight:2']],
    ['ask Benjamin', null, []],
    ['#a-b_c', null, ['a-b_c']],
  ])('%j with %j has %j', async (content, tags, expected) => {
    const { json } = await world.call({
      method: 'POST',
      path: `${facts}/messages`,
      body: { event: 'message', content, tags },
    })
    expect(json.tags).toEqual(expected)
  })

  test.each(['@everyone', '@everybody', '@all', '@anyone', '@anybody'])(
    '%s is everyone, unread by each',
    async (name) => {
      const { json } = await world.call({
        method: 'POST',
        path: `${facts}/messages`,
        body: { event: 'message', content: `hi ${name}` },
      })
      expect(json.tags[0]).toBe(':user:everyone')
      expect(json.tags).toContain(':unread:2')
    },
  )

  test(':unread is what the user who searches has not read', async () => {
    const { json } = await world.call({
      method: 'POST',
      path: `${facts}/messages`,
      body: { event: 'message', content: 'for you, @Ben' },
    })
    const unread = async (as: 'Ada' | 'Ben') =>
      (await world.call({ as, path: `${facts}/messages?tags=:unread` })).json.map(
        ({ id }: { id: number }) => id,
      )
    expect(await unread('Ben')).toContain(json.id)
    expect(await unread('Ada')).not.toContain(json.id)
  })

  test('a tag of a user finds messages that mention them', async () => {
    const { json } = await world.call({ path: `${facts}/messages?tags=@Ben&limit=100` })
    expect(json.length).toBeGreaterThan(2)
    expect(json.every(({ tags }: { tags: string[] }) => tags.includes(':user:2'))).toBe(true)
  })
})

test('lists ascend by id for all parameters', async () => {
  for (const query of ['', 'sort=asc', 'sort=desc', 'search=hi', 'tags=:url', 'event=message,file,status']) {
    const { json } = await world.call({ path: `${facts}/messages?${query}` })
    const ids = json.map(({ id }: Json) => id)
    expect(ids, query).toEqual(ids.toSorted((a: number, b: number) => a - b))
  }
})
