import { describe, expect, test } from 'vitest'
import type { MaybePromise } from '../../src/upstream/flowdock/directory.ts'
import { PrincipalEntities } from '../../src/upstream/flowdock/entities.ts'
import type { Flow, Organization, User } from '../../src/upstream/flowdock/model.ts'
import { type DirectoryUser, Memberships } from '../../src/upstream/flowdock/service-directory.ts'

interface Standing {
  readonly of?: readonly number[]
  readonly administers?: readonly number[]
  readonly joined?: readonly string[]
  readonly open?: readonly string[]
  readonly left?: readonly string[]
  readonly isDisabled?: boolean
}

function account(id: number, standing: Standing | undefined): DirectoryUser {
  const user = {
    ...{ id, nick: `user${id}`, name: `User ${id}`, email: null, avatarUrl: null, websiteUrl: null },
  } as User
  const { of = [1], administers, joined = [], open = [], left = [], isDisabled = false } = standing ?? {}
  const memberships = new Memberships({ isDisabled, administers: new Set(administers), joined, open, left })
  return { user, organizations: new Set(of), memberships: standing && memberships }
}

function flowOf(id: string, isDisabled = false): Flow {
  const organization = { id: 1, slug: 'acme', name: 'as it was' } as Organization
  return { id, path: `acme/${id}`, name: id, isDisabled, organization, details: {} } as Flow
}

/** User 1 looks; the directory has the others. */
function start(
  accounts: Readonly<Record<number, Standing | undefined>>,
  options: {
    isSettled?: boolean
    flows?: readonly Flow[]
    find?: (id: number) => MaybePromise<DirectoryUser | null>
    onRead?: () => void
  } = {},
) {
  const known = new Map(
    Object.entries(accounts).map(([id, memberships]) => [Number(id), account(Number(id), memberships)]),
  )
  const flows = new Map(
    (options.flows ?? [flowOf('a'), flowOf('b'), flowOf('old', true)]).map((flow) => [flow.id, flow]),
  )
  const state = { viewerId: 1 as number | undefined, settles: 0, reads: 0 }
  const entities = new PrincipalEntities({
    reads: {
      user: options.find ?? ((id) => known.get(id) ?? null),
      flow: (id) => flows.get(id) ?? null,
      organization: (id) => ({ id, slug: 'acme', name: 'as it is' }) as Organization,
      flowIdAt: (path) => (path === 'acme/a' ? 'a' : undefined),
    },
    async settle() {
      state.settles += 1
      return options.isSettled ?? true
    },
    viewerId: () => state.viewerId,
    onRead() {
      state.reads += 1
      options.onRead?.()
    },
  })
  return { entities, state }
}

test('the viewer is looked up once for all users of one turn, and again in the next one', async () => {
  const asked: number[] = []
  const { entities, state } = start(
    {},
    {
      find(id) {
        asked.push(id)
        return account(id, { administers: [1] })
      },
    },
  )
  await entities.viewer()
  asked.length = 0
  for (const id of [2, 3, 4]) entities.user(id)
  expect(asked).toEqual([1, 2, 3, 4])
  await undefined
  state.viewerId = undefined
  expect(entities.user(2)).toBeUndefined()
})

describe('a user is shown', () => {
  test.each<[string, Standing, Standing]>([
    ['of an organization that the viewer administers', { of: [1, 2], administers: [2] }, { of: [2] }],
    ['of a flow of the viewer', { joined: ['a'] }, { of: [], joined: ['a'] }],
    ['who left a flow of the viewer', { joined: ['a'] }, { of: [], left: ['a'] }],
  ])('%s', async (_, mine, theirs) => {
    const { entities } = start({ 1: mine, 2: theirs })
    expect(await entities.user(2)).toMatchObject({ name: 'User 2' })
  })

  test('who is the viewer', async () => {
    const { entities } = start({ 1: { of: [] } })
    expect(await entities.user(1)).toMatchObject({ name: 'User 1' })
    expect(await entities.viewer()).toMatchObject({ name: 'User 1' })
  })
})

describe('a user is not shown', () => {
  test.each<[string, Standing, Standing]>([
    ['of an organization that the viewer does not administer', { of: [1] }, { of: [1] }],
    ['of a flow that the viewer left', { left: ['a'] }, { joined: ['a'] }],
    ['of another flow', { joined: ['a'] }, { joined: ['b'] }],
  ])('%s', async (_, mine, theirs) => {
    const { entities } = start({ 1: mine, 2: theirs })
    expect(await entities.user(2)).toBeNull()
  })

  test('who does not exist', async () => {
    expect(await start({ 1: {} }).entities.user(9)).toBeNull()
  })
})

