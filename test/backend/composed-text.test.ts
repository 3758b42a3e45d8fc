import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'

/*
 * "é" is one character or two: a letter and an accent. Keyboards of some systems write the one, those of others the other.
 */

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const forms = [
  ['composed', 'decomposed', 'caf\u00e9', 'cafe\u0301'],
  ['decomposed', 'composed', 'cafe\u0301', 'caf\u00e9'],
] as const

const flow = '/flows/example/main'
const ada = (method: string, path: string, body?: object) => app.backend.as('Ada')(method, path, body)
const idsOf = ({ json }: { json: { id: number }[] }) => json.map(({ id }) => id)

describe.each(forms)('text that was written %s and is requested %s', (_, __, written, asked) => {
  test('is found by words, by tags and in the search of all flows', async () => {
    const sent = await ada('POST', `${flow}/messages`, {
      event: 'message',
      content: `${written} #${written}`,
    })
    const given = await ada('POST', `${flow}/messages`, {
      event: 'message',
      content: 'tagged',
      tags: [`x${written}`],
    })
    const search = (query: Record<string, string>) => new URLSearchParams(query)
    expect(idsOf(await ada('GET', `${flow}/messages?${search({ search: asked })}`))).toContain(sent.json.id)
    expect(idsOf(await ada('GET', `${flow}/messages?${search({ tags: asked })}`))).toContain(sent.json.id)
    expect(idsOf(await ada('GET', `${flow}/messages?${search({ tags: `#X${asked}` })}`))).toContain(
      given.json.id,
    )
    expect(idsOf(await ada('GET', `/search?${search({ search: asked })}`))).toContain(sent.json.id)
  })

  test('is a mention', async () => {
    expect((await app.backend.as('Ben')('PUT', '/users/2', { nick: `Andr${written.slice(3)}` })).status).toBe(
      200,
    )
    const { json } = await ada('POST', `${flow}/messages`, {
      event: 'message',
      content: `@Andr${asked.slice(3)} look`,
    })
    expect(json.tags).toEqual([':user:2', ':unread:2'])
    const tagged = await ada('POST', `${flow}/messages`, {
      ...{ event: 'message', content: 'hello', tags: [`@andr${asked.slice(3)}`] },
    })
    expect(tagged.json.tags).toEqual([':user:2', ':unread:2'])
    await app.backend.as('Ben')('PUT', '/users/2', { nick: 'Ben' })
  })

  test('passes the filter of a live query', async () => {
    const subscription = await app.subscribe(
      'Ada',
      `subscription ($filter: LiveMessageFilter) { flowEvents(input: {
        flows: [{ path: "example/main" }], filter: $filter }) {
        ... on MessageAdded { message { ... on ChatMessage { content } } } } }`,
      { filter: { text: asked, tags: [asked] } },
    )
    onTestFinished(subscription.close)
    await eventually(() => liveMembers(app) > 0)
    await ada('POST', `${flow}/messages`, { event: 'message', content: `${written} #${written}` })
    expect((await subscription.next())?.data.flowEvents.message.content).toBe(`${written} #${written}`)
  })
})
