import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { bringUpToDate } from '../../src/events/entitlement.ts'
import { Secret } from '../../src/secret.ts'
import type { Credential } from '../../src/upstream/flowdock/credentials.ts'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import {
  createEntitlements,
  type EntitlementSnapshot,
  type ProvedPrincipal,
} from '../../src/upstream/flowdock/entitlements.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

const entitlement = {
  ...{ log: 'log-1', at: 12, user: 7, grant: 'grant', flows: ['a'], private: true },
  ...{ organizations: [], scopes: null, expires_at: null },
}

type Answer = Parameters<typeof startScriptedUpstream>[0]

async function start(answer: Answer, more: { maxUnderWay?: number; maxWaiting?: number } = {}) {
  const upstream = await startScriptedUpstream(answer)
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 128 })
  const outcomes: (readonly [key: string, outcome: EntitlementSnapshot | unknown])[] = []
  const heard = new EventTarget()
  const note = (key: string, outcome: unknown) => {
    outcomes.push([key, outcome])
    heard.dispatchEvent(new Event('outcome'))
  }
  const entitlements = createEntitlements<ProvedPrincipal>({
    ...{ http, restUrl: upstream.url, token: new Secret('service-token'), pauseMs: 5, ...more },
    credentialOf: (key) =>
      key === 'nobody' ? undefined : (parseAuthorization(`Bearer ${key}`) as Credential),
    onProved: ({ key }, snapshot) => note(key, snapshot),
    onRefused: ({ key }, error) => note(key, { refused: (error as { code: string }).code }),
    onFailed: ({ key }, error) => note(key, { failed: (error as { code: string }).code }),
  })
  onTestFinished(async () => {
    entitlements.close()
    await http.close()
  })
  return {
    ...{ entitlements, outcomes, upstream },
    async until(count: number) {
      while (outcomes.length < count)
        await new Promise((resolve) => heard.addEventListener('outcome', resolve, { once: true }))
    },
  }
}

test('a proof uses the credential of the principal, not the service token', async () => {
  const { entitlements, outcomes, upstream, until } = await start((_, response) =>
    answerJson(response, 200, { ...entitlement, expires_at: 5000, later: 'ignored' }),
  )
  entitlements.prove({ key: 'ada' }, false)
  await until(1)
  expect(outcomes).toEqual([
    [
      'ada',
      {
        ...{
          log: 'log-1',
          at: 12,
          user: 7,
          grant: 'grant',
          flows: ['a'],
          receivesFlows: true,
          isPrivate: true,
          expiresAt: 5000,
          isPersonal: false,
        },
      },
    ],
  ])
  expect(upstream.requests[0]).toMatchObject({
    ...{ url: '/service/v1/entitlement', headers: { authorization: 'Bearer ada' } },
  })
})

test('a token without the scope flow receives what is sent to no flow, now and later', async () => {
  const { entitlements, outcomes, until } = await start((_, response) =>
    answerJson(response, 200, { ...entitlement, flows: [], scopes: ['private'] }),
  )
  entitlements.prove({ key: 'ada' }, false)
  await until(1)
  const snapshot = outcomes[0]?.[1] as EntitlementSnapshot
  const joined = { kind: 'joined', user: snapshot.user, flow: 'a' } as const
  expect(bringUpToDate(snapshot, [joined])).toMatchObject({ access: { flows: new Set() } })
  expect(bringUpToDate({ ...snapshot, receivesFlows: true }, [joined])).toMatchObject({
    access: { flows: new Set(['f:a']) },
  })
})

test.each([
  [401, {}, { refused: 'UNAUTHENTICATED' }],
  [403, {}, { refused: 'FORBIDDEN' }],
  [503, {}, { failed: 'UPSTREAM_UNAVAILABLE' }],
  [200, { ...entitlement, flows: 'a' }, { failed: 'UPSTREAM_INVALID' }],
  [200, { ...entitlement, at: '12' }, { failed: 'UPSTREAM_INVALID' }],
])('a response %i of %j is told from a refusal', async (status, body, outcome) => {
  const { entitlements, outcomes, until } = await start((_, response) => answerJson(response, status, body))
  entitlements.prove({ key: 'ada' }, true)
  await until(1)
  expect(outcomes).toEqual([['ada', outcome]])
})

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}

