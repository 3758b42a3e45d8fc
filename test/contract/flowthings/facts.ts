import { expect, test } from 'vitest'
import {
  callThings,
  type Json,
  startThings,
  type TestThings,
  type ThingsAnswer,
  type ThingsClient,
} from '../../support/things.ts'

/** Two accounts, with one of everything in that of Alice. */
export interface World {
  readonly things: TestThings
  readonly alice: ThingsClient
  readonly bob: ThingsClient
  /** The flow `/alice/sensors`, with three drops. */
  readonly flow: Json
  readonly drops: readonly Json[]
  readonly aliceId: string
  readonly bobId: string
  /** What a fact before left for the next. */
  readonly kept: Record<string, Json>
}

/** A request as a client sends it. */
export interface Request {
  readonly as?: 'alice' | 'bob' | 'nobody'
  /** The text of another token of the account. */
  readonly token?: string
  readonly method?: string
  readonly version?: string
  /** After the account; a whole path where `raw` is set. */
  readonly path: string
  readonly raw?: boolean
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** What the reference says of one request, and in which section. */
export interface Fact {
  readonly ref: string
  readonly fact: string
  readonly request?: (world: World) => Request
  readonly status?: number
  /** What the body of the envelope matches. */
  readonly body?: (world: World) => unknown
  /** What the body is. */
  readonly is?: (world: World) => unknown
  readonly error?: RegExp
  readonly headers?: Readonly<Record<string, string | RegExp | null>>
  /** What a status and a body cannot say. */
  readonly check?: (world: World, answer: ThingsAnswer) => void | Promise<void>
}

export async function makeWorld(): Promise<World & { close(): Promise<void> }> {
  const things = await startThings()
  const { alice } = things
  const bob = await things.addAccount('bob')
  const flow = (await alice('POST', '/flow', { path: '/alice/sensors', displayName: 'Sensors' })).body
  const drops: Json[] = []
  for (const elems of [
    { temp: 20, room: 'attic', ok: true },
    { temp: 21.5, room: 'cellar', tags: ['a', 'b'] },
    { temp: 25, room: 'attic', where: { floor: 2 } },
  ])
    drops.push((await alice('POST', `/drop/${flow.id}`, { elems })).body)
  const identity = async (client: ThingsClient) => (await client('GET', '/identity')).body[0].id
  return {
    ...{ things, alice, bob, flow, drops, kept: {} },
    aliceId: await identity(alice),
    bobId: await identity(bob),
    close: things.close,
  }
}

/** Sends the request of a fact. */
export async function send(world: World, request: Request): Promise<ThingsAnswer> {
  const {
    as = 'alice',
    method = 'GET',
    version = 'v0.1',
    path,
    raw = false,
    body,
    headers = {},
    token,
  } = request
  const client = as === 'bob' ? world.bob : world.alice
  const credential: Record<string, string> =
    as === 'nobody' ? {} : { 'x-auth-account': client.account, 'x-auth-token': token ?? client.token }
  const url = raw
    ? `${world.things.thingsUrl}${path}`
    : `${world.things.thingsUrl}/${version}/${client.account}${path}`
  return callThings(url, method, { ...credential, ...headers }, body)
}

/** One test for each fact, named by its section of the reference. Every response is checked for its envelope. */
export function testFacts(world: () => World, list: readonly Fact[]): void {
  test.each(list.map((fact) => [fact.ref, fact.fact, fact] as const))('%s: %s', async (_, __, fact) => {
    const there = world()
    const answer = fact.request === undefined ? undefined : await send(there, fact.request(there))
    if (answer !== undefined) {
      checkEnvelope(answer)
      expect(answer.status, answer.text).toBe(fact.status ?? 200)
    }
    if (fact.body !== undefined) expect(answer?.body).toMatchObject(fact.body(there) as object)
    if (fact.is !== undefined) expect(answer?.body).toEqual(fact.is(there))
    if (fact.error !== undefined) expect(answer?.head.errors[0]).toMatch(fact.error)
    for (const [name, expected] of Object.entries(fact.headers ?? {})) {
      const given = answer?.headers.get(name) ?? null
      if (expected instanceof RegExp) expect(given).toMatch(expected)
      else expect(given).toBe(expected)
    }
    await fact.check?.(there, answer as ThingsAnswer)
  })
}

/** What clients read of every response, whether it is a success or not. */
function checkEnvelope({ status, head, body, headers, text }: ThingsAnswer): void {
  expect(headers.get('content-type')).toMatch(/^application\/json/)
  if (text === '') return
  expect(head).toMatchObject({ status, ok: status < 400, references: expect.any(Object) })
  expect(body).toBeDefined()
  expect(body).not.toBeNull()
  if (status < 400) expect(head.errors).toEqual([])
  else {
    expect(head.errors.length).toBeGreaterThan(0)
    expect(head.errors[0]).toMatch(/\S/)
    expect(head.messages).toEqual([])
    expect(body).toEqual({})
  }
}

export const unknownFlow = 'ff551ac39bd4c6c0000000000'