test('a flow is as its viewer sees it, with its organization as it is now and without its details', async () => {
  const { entities } = start({ 1: { joined: ['a', 'b'], open: ['b'], administers: [1] } })
  const seen = {
    isJoined: true,
    isAdmin: true,
    details: null,
    users: null,
    organization: { name: 'as it is' },
  }
  expect(await entities.flow('a')).toMatchObject({ ...seen, isOpen: false })
  expect(await entities.flow('b')).toMatchObject({ ...seen, isOpen: true })
  expect(await entities.flowByPath('acme/a')).toMatchObject({ id: 'a' })
})

test('a flow that was not read yet is found by its path among the flows of the viewer', async () => {
  const { entities } = start({ 1: { joined: ['a', 'b'] } })
  expect(await entities.flowByPath('acme/b')).toMatchObject({ id: 'b' })
  expect(await entities.flowByPath('acme/old')).toBeUndefined()
})

test('lists have what the viewer has joined, without archived flows', async () => {
  const { entities } = start({ 1: { joined: ['a', 'old'], of: [1, 2] } })
  expect((await entities.joinedFlows())?.map(({ id }) => id)).toEqual(['a'])
  expect((await entities.organizations())?.map(({ id }) => id)).toEqual([1, 2])
})

describe('the REST API is asked', () => {
  test('for a flow or an organization that the viewer is not in', async () => {
    const { entities } = start({ 1: { joined: ['a'], left: ['b'] } })
    expect(await entities.flow('b')).toBeUndefined()
    expect(await entities.organization(2)).toBeUndefined()
  })

  test('while the directory may not know what was committed before the operation', async () => {
    const { entities, state } = start({ 1: { joined: ['a'] } }, { isSettled: false })
    expect(await entities.viewer()).toBeUndefined()
    expect(await entities.flow('a')).toBeUndefined()
    expect(state.settles).toBe(1)
  })

  test('from the moment on at which the operation changes something', async () => {
    const { entities } = start({ 1: { joined: ['a'] } })
    const pending = entities.viewer()
    entities.changed()
    expect(await pending).toBeUndefined()
    expect(entities.viewer()).toBeUndefined()
  })

  test('when the credential is not known to be valid any more, also during a read', async () => {
    const read = Promise.withResolvers<DirectoryUser>()
    const { entities, state } = start({}, { find: () => read.promise })
    const pending = entities.viewer()
    await new Promise(setImmediate)
    state.viewerId = undefined
    read.resolve(account(1, {}))
    expect(await pending).toBeUndefined()
    expect(await entities.viewer()).toBeUndefined()
  })

  test('for a disabled user, and of a backend that does not say what users are to flows', async () => {
    expect(await start({ 1: { isDisabled: true } }).entities.viewer()).toBeUndefined()
    expect(await start({ 1: undefined }).entities.viewer()).toBeUndefined()
    expect(await start({ 1: {}, 2: undefined }).entities.user(2)).toBeUndefined()
  })

  test('by the rest of an operation for which the directory could not be read', async () => {
    let reads = 0
    const find = () => {
      reads += 1
      return Promise.reject(new Error('down'))
    }
    const { entities } = start({}, { find })
    expect(await entities.viewer()).toBeUndefined()
    expect(await entities.user(2)).toBeUndefined()
    expect(reads).toBe(1)
  })

  test('by the rest of an operation that may make no call', async () => {
    const onRead = () => {
      throw new Error('The rate limit is reached')
    }
    const cold = start({}, { find: async (id) => account(id, {}), onRead })
    expect(await cold.entities.viewer()).toBeUndefined()
    expect(await cold.entities.viewer()).toBeUndefined()
    const find = (id: number) => (id === 1 ? account(1, {}) : Promise.resolve(account(id, {})))
    const warm = start({}, { find, onRead })
    expect(await warm.entities.viewer()).toMatchObject({ name: 'User 1' })
    expect(await warm.entities.user(2)).toBeUndefined()
  })
})

test('reads of the directory count as one call, and a directory that has everything costs none', async () => {
  const { entities, state } = start({}, { find: async (id) => account(id, { joined: ['a'] }) })
  await entities.user(2)
  await entities.user(3)
  expect(state.reads).toBe(1)
  const known = start({ 1: {}, 2: {} })
  await known.entities.user(2)
  expect(known.state.reads).toBe(0)
})

test('once it is sure, what is known is returned without a promise', async () => {
  const { entities } = start({ 1: { joined: ['a'] }, 2: { joined: ['a'] } })
  await entities.viewer()
  expect(entities.user(2)).toMatchObject({ name: 'User 2' })
  expect(entities.flowByPath('acme/a')).toMatchObject({ id: 'a' })
})
