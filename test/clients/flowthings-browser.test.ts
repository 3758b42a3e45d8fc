import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { makeFolder, startTestBackend } from '../support/backend.ts'
import { chromiumPath, openBrowser } from '../support/browser.ts'
import { type Json, startThings, type TestThings } from '../support/things.ts'

/*
 * The package flowthings-browser, unchanged, in a page of another origin than that of the server. Every function of its
 * API is called.
 */

const library = createRequire(import.meta.url).resolve('flowthings-browser')
// Without a browser there is nothing to try; continuous integration has to have one.
const isAvailable = chromiumPath !== undefined || process.env['CI'] === 'true'

let browser: Browser
let pageUrl: string
const site = createServer((request, response) => {
  if (request.url === '/library.js')
    readFile(library).then((script) => response.setHeader('content-type', 'text/javascript').end(script))
  else
    response
      .setHeader('content-type', 'text/html')
      .end('<!doctype html><link rel="icon" href="data:,"><script src="/library.js"></script>')
})

beforeAll(async () => {
  if (!isAvailable) return
  browser = await openBrowser()
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  pageUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`
})
afterAll(async () => {
  await browser?.close()
  site.close()
})

/** Evaluates an expression in the page, in which `api` is the client, with some values. Rejections are the value `{ failed }`. */
type Run = (code: string, values?: Record<string, unknown>) => Promise<Json>

async function openPage(options: object): Promise<{ run: Run; page: Page }> {
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  await page.goto(pageUrl)
  const run: Run = (code, values = {}) =>
    page.evaluate(`(async ({ ${Object.keys(values).join(', ')} }) => ${code})(${JSON.stringify(values)})
      .catch((error) => ({ failed: error instanceof Error ? error.message : error }))`)
  await page.evaluate(`window.api = flowthings.API({
    secure: false, transform: flowthings.promisify(Promise), ...${JSON.stringify(options)} })`)
  return { run, page }
}

let things: TestThings
let run: Run
let flow: Json
const hostOf = (url: string) => ({ host: new URL(url).host, wsHost: new URL(url).host })

describe.skipIf(!isAvailable)('flowthings-browser 1.0.2 in Chromium', () => {
  beforeEach(async () => {
    things = await startThings()
    const { token } = things.alice
    ;({ run } = await openPage({ account: 'alice', token, ...hostOf(things.thingsUrl) }))
    const created = await run(
      `api.request({ method: 'POST', path: '/flow', data: { path: '/alice/sensors' } })`,
    )
    expect(created.head).toMatchObject({ ok: true, status: 201 })
    flow = created.body
    return () => things.close()
  })

  test('flow: read, readMany, findMany and find', async () => {
    const { id } = flow
    expect((await run('api.flow.read(id)', { id })).body).toEqual(flow)
    expect((await run('api.flow.read(id, { only: ["path"] })', { id })).body).toEqual({ id, path: flow.path })
    const withReferences = await run('api.flow.read(id, { refs: true })', { id })
    expect(withReferences.head.references[flow.creatorId]).toMatchObject({ id: flow.creatorId })
    expect((await run('api.flow.readMany([id])', { id })).body).toEqual({ [id]: flow })
    expect((await run('api.flow.readMany([id], { only: ["path"] })', { id })).body[id]).toEqual({
      id,
      path: flow.path,
    })
    expect((await run('api.flow.findMany({ filter: { path: "/alice/sensors" } })')).body).toEqual([flow])
    expect((await run('api.flow.findMany({ filter: { path: "/alice/other" } })')).body).toEqual([])
    expect((await run('api.flow.find(id)', { id })).body).toEqual(flow)
    expect((await run('api.flow.find([id])', { id })).body).toEqual({ [id]: flow })
    expect((await run('api.flow.find({ filter: { path: /SENS.rs$/i }, limit: 1 })')).body).toEqual([flow])
    expect((await run('api.flow.find()')).body).toEqual([flow])
  })

  test('drop: create, update, save, read, readMany, findMany, find and aggregate', async () => {
    const { id } = flow
    const first = (await run('api.drop(id).create({ elems: { n: 1, text: "it\'s \\\\ \\"x\\"" } })', { id }))
      .body
    expect(first).toMatchObject({ flowId: id, path: '/alice/sensors', version: 0 })
    const second = (await run('api.drop.create({ path: "/alice/sensors", elems: { n: 2 } })')).body
    expect(second.flowId).toBe(id)
    const changed = { id: first.id, elems: { n: 3, text: 'x' } }
    const updated = (await run('api.drop(id).update(changed)', { id, changed })).body
    expect(updated).toMatchObject({ id: first.id, version: 1, elems: { n: { type: 'integer', value: 3 } } })
    const saved = (await run('api.drop(id).save({ ...updated, fhash: "a" })', { id, updated })).body
    expect(saved).toMatchObject({ id: first.id, version: 2, fhash: 'a' })
    const third = (await run('api.drop(id).save({ elems: { n: 4 } }, { hints: 0 })', { id })).body
    expect(third.elems).toEqual({ n: 4 })
    expect((await run('api.drop(id).read(drop)', { id, drop: saved.id })).body).toEqual(saved)
    expect(
      Object.keys((await run('api.drop(id).readMany([a, b])', { id, a: saved.id, b: third.id })).body),
    ).toEqual(expect.arrayContaining([saved.id, third.id]))
    const numbers = async (params: string) =>
      (await run(`api.drop(id).findMany(${params})`, { id })).body.map(({ elems }: Json) => elems.n)
    expect(await numbers('{ hints: 0 }')).toEqual([4, 2, 3])
    expect(await numbers('{ hints: 0, filter: { "elems.n": { $gt: 2 } }, order: "asc" }')).toEqual([3, 4])
    expect((await run('api.drop(id).find(drop)', { id, drop: third.id })).body.id).toBe(third.id)
    expect((await run('api.drop(id).find([drop])', { id, drop: third.id })).body).toHaveProperty(third.id)
    expect((await run('api.drop(id).find({ limit: 1, start: 1 })', { id })).body[0].id).toBe(second.id)
    const rows = (await run('api.drop(id).aggregate({ output: ["$count", "$avg:n"], groupBy: [] })', { id }))
      .body
    expect(rows).toEqual([{ id: {}, $count: 3, '$avg:n': 3 }])
  })

  test('filters in every form', async () => {
    const { id } = flow
    for (const elems of [
      { n: 1, s: 'it\'s "quoted" \\ /slashed/' },
      { n: 2, s: 'Two' },
      { n: 3, s: 'three', on: true },
    ])
      await things.alice('POST', `/drop/${id}`, { elems })
    const find = async (filter: string) => {
      const { body, failed } = await run(`api.drop(id).find({ hints: 0, order: 'asc', filter: ${filter} })`, {
        id,
      })
      return failed ?? body.map(({ elems }: Json) => elems.n)
    }
    expect(await find('{ "elems.n": 2 }')).toEqual([2])
    expect(await find('{ "elems.n": { $lt: 2 } }')).toEqual([1])
    expect(await find('{ "elems.n": { $lte: 2 } }')).toEqual([1, 2])
    expect(await find('{ "elems.n": { $gt: 2 } }')).toEqual([3])
    expect(await find('{ "elems.n": { $gte: 2 } }')).toEqual([2, 3])
    expect(await find(`{ "elems.s": 'it\\'s "quoted" \\\\ /slashed/' }`)).toEqual([1])
    expect(await find('{ "elems.on": true }')).toEqual([3])
    expect(await find('{ "elems.s": /^t/i }')).toEqual([2, 3])
    expect(await find('{ "elems.s": /t/g }')).toEqual([1, 3])
    expect(await find('{ "elems.s": /^three$/m }')).toEqual([3])
    expect(await find('{ "elems.s": /\\/slashed\\/$/ }')).toEqual([1])
    expect(await find('{ "elems.s": { $regex: "/slashed/" } }')).toEqual([1])
    expect(await find('{ "elems.n": { $gt: 1 }, "elems.s": "Two" }')).toEqual([2])
    expect(await find('{ $and: [{ "elems.n": { $gt: 1 } }, { "elems.n": { $lt: 3 } }] }')).toEqual([2])
    expect(await find('{ $or: [{ "elems.n": 1 }, { "elems.n": 3 }] }')).toEqual([1, 3])
    // Without parentheses inside, so && binds tighter than ||.
    expect(await find('{ $or: [{ "elems.n": 1, "elems.s": "no" }, { "elems.n": 3 }] }')).toEqual([3])
    expect(await find('"elems.n > 1 && NOT EXISTS elems.on"')).toEqual([2])
    // The library misspells a name where the flags of an expression are given.
    expect(await find('{ "elems.s": { $regex: ["two", "i"] } }')).toBe('reg is not defined')
  })

  test('a failure is the envelope of the response', async () => {
    expect((await run('api.flow.read("ff551ac39bd4c6c0000000000")')).failed.head).toMatchObject({
      ok: false,
      status: 404,
      errors: [expect.stringMatching(/\S/)],
    })
    expect((await run('api.flow.find({ filter: "path ==" })')).failed.head.status).toBe(400)
    const { run: asOther } = await openPage({
      ...{ account: 'alice', token: 'x'.repeat(32) },
      ...hostOf(things.thingsUrl),
    })
    expect((await asOther('api.flow.find()')).failed.head.status).toBe(403)
    expect((await asOther('api.ws.connect()')).failed.head.status).toBe(403)
  })

  test('APIClient and WebSocketClient, with transports of the caller', async () => {
    const { id } = flow
    const calls = await run(
      `new Promise((resolve) => {
        const seen = []
        const request = (options, callback) => {
          seen.push(options.method + ' ' + new URL(options.url).pathname)
          fetch(options.url, { method: options.method, headers: options.headers })
            .then((response) => response.json()).then((json) => callback(null, json))
        }
        const options = { ...flowthings.options, account: 'alice', token, host, wsHost: host, secure: false }
        const own = flowthings.APIClient(options, request, WebSocket)
        own.flow.read(id, (_, { body }) => {
          seen.push(body.path)
          const ws = flowthings.WebSocketClient(options, request, WebSocket)
          ws.onopen = () => resolve(seen)
          ws.connect((error, client) => seen.push(client === ws))
        })
      })`,
      { id, token: things.alice.token, host: new URL(things.thingsUrl).host },
    )
    expect(calls).toEqual([`GET /v0.1/alice/flow/${id}`, '/alice/sensors', 'POST /session', true])
  })

  const connect = `new Promise((resolve, reject) => {
    window.seen ??= []
    api.ws.onopen = () => resolve('open')
    api.ws.onclose = (event) => { window.closeCode = event.code }
    api.ws.onerror = () => { window.erred = true }
    api.ws.onmessage = (text) => { window.lastText = text }
    api.ws.connect().catch(reject)
  })`
  const subscribe = 'api.ws.subscribe(to, (drop) => { seen.push([to, drop.elems.n.value]) })'
  const seen = () => run('window.seen')
  const add = (n: number) => things.alice('POST', `/drop/${flow.id}`, { elems: { n } })

  test('ws: connect, subscribe by id and by path, unsubscribe and send', async () => {
    const { id } = flow
    expect(await run(connect)).toBe('open')
    expect(await run(subscribe, { to: id })).toEqual({})
    await add(1)
    await expect.poll(seen).toEqual([[id, 1]])
    expect(await run('JSON.parse(window.lastText).type')).toBe('message')
    // A second subscription of the same flow, by its path: one event, which both handlers receive.
    expect(await run(subscribe, { to: flow.path })).toEqual({})
    await add(2)
    await expect.poll(seen).toEqual([
      [id, 1],
      [id, 2],
      [flow.path, 2],
    ])
    // A second handler is added without a command.
    await run('api.ws.subscribe(to, window.other = (drop) => { seen.push(["other", drop.elems.n.value]) })', {
      to: id,
    })
    await run('api.ws.unsubscribe(to, window.other)', { to: id })
    const sent = await run(
      'api.ws.send({ object: "drop", type: "create", flowId: id, value: { elems: { n: 3 } } })',
      { id },
    )
    expect(sent).toMatchObject({ flowId: id, elems: { n: { type: 'integer', value: 3 } } })
    await expect.poll(async () => (await seen()).length).toBe(5)
    expect((await seen()).slice(3)).toEqual([
      [id, 3],
      [flow.path, 3],
    ])
    const failed = await run('api.ws.send({ object: "flow", type: "find", id: "ff551ac39bd4c6c0000000000" })')
    expect(failed.failed.head).toMatchObject({ ok: false, status: 404 })
    expect((await run(subscribe, { to: '/alice/nothing' })).failed.head.ok).toBe(false)
    // The heartbeat, which has no reply, and a command after it.
    await run('api.ws.send({ type: "heartbeat" }, null) && null')
    expect(await run('api.ws.send({ object: "flow", type: "find", id })', { id })).toMatchObject({ id })
  })

  test('ws: the last handler that is removed ends the subscription in the page', async () => {
    const { id } = flow
    await run(connect)
    await run(
      `(async () => {
        window.handler = (drop) => { seen.push(drop.elems.n.value) }
        await api.ws.subscribe(id, window.handler)
      })()`,
      { id },
    )
    await add(1)
    await expect.poll(seen).toEqual([1])
    // The library sends "subscribe" once more, and forgets the handler when the reply has a body.
    expect(await run('api.ws.unsubscribe(id, window.handler)', { id })).toEqual({})
    await add(2)
    await run('api.ws.send({ object: "flow", type: "find", id })', { id })
    expect(await seen()).toEqual([1])
    await run(subscribe, { to: id })
    await add(3)
    await expect.poll(seen).toEqual([1, [id, 3]])
  })

  test('ws: many drops arrive in order, each once', async () => {
    const { id } = flow
    await run(connect)
    await run(subscribe, { to: id })
    await Promise.all(Array.from({ length: 100 }, (_, n) => add(n)))
    await expect.poll(async () => (await seen()).length).toBe(100)
    const stored = (await things.alice('GET', `/drop/${id}?order=asc&limit=100&hints=0`)).body
    expect(await seen()).toEqual(stored.map(({ elems }: Json) => [id, elems.n]))
  })

  test('ws: a program connects and subscribes again after the server was restarted', async () => {
    const { id } = flow
    const dataDir = await makeFolder()
    const first = await startThings({ dataDir })
    const port = Number(new URL(first.thingsUrl).port)
    const { alice } = first
    const made = (await alice('POST', '/flow', { path: '/alice/lasting' })).body
    const opened = await openPage({ account: 'alice', token: alice.token, ...hostOf(first.thingsUrl) })
    const { run: there } = opened
    await there(connect)
    await there(subscribe, { to: made.id })
    await alice('POST', `/drop/${made.id}`, { elems: { n: 1 } })
    await expect.poll(() => there('window.seen')).toEqual([[made.id, 1]])
    await first.close()
    await expect.poll(() => there('window.closeCode')).toBe(1001)
    expect((await there('api.ws.connect()')).failed).toBeDefined()
    const second = await startTestBackend({
      ...{ dataDir, demoOrganization: false },
      things: { port, demoAccount: undefined, demoToken: undefined },
    })
    onTestFinished(second.close)
    expect(await there(connect)).toBe('open')
    expect(await there(subscribe, { to: made.id })).toEqual({})
    await alice('POST', `/drop/${made.id}`, { elems: { n: 2 } })
    await expect
      .poll(() => there('window.seen'))
      .toEqual([
        [made.id, 1],
        [made.id, 2],
      ])
    expect(id).not.toBe(made.id)
  })

  test('ws: a token that is deleted ends the socket', async () => {
    const { body: token } = await things.alice('POST', '/token', { paths: { '/alice': { dropRead: true } } })
    const { run: there } = await openPage({
      ...{ account: 'alice', token: token.tokenString },
      ...hostOf(things.thingsUrl),
    })
    await there(connect)
    expect(await there(subscribe, { to: flow.id })).toEqual({})
    await things.alice('DELETE', `/token/${token.id}`)
    await expect.poll(() => there('window.closeCode')).toBe(1008)
    expect((await there('api.ws.connect()')).failed.head.status).toBe(403)
  })
})

