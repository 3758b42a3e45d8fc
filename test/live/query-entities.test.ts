import { expect, test } from 'vitest'
import { accessOf, type HeldAccess } from '../../src/events/entitlement.ts'
import { QueryEntities } from '../../src/live/query-entities.ts'
import { basicAuthorization, parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import type { LogHead } from '../../src/upstream/flowdock/log-heads.ts'
import { type DirectoryUser, Memberships } from '../../src/upstream/flowdock/service-directory.ts'

const credential = parseAuthorization(basicAuthorization('token')) ?? fail()
const { principal } = credential
const log = 'log'
const memberships = new Memberships({
  ...{ isDisabled: false, administers: new Set<number>(), joined: [], open: [], left: [] },
})
const me = {
  user: { id: 1, name: 'Ada' },
  organizations: new Set<number>(),
  memberships,
} as unknown as DirectoryUser

function fail(): never {
  throw new Error('Expected a credential')
}

function access(isPersonal = true): HeldAccess {
  return accessOf({ user: 1, grant: '', receivesFlows: true, isPrivate: true, isPersonal, flows: [] })
}

function start() {
  const state = {
    now: 0,
    access: access() as HeldAccess | undefined,
    held: { log, at: 5 } as LogHead | undefined,
    head: async (): Promise<LogHead | undefined> => ({ log, at: 5 }),
    hasRoom: true,
    isProving: false,
    uses: 0,
    heads: 0,
    ownCalls: 0,
    isRefused: false,
  }
  const queries = new QueryEntities({
    reads: { user: () => me, flow: () => null, organization: () => null, flowIdAt: () => undefined },
    latestHead() {
      state.heads += 1
      return state.head()
    },
    held: () => state.held,
    accessOf: () => state.access,
    isProving: () => state.isProving,
    use() {
      state.uses += 1
    },
    hasRoom: () => state.hasRoom,
    now: () => state.now,
  })
  queries.called(principal)
  const calls = {
    onRead: () => undefined,
    async useCredential() {
      state.ownCalls += 1
      if (state.isRefused) throw new Error('The credential was refused')
      queries.called(principal)
    },
  }
  const viewer = async () => queries.of(credential, calls)?.viewer()
  return { queries, state, viewer }
}

test('a query is answered from the directory once the log in memory has reached the end of the log', async () => {
  const { queries, state, viewer } = start()
  expect(await viewer()).toMatchObject({ name: 'Ada' })
  state.head = async () => ({ log, at: 6 })
  const pending = viewer()
  await new Promise(setImmediate)
  state.held = { log, at: 6 }
  queries.moved()
  expect(await pending).toMatchObject({ name: 'Ada' })
})

test('a log in memory that is late leaves the query to the REST API, and is not waited for until it has grown', async () => {
  const { queries, state, viewer } = start()
  state.head = async () => ({ log, at: 6 })
  expect(await viewer()).toBeUndefined()
  expect(await viewer()).toBeUndefined()
  state.head = async () => ({ log, at: 7 })
  state.held = { log, at: 6 }
  const pending = viewer()
  await new Promise(setImmediate)
  state.held = { log, at: 7 }
  queries.moved()
  expect(await pending).toMatchObject({ name: 'Ada' })
})

test('another log, a stream that is not live, and a backend that does not say where its log ends do so, too', async () => {
  const { state, viewer } = start()
  state.head = async () => ({ log: 'other', at: 1 })
  expect(await viewer()).toBeUndefined()
  state.head = async () => undefined
  expect(await viewer()).toBeUndefined()
  state.head = async () => ({ log, at: 5 })
  state.held = undefined
  expect(await viewer()).toBeUndefined()
})

test('a query waits for the access of its principal, which has to be that of a personal token', async () => {
  const { queries, state, viewer } = start()
  state.access = undefined
  state.isProving = true
  const pending = viewer()
  expect(state.uses).toBe(1)
  await new Promise(setImmediate)
  state.access = access()
  state.isProving = false
  queries.moved()
  expect(await pending).toMatchObject({ name: 'Ada' })
  state.access = access(false)
  expect(await viewer()).toBeUndefined()
  // It was refused.
  state.access = undefined
  expect(await viewer()).toBeUndefined()
})

test('without room for further principals, a query proves no access', async () => {
  const { state, viewer } = start()
  state.access = undefined
  state.hasRoom = false
  expect(await viewer()).toBeUndefined()
  expect(state.uses).toBe(0)
})

test('a minute after its credential was used at the backend, a query makes a call with it, one for all of its fields', async () => {
  const { queries, state, viewer } = start()
  expect(await viewer()).toMatchObject({ name: 'Ada' })
  expect(state.ownCalls).toBe(0)
  state.now = 60_001
  expect(await viewer()).toMatchObject({ name: 'Ada' })
  expect(await viewer()).toMatchObject({ name: 'Ada' })
  expect(state.ownCalls).toBe(1)
  state.now = 120_002
  // A field of the query has made another call meanwhile.
  state.head = async () => {
    queries.called(principal)
    return { log, at: 5 }
  }
  expect(await viewer()).toMatchObject({ name: 'Ada' })
  expect(state.ownCalls).toBe(1)
})

test('a credential that is refused leaves the query to the REST API', async () => {
  const { state, viewer } = start()
  state.now = 60_001
  state.isRefused = true
  expect(await viewer()).toBeUndefined()
})

test('an access that is not known makes no call with the credential', async () => {
  const { state, viewer } = start()
  state.now = 60_001
  state.access = undefined
  expect(await viewer()).toBeUndefined()
  expect(state.ownCalls).toBe(0)
})
