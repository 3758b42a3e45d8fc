import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Limits } from '../../src/graphql/document-limits.ts'
import { post, startTestApp, type TestApp } from '../support/app.ts'
import { startTestBackend } from '../support/backend.ts'
import { openScriptedUpstream } from '../support/upstream.ts'

/* What goes wrong between the gateway and its upstream, and what clients see of it. */

const user = { id: 1, nick: 'Ada', name: 'Ada', email: 'a@b', avatar: '', status: null, disabled: false }
const viewer = '{ viewer { nick } }'

type Answer = (request: IncomingMessage, response: ServerResponse, number: number) => void

async function start(answer: Answer, limits: Partial<Limits> = {}) {
  let current = answer
  const upstream = await openScriptedUpstream((request, response, number) => {
    request.resume()
    response.on('error', () => undefined)
    current(request, response, number)
  })
  const app = await startTestApp({ upstreamUrl: upstream.url, limits })
  onTestFinished(async () => {
    await app.close()
    await upstream.close()
  })
  return {
    app,
    upstream,
    change(next: Answer) {
      current = next
    },
  }
}

const json = (response: ServerResponse, body: unknown, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const ok: Answer = (_, response) => void json(response, user)
const codeOf = ({ errors }: Awaited<ReturnType<typeof post>>) => errors?.[0]?.extensions?.['code']
const askAs = (app: TestApp, token: string, query = viewer) => post(app.url, { query }, token)

describe('reads', () => {
  test('one of three that fails leaves the others alone', async () => {
    const { app } = await start((request, response) =>
      request.url?.startsWith('/flows') ? void json(response, {}, 500) : ok(request, response, 0),
    )
    const { data, errors } = await askAs(
      app,
      'x',
      '{ viewer { nick } flow(by: { path: "a/b" }) { name } b: viewer { name } }',
    )
    expect(data).toMatchObject({ viewer: { nick: 'Ada' }, b: { name: 'Ada' } })
    expect(errors).toMatchObject([{ path: ['flow'], extensions: { code: 'UPSTREAM_UNAVAILABLE' } }])
  })

  test('one of six that fails is made again, so that clients notice nothing, within a budget', async () => {
    const { app, upstream } = await start((request, response, number) =>
      number % 6 === 0 ? void json(response, {}, 503) : ok(request, response, number),
    )
    let failed = 0
    for (let count = 0; count < 300; count += 1)
      if ((await askAs(app, `t${count}`)).errors !== undefined) failed += 1
    expect(failed).toBeLessThanOrEqual(1)
    expect(upstream.requests.length).toBeLessThanOrEqual(300 * 1.25)
  })

  test('all of which fail are not made more often for it, and answered at once; well again, they are within seconds', async () => {
    const { app, upstream, change } = await start((_, response) => void json(response, {}, 503))
    const took: number[] = []
    for (let count = 0; count < 400; count += 1) {
      const begun = performance.now()
      expect(codeOf(await askAs(app, `t${count}`))).toBe('UPSTREAM_UNAVAILABLE')
      took.push(performance.now() - begun)
    }
    expect(upstream.requests.length).toBeLessThanOrEqual(400 * 1.2)
    expect(took.sort((a, b) => a - b)[Math.floor(took.length / 2)]).toBeLessThan(50)
    expect(app.state().upstream.refusals).toBeGreaterThan(300)
    change(ok)
    await expect.poll(async () => (await askAs(app, 'x')).errors).toBeUndefined()
  })

  test('that no client waits for are aborted at the upstream', async () => {
    let open = 0
    const { app } = await start((_, response) => {
      open += 1
      response.on('close', () => {
        open -= 1
      })
    })
    const leaving = Array.from({ length: 50 }, (_, index) => {
      const gone = new AbortController()
      void fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer t${index}` },
        body: JSON.stringify({ query: viewer }),
        signal: gone.signal,
      }).catch(() => undefined)
      return gone
    })
    await expect.poll(() => open).toBe(50)
    for (const gone of leaving) gone.abort()
    await expect.poll(() => open).toBe(0)
    await expect.poll(() => app.state().load.inFlight).toBe(0)
  })

  test('of one principal, even many and slow ones, leave connections for others', async () => {
    const { app } = await start((request, response) => {
      if (!request.headers.authorization?.includes('greedy')) ok(request, response, 0)
    })
    const gone = new AbortController()
    // Each is another read, so that none is shared.
    const greedy = Array.from({ length: 300 }, (_, index) =>
      fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer greedy' },
        body: JSON.stringify({ query: `{ organization(by: { slug: "s${index}" }) { name } }` }),
        signal: gone.signal,
      }).catch(() => undefined),
    )
    await expect.poll(() => app.state().load.inFlight).toBe(300)
    for (let count = 0; count < 20; count += 1)
      expect((await askAs(app, `t${count}`)).data).toEqual({ viewer: { nick: 'Ada' } })
    gone.abort()
    await Promise.all(greedy)
    await expect.poll(() => app.state().load.inFlight).toBe(0)
  })

  test('and writes that take too long in all are not gone on with', async () => {
    const slow: Answer = (request, response) => setTimeout(() => ok(request, response, 0), 100)
    const { app, upstream } = await start(slow, { maxOperationMs: 250 })
    const fields = Array.from(
      { length: 8 },
      (_, index) =>
        `m${index}: sendMessage(input: { flow: { path: "a/b" }, content: "x" }) { ... on UserError { code } }`,
    )
    const { data } = await askAs(app, 'x', `mutation { ${fields.join(' ')} }`)
    expect(data.m0.code).not.toBe('UPSTREAM_TIMEOUT')
    expect(data.m7.code).toBe('UPSTREAM_TIMEOUT')
    expect(upstream.requests.length).toBeGreaterThan(0)
    expect(upstream.requests.length).toBeLessThan(6)
  })

  test('the same, a thousand times at once, are few calls', async () => {
    const { app, upstream } = await start((request, response) =>
      setTimeout(() => ok(request, response, 0), 20),
    )
    const answers = await Promise.all(Array.from({ length: 1000 }, () => askAs(app, 'same')))
    for (const { data } of answers) expect(data).toEqual({ viewer: { nick: 'Ada' } })
    expect(upstream.requests.length).toBeLessThan(200)
  })
})

describe('writes', () => {
  /** A gateway before the embedded backend, between which something happens to each reply. */
  async function startLossy(lose: (number: number) => 'reply' | 'request' | undefined) {
    const backend = await startTestBackend()
    let number = 0
    const proxy = await openScriptedUpstream(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const lost = request.method === 'GET' ? undefined : lose(number++)
      if (lost === 'request') return void response.socket?.resetAndDestroy()
      const { host, connection, 'content-length': length, ...headers } = request.headers
      const answer = await fetch(backend.url + request.url, {
        method: request.method ?? 'GET',
        headers: headers as Record<string, string>,
        ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
      })
      const body = await answer.text()
      if (lost === 'reply') return void response.socket?.resetAndDestroy()
      response
        .writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
        .end(body)
    })
    const app = await startTestApp({ upstreamUrl: proxy.url })
    onTestFinished(async () => {
      await app.close()
      await proxy.close()
      await backend.close()
    })
    const token = await backend.token('Ada')
    const said = async (content: string) => {
      const { json: list } = await backend.as('Ada')('GET', '/flows/example/main/messages?limit=100')
      return (list as { content: unknown }[]).filter((message) => message.content === content).length
    }
    return { app, proxy, token, said }
  }
  const send =
    'mutation ($content: String!, $uuid: String) { sendMessage(input: { flow: { path: "example/main" }, content: $content, uuid: $uuid }) { __typename ... on UserError { code } ... on SendMessagePayload { sentMessage { id } } } }'

  test('whose reply is lost are not made again by themselves; with the same uuid they can be, and are one message', async () => {
    const { app, token, said } = await startLossy((number) => (number % 2 === 0 ? 'reply' : undefined))
    for (let index = 0; index < 20; index += 1) {
      const variables = {
        content: `lost ${index}`,
        uuid: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      }
      const lost = await post(app.url, { query: send, variables }, token)
      expect(lost.data.sendMessage).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
      const again = await post(app.url, { query: send, variables }, token)
      expect(again.data.sendMessage.sentMessage.id).toBeDefined()
      expect(await said(`lost ${index}`)).toBe(1)
    }
  })

  test('that never arrived are not made twice either', async () => {
    const { app, token, said } = await startLossy((number) => (number === 0 ? 'request' : undefined))
    const variables = { content: 'never', uuid: null }
    expect((await post(app.url, { query: send, variables }, token)).data.sendMessage.code).toBe(
      'UPSTREAM_UNAVAILABLE',
    )
    expect(await said('never')).toBe(0)
    expect((await post(app.url, { query: send, variables }, token)).errors).toBeUndefined()
    expect(await said('never')).toBe(1)
  })

  test('of one uuid at once are one message', async () => {
    const { app, token, said } = await startLossy(() => undefined)
    const variables = { content: 'double', uuid: '00000000-0000-4000-8000-00000000000d' }
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post(app.url, { query: send, variables }, token)),
    )
    const ids = new Set(answers.map(({ data }) => data.sendMessage.sentMessage?.id))
    expect(ids.size).toBe(1)
    expect(await said('double')).toBe(1)
  })

  test('of one document are made one after the other, and those after one that fails, too', async () => {
    const { app, proxy, token } = await startLossy((number) => (number === 2 ? 'request' : undefined))
    const fields = Array.from(
      { length: 10 },
      (_, index) =>
        `m${index}: sendMessage(input: { flow: { path: "example/main" }, content: "n${index}" }) { __typename }`,
    )
    const { data } = await post(app.url, { query: `mutation { ${fields.join(' ')} }` }, token)
    expect(Object.values(data).map((each) => (each as { __typename: string }).__typename)).toEqual(
      Array.from({ length: 10 }, (_, index) => (index === 2 ? 'UpstreamUnavailable' : 'SendMessagePayload')),
    )
    expect(proxy.requests.filter(({ method }) => method === 'POST')).toHaveLength(10)
  })

  test('are seen by every read after them', async () => {
    const { app, token } = await startLossy(() => undefined)
    for (let index = 0; index < 100; index += 1) {
      const { data } = await post(app.url, { query: send, variables: { content: `seen ${index}` } }, token)
      const read = await post(
        app.url,
        { query: '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { id } } } }' },
        token,
      )
      expect(read.data.flow.messages.nodes).toEqual([{ id: data.sendMessage.sentMessage.id }])
    }
  })
})