test('proofs that wait while others are under way go into one call, with the service token', async () => {
  let most = 0
  const batches: unknown[][] = []
  const { entitlements, until, outcomes, upstream } = await start(
    async (request, response) => {
      most = Math.max(most, entitlements.underWay)
      if (request.method === 'GET') return answerJson(response, 200, entitlement)
      const credentials = (await bodyOf(request)) as string[]
      batches.push(credentials)
      answerJson(
        response,
        200,
        credentials.map(() => entitlement),
      )
    },
    { maxUnderWay: 2 },
  )
  entitlements.prove({ key: 'nobody' }, false)
  for (let index = 0; index < 200; index += 1) entitlements.prove({ key: `user-${index}` }, false)
  await until(200)
  expect(new Set(outcomes.map(([key]) => key)).size).toBe(200)
  expect(most).toBe(2)
  expect(batches.flat()).toContain('Bearer user-150')
  expect(upstream.requests.length).toBeLessThan(8)
  const batch = upstream.requests.find(({ method }) => method === 'POST')
  expect(batch).toMatchObject({
    url: '/service/v1/entitlements',
    headers: { authorization: 'Bearer service-token' },
  })
})

test('each of several proofs has an outcome of its own; a password is proved by itself', async () => {
  const { entitlements, until, outcomes, upstream } = await start(
    async (request, response) => {
      if (request.method === 'GET') return answerJson(response, 200, { ...entitlement, user: 9 })
      const of: Record<string, unknown> = {
        'Bearer gone': { status: 401 },
        'Bearer password': { status: 501 },
        'Bearer broken': { log: 7 },
      }
      answerJson(
        response,
        200,
        ((await bodyOf(request)) as string[]).map((each) => of[each] ?? entitlement),
      )
    },
    { maxUnderWay: 1 },
  )
  for (const key of ['first', 'gone', 'password', 'broken', 'fine']) entitlements.prove({ key }, false)
  await until(5)
  expect(Object.fromEntries(outcomes)).toMatchObject({
    first: { user: 9 },
    gone: { refused: 'UNAUTHENTICATED' },
    password: { user: 9 },
    broken: { failed: 'UPSTREAM_INVALID' },
    fine: { user: 7 },
  })
  expect(upstream.requests.map(({ method }) => method)).toEqual(['GET', 'POST', 'GET'])
})

test('a backend that takes one credential in a call is asked for each', async () => {
  const { entitlements, until, outcomes, upstream } = await start(
    (request, response) => answerJson(response, request.method === 'GET' ? 200 : 404, entitlement),
    { maxUnderWay: 1 },
  )
  for (let index = 0; index < 20; index += 1) entitlements.prove({ key: `user-${index}` }, false)
  await until(20)
  expect(outcomes.every(([, outcome]) => (outcome as { user?: number }).user === 7)).toBe(true)
  expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
})

test('an audit names the principals whose credential is gone or whose flows differ', async () => {
  const bodies: unknown[] = []
  const { entitlements, upstream } = await start((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const claims = JSON.parse(Buffer.concat(chunks).toString()) as { grant: string }[]
      bodies.push(claims)
      answerJson(
        response,
        200,
        claims.flatMap(({ grant }) => (grant === 'grant-1' ? { grant, user: 7, state: 'gone' } : [])),
      )
    })
  })
  const claims = Array.from({ length: 1500 }, (_, index) => ({
    ...{ key: `principal-${index}`, grant: `grant-${index}`, user: 7, flows: ['b', 'a'] },
  }))
  expect(await entitlements.audit(claims, 12)).toEqual(['principal-1'])
  expect(bodies.map((body) => (body as unknown[]).length)).toEqual([1000, 500])
  expect(bodies[0]).toContainEqual({
    ...{ grant: 'grant-0', user: 7, flowsHash: hash('sha256', 'a\nb\n'), at: 12 },
  })
  expect(upstream.requests[0]?.headers.authorization).toBe('Bearer service-token')
})

test('where more proofs wait than can be made soon, further ones fail at once, to be tried again', async () => {
  const { entitlements, outcomes, until } = await start(
    async (request, response) =>
      answerJson(
        response,
        200,
        request.method === 'GET'
          ? entitlement
          : ((await bodyOf(request)) as unknown[]).map(() => entitlement),
      ),
    { maxUnderWay: 1, maxWaiting: 2 },
  )
  for (let index = 0; index < 5; index += 1) entitlements.prove({ key: `user-${index}` }, false)
  expect(entitlements.waiting).toBe(2)
  await until(5)
  const failed = outcomes.filter(([, outcome]) => Object.hasOwn(outcome as object, 'failed'))
  expect(failed).toEqual([
    ['user-3', { failed: 'OVERLOADED' }],
    ['user-4', { failed: 'OVERLOADED' }],
  ])
})
