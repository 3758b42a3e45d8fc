import { parse, validate } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { schema } from '../../src/schema/index.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'

let backend: TestBackend

beforeAll(async () => {
  backend = await startTestBackend()
})
afterAll(() => backend.close())

/** As Chromium and Firefox send it for a page. */
const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'

async function flowUrls(): Promise<{ webUrl: string; joinUrl: string }> {
  const ada = backend.as('Ada')
  await ada('PUT', '/flows/example/main', { access_mode: 'link' })
  const { json } = await ada('GET', '/flows/example/main')
  return { webUrl: json.web_url, joinUrl: json.join_url }
}

test('a browser gets a page at every web URL and join URL, with and without a credential', async () => {
  const { webUrl, joinUrl } = await flowUrls()
  const app = `${backend.url}/app`
  const authorization = basic(await backend.token('Ada'))
  for (const [url, title] of [
    [webUrl, 'The flow example/main'],
    [`${webUrl}/messages/1`, 'A message in the flow example/main'],
    [`${webUrl}/threads/abc`, 'A thread in the flow example/main'],
    [`${app}/nobody/nothing`, 'The flow nobody/nothing'],
    [`${app}/private/2`, 'A private conversation'],
    [`${app}/private/2/messages/3`, 'A private conversation'],
    [joinUrl, 'An invitation to a flow'],
  ] as const)
    for (const headers of [{ accept: browser }, { accept: browser, authorization }]) {
      const response = await fetch(url, { headers })
      expect([url, response.status, response.headers.get('content-type')]).toEqual([
        url,
        200,
        'text/html; charset=utf-8',
      ])
      expect(await response.text()).toContain(`<h1>${title}</h1>`)
    }
})

test('what the pages say to type works', async () => {
  const { webUrl, joinUrl } = await flowUrls()
  const token = await backend.token('Cleo')
  for (const [url, method] of [
    [webUrl, 'GET'],
    [`${webUrl}/messages/1`, 'GET'],
    [`${backend.url}/app/private/2`, 'GET'],
    [joinUrl, 'POST'],
  ] as const) {
    const page = await (await fetch(url, { headers: { accept: browser } })).text()
    const [, command = ''] = /<code>(curl [^<]*)<\/code>/.exec(page) ?? []
    const [, target = ''] = /&#39;(.*)&#39;$/.exec(command) ?? []
    expect(command.includes('-X POST')).toBe(method === 'POST')
    const response = await fetch(target, { method, headers: { authorization: basic(token) } })
    expect([url, response.status]).toEqual([url, 200])
  }
})

test('the queries on the pages fit the schema', async () => {
  for (const path of ['example/main', 'example/main/threads/x', 'example/main/messages/1', 'private/2']) {
    const response = await fetch(`${backend.url}/app/${path}`, { headers: { accept: browser } })
    const [, escaped = ''] = /<code>(\{ [^<]*)<\/code>/.exec(await response.text()) ?? []
    const query = escaped.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    expect(query).toContain(`url: "${backend.url}/app/${path}"`)
    expect(validate(schema, parse(query))).toEqual([])
  }
})

test('API clients get there what they got before', async () => {
  const { webUrl, joinUrl } = await flowUrls()
  const authorization = basic(await backend.token('Ada'))
  for (const url of [webUrl, joinUrl])
    for (const accept of ['application/json', '*/*', 'application/json, text/html;q=0.5']) {
      const anonymous = await fetch(url, { headers: { accept } })
      expect([anonymous.status, await anonymous.text()]).toEqual([401, 'HTTP Basic: Access denied.\n'])
      const known = await fetch(url, { headers: { accept, authorization } })
      expect([known.status, await known.json()]).toEqual([404, { message: 'not found' }])
    }
})

test('a request for GraphQL is told that the gateway serves it', async () => {
  const headers = { authorization: basic(await backend.token('Ada')), 'content-type': 'application/json' }
  const response = await fetch(`${backend.url}/graphql`, { method: 'POST', headers, body: '{}' })
  expect([response.status, (await response.json()).message]).toEqual([
    404,
    'not found: the gateway serves GraphQL, on a port of its own',
  ])
})

test('nothing of a URL becomes markup, or a command', async () => {
  const path = `/app/${encodeURIComponent('<script>')}/${encodeURIComponent(`'; rm x; echo "`)}`
  const page = await (await fetch(`${backend.url}${path}`, { headers: { accept: browser } })).text()
  expect(page).toContain('<h1>The flow &#60;script&#62;/&#39;; rm x; echo &#34;</h1>')
  expect(page).not.toContain('<script')
  expect(page).toContain('/flows/%3Cscript%3E/%27%3B%20rm%20x%3B%20echo%20%22/messages&#39;</code>')
})