test('flowthings-browser 1.0.2 in Node.js, with the XMLHttpRequest of docs/flowthings.md', async () => {
  const server = await startThings()
  onTestFinished(() => server.close())
  const page = await readFile(join(import.meta.dirname, '../../docs/flowthings.md'), 'utf8')
  const [, code = ''] = /```js\n(.+?globalThis\.XMLHttpRequest.+?)```/s.exec(page) ?? []
  const options = { account: 'alice', token: server.alice.token, secure: false, ...hostOf(server.thingsUrl) }
  const program = `${code}
    const api = flowthings.API({ transform: flowthings.promisify(Promise), ...${JSON.stringify(options)} })
    async function main() {
      const { body: flow } = await api.request({ method: 'POST', path: '/flow', data: { path: '/alice/node' } })
      const drops = api.drop(flow.id)
      await api.ws.connect()
      const seen = new Promise((resolve) => api.ws.onopen = () => api.ws.subscribe(flow.id, resolve).then(() => drops.create({ elems: { n: 1 } })))
      const { id, elems } = await seen
      const changes = { [id]: { elems: { n: 2 } } }
      return [
        elems.n.value,
        (await api.flow.findMany({ filter: { path: /NODE$/i } })).body[0].path,
        (await api.flow.readMany([flow.id])).body[flow.id].path,
        (await api.request({ method: 'MPUT', path: '/drop/' + flow.id, data: changes })).body[id].elems.n.value,
        (await drops.aggregate({ output: ['$count'] })).body[0].$count,
        await api.flow.read('f' + '0'.repeat(24)).catch(({ head }) => head.status),
      ]
    }
    main().then((result) => { console.log(JSON.stringify(result)); process.exit() })`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], {
    cwd: import.meta.dirname,
  })
  expect(JSON.parse(stdout)).toEqual([1, '/alice/node', '/alice/node', 2, 1, 404])
})
