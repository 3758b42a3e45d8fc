import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { post, startTestApp, type TestApp, testConfig } from '../support/app.ts'
import { setThreadTimes } from '../support/threads.ts'

/*
 * Threads are listed by the time of their last update, which many of them share. Read in pages of any size, in either
 * direction, through the REST API or GraphQL, all of them come, each once, in the order of the whole list.
 */

let app: TestApp
let flows = 0

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

async function makeFlow(times: readonly number[]): Promise<{ path: string; ids: string[] }> {
  const ada = app.backend.as('Ada')
  flows += 1
  const path = `example/ties-${flows}`
  await ada('POST', '/flows/example', { name: `Ties ${flows}` })
  const sent = await Promise.all(
    times.map((_, index) =>
      ada('POST', `/flows/${path}/messages`, { event: 'message', content: `${index}` }),
    ),
  )
  const threads = sent.map(({ json }, index) => ({
    id: json.thread_id as string,
    time: times[index] as number,
  }))
  await setThreadTimes(app.backend, threads)
  const ids = threads.toSorted((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1)).map(({ id }) => id)
  return { path, ids }
}

async function readByLink(path: string, query: string): Promise<string[]> {
  const ids: string[] = []
  let next: string | undefined = `/flows/${path}/threads?${query}`
  for (let pages = 0; next !== undefined && pages < 100; pages += 1) {
    const { json, headers } = await app.backend.as('Ada')('GET', next)
    ids.push(...json.map(({ id }: { id: string }) => id))
    const [, url] = /^<(.*)>; rel="next"$/.exec(headers.get('link') ?? '') ?? []
    next = url?.slice(app.backend.url.length)
  }
  expect(next).toBeUndefined()
  return ids
}

async function readByCursor(
  path: string,
  size: number,
  forward: boolean,
  gateway: Pick<TestApp, 'graphql'> = app,
): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | null = null
  for (let pages = 0; pages < 100; pages += 1) {
    const position: string = cursor === null ? '' : `, ${forward ? 'after' : 'before'}: "${cursor}"`
    const { data, errors } = await gateway.graphql(
      'Ada',
      `query ($path: String!) { flow(by: { path: $path }) { threads(${forward ? 'first' : 'last'}: ${size}${position}) {
        nodes { databaseId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`,
      { path },
    )
    expect(errors).toBeUndefined()
    const { nodes, pageInfo } = data.flow.threads
    const page = nodes.map(({ databaseId }: { databaseId: string }) => databaseId)
    if (forward) ids.push(...page)
    else ids.unshift(...page)
    cursor = forward ? pageInfo.endCursor : pageInfo.startCursor
    if (!(forward ? pageInfo.hasNextPage : pageInfo.hasPreviousPage)) return ids
  }
  throw new Error('The list has no end')
}

const start = Date.parse('2026-01-01T00:00:00Z')

test('six threads of which two share the newest time are six in pages of one and of two', async () => {
  const { path, ids } = await makeFlow([-3000, -2000, -1000, 0, 1, 1].map((offset) => start + offset))
  for (const size of [1, 2]) {
    expect(await readByCursor(path, size, true)).toEqual(ids)
    expect(await readByCursor(path, size, false)).toEqual(ids)
    expect(await readByLink(path, `limit=${size}`)).toEqual(ids)
  }
})

test('60 threads of one time are 60 in pages of five', async () => {
  const { path, ids } = await makeFlow(Array.from({ length: 60 }, () => start))
  expect(await readByCursor(path, 5, true)).toEqual(ids)
  expect(await readByCursor(path, 5, false)).toEqual(ids)
  expect(await readByLink(path, 'limit=5')).toEqual(ids)
})

test('more threads of one time than a page can have', async () => {
  const { path, ids } = await makeFlow(Array.from({ length: 230 }, () => start))
  expect(await readByCursor(path, 100, true)).toEqual(ids)
  expect(await readByCursor(path, 90, false)).toEqual(ids)
})

test('a thread with a time that no calendar has is listed first, and pages go on after it', async () => {
  const { path, ids } = await makeFlow([start, start, 8.64e15, start])
  await setThreadTimes(app.backend, [{ id: ids[0] as string, time: 8.64e15 + 1 }])
  for (const size of [1, 2, 5]) {
    expect(await readByLink(path, `limit=${size}`)).toEqual(ids)
    expect(await readByCursor(path, size, true)).toEqual(ids)
    expect(await readByCursor(path, size, false)).toEqual(ids)
  }
})

test('a link to the next page keeps the parameters of this one', async () => {
  const { path, ids } = await makeFlow([0, 0, 0, 1, 2, 2].map((offset) => start + offset))
  const since = new Date(start).toISOString()
  expect(await readByLink(path, `limit=2&since=${since}&application=chat&empty=1`)).toEqual(ids.slice(0, 3))
  expect(await readByLink(path, 'limit=2&application=inbox')).toEqual([])
})

test('whatever times the threads have', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 14 }),
      fc.integer({ min: 1, max: 15 }),
      fc.boolean(),
      async (offsets, size, forward) => {
        const { path, ids } = await makeFlow(offsets.map((offset) => start + offset))
        expect(await readByCursor(path, size, forward)).toEqual(ids)
        expect(await readByLink(path, `limit=${size}`)).toEqual(ids)
      },
    ),
    { numRuns: 12 },
  )
})

/** The backend as the service was: it pages threads by `until` alone, and orders those with one time by ascending id. */
async function startPlainUpstream(): Promise<string> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', app.backend.url)
    const limit = Number(url.searchParams.get('limit'))
    const isList = url.pathname.endsWith('/threads')
    url.searchParams.delete('after')
    if (isList) url.searchParams.set('limit', '100')
    const answer = await fetch(url, { headers: { authorization: request.headers.authorization ?? '' } })
    const body = await answer.text()
    response.writeHead(answer.status, { 'content-type': 'application/json' })
    if (!isList) return response.end(body)
    const threads: { id: string; updated_at: string }[] = JSON.parse(body)
    threads.sort((a, b) =>
      a.updated_at === b.updated_at ? (a.id < b.id ? -1 : 1) : a.updated_at < b.updated_at ? 1 : -1,
    )
    return response.end(JSON.stringify(threads.slice(0, limit)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('an upstream that pages by time alone loses no thread of a time, in whatever order it has them', async () => {
  const { path, ids } = await makeFlow(Array.from({ length: 30 }, (_, index) => start + (index % 3)))
  const plain = await startApp(testConfig(await startPlainUpstream()), { log: createLogger('silent') })
  onTestFinished(plain.close)
  const token = await app.backend.token('Ada')
  const gateway: Pick<TestApp, 'graphql'> = {
    graphql: (_, query, variables) => post(plain.url, { query, variables }, token),
  }
  for (const size of [1, 4, 20]) {
    const forward = await readByCursor(path, size, true, gateway)
    expect(forward.toSorted()).toEqual(ids.toSorted())
    expect(await readByCursor(path, size, false, gateway)).toEqual(forward)
  }
})
