import fc from 'fast-check'
import { expect, test } from 'vitest'
import { replaceMasterToken } from '../../src/backend/flowthings/operations/accounts.ts'
import { makeTokenText } from '../../src/backend/flowthings/principal.ts'
import { findAccount } from '../../src/backend/store/things/accounts.ts'
import { callThings, createClient, type Json, startThings, type TestThings } from '../support/things.ts'
import { type AccountName, accountNames, type Credential, ThingsModel } from '../support/things-model.ts'
import { openSocket, type ThingsSocket } from '../support/things-socket.ts'

/*
 * An account, a token and who has a share may read, change and receive exactly what the model says, over REST and over sockets,
 * whatever the order of changes of tokens, shares, groups, flows and master tokens. CONTRIBUTING.md describes `STEPS` and `SEED`.
 */

const { STEPS: stepsSetting, SEED: seedSetting } = process.env
const isEveryday = stepsSetting === undefined && seedSetting === undefined
const steps = Number(stepsSetting ?? 1000)
const firstSeed = seedSetting === 'random' ? Date.now() % 1_000_000_000 : Number(seedSetting ?? 1)
const everydaySeeds = [201, 202, 203, 204, 205, 206]
const stepsOfHistory = 60
/** How long a lost right may take until nothing is received; the server promises two seconds, and the machine may be busy. */
const silentMs = 15_000

const paths = [
  '/alice',
  '/alice/a',
  '/alice/a/b',
  '/alice/ab',
  '/bob',
  '/bob/x',
  '/bob/xy',
  '/eve/z',
] as const
/** Flows are created and moved within these, which belong to accounts by their first segment. */
const places = [
  ...[
    '/alice/a',
    '/alice/a/b',
    '/alice/ab',
    '/alice/a/b/c',
    '/alice/A',
    '/bob/x',
    '/bob/x/y',
    '/bob/xy',
    '/eve/z',
  ],
] as const

interface Open {
  readonly credential: Credential
  readonly socket: ThingsSocket
  readonly flows: Set<string>
}

class World {
  readonly things: TestThings
  readonly identities: Readonly<Record<AccountName, string>>
  readonly open: Open[] = []
  texts = 0

  constructor(things: TestThings, identities: Record<AccountName, string>) {
    this.things = things
    this.identities = identities
  }

  rest(credential: Credential, method: string, path: string, body?: unknown) {
    return createClient(this.things.thingsUrl, credential.account, credential.token)(method, path, body)
  }
}

type Step = fc.AsyncCommand<ThingsModel, World, true>
let taken = 0
let received = 0

function step(
  label: string,
  run: (model: ThingsModel, world: World) => Promise<void>,
  canRun: (model: ThingsModel) => boolean = () => true,
): Step {
  return {
    check: async (model) => canRun(model),
    async run(model, world) {
      taken += 1
      await run(model, world)
    },
    toString: () => label,
  }
}

/** Ends what a change took away: the sockets of invalid credentials close, and others become silent. */
async function settle(model: ThingsModel, world: World): Promise<void> {
  for (const each of [...world.open]) {
    if (!model.isValid(each.credential)) {
      expect(await each.socket.closed).toBe(1008)
      world.open.splice(world.open.indexOf(each), 1)
      continue
    }
    for (const id of each.flows) {
      const flow = model.flows.get(id)
      if (flow !== undefined && model.rights(each.credential, flow).dropRead) continue
      each.flows.delete(id)
      if (flow === undefined) continue
      const until = Date.now() + silentMs
      while ((await sendText(model, world, id)).receivers.has(each)) {
        if (Date.now() > until)
          throw new Error(`${each.credential.name} still receives drops of ${flow.path}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
}

/** Writes a drop as the account of a flow. @returns who received it */
async function sendText(
  model: ThingsModel,
  world: World,
  flowId: string,
  by?: Credential,
): Promise<{ text: string; receivers: ReadonlySet<Open> }> {
  const flow = model.flows.get(flowId)
  if (flow === undefined) throw new Error('There is no such flow')
  world.texts += 1
  const text = `text ${world.texts}.`
  const answer = await world.rest(by ?? model.master(flow.account), 'POST', `/drop/${flowId}`, {
    elems: { text },
  })
  expect(answer.status, answer.text).toBe(201)
  flow.texts.push(text)
  const receivers = new Set<Open>()
  for (const each of world.open) {
    // The reply comes after every drop that was acknowledged before. A socket of a credential that just ended may be closed.
    await each.socket.ask({ object: 'flow', type: 'findmany', options: { limit: 1 } }).catch(() => undefined)
    const events = each.socket.events.filter(({ value }) => value.elems.text?.value === text)
    expect(events.length).toBeLessThanOrEqual(1)
    if (events.length > 0) receivers.add(each)
  }
  return { text, receivers }
}

const aPermission = fc.constantFrom('read', 'write', 'dropRead', 'dropWrite', 'administer')
const permissions = fc
  .dictionary(aPermission, fc.boolean(), { maxKeys: 3, size: 'max' })
  .map((given) => ({ ...given }) as Record<string, boolean>)
const pathPermissions = fc
  .dictionary(fc.constantFrom(...paths), permissions, { minKeys: 1, maxKeys: 2, size: 'max' })
  .map((given) => ({ ...given }))
const anAccount = fc.constantFrom<AccountName>(...accountNames)
const anIndex = fc.nat(1000)
const at = <T>(list: readonly T[], index: number) => list[index % list.length] as T

const createFlow = fc.record({ path: fc.constantFrom(...places), by: anIndex }).map(({ path, by }) =>
  step(`createFlow(${path}, ${by})`, async (model, world) => {
    const credential = at(model.credentials, by)
    const expected = model.creation(credential, path)
    const answer = await world.rest(credential, 'POST', '/flow', { path })
    expect([credential.name, path, answer.status]).toEqual([credential.name, path, expected])
    if (expected === 201) model.addFlow(answer.body.id, path, credential)
  }),
)

const moveFlow = fc.record({ flow: anIndex, path: fc.constantFrom(...places) }).map(({ flow: index, path }) =>
  step(
    `moveFlow(${index}, ${path})`,
    async (model, world) => {
      const flow = at([...model.flows.values()], index)
      const answer = await world.rest(model.master(flow.account), 'PUT', `/flow/${flow.id}`, { path })
      const expected = model.moving(flow, path)
      expect([flow.path, path, answer.status]).toEqual([flow.path, path, expected])
      if (expected === 200) flow.path = path
      await settle(model, world)
    },
    (model) => model.flows.size > 0,
  ),
)

const deleteFlow = fc.record({ flow: anIndex, by: anIndex }).map(({ flow: index, by }) =>
  step(
    `deleteFlow(${index}, ${by})`,
    async (model, world) => {
      const [flow, credential] = [at([...model.flows.values()], index), at(model.credentials, by)]
      const expected = model.status(credential, flow, 'administer')
      const answer = await world.rest(credential, 'DELETE', `/flow/${flow.id}`)
      expect([credential.name, flow.path, answer.status]).toEqual([credential.name, flow.path, expected])
      if (expected === 200) {
        model.flows.delete(flow.id)
        await settle(model, world)
      }
    },
    (model) => model.flows.size > 2,
  ),
)

const createToken = fc
  .record({ account: anAccount, paths: pathPermissions })
  .map(({ account, paths: given }) =>
    step(`createToken(${account}, ${JSON.stringify(given)})`, async (model, world) => {
      const { status, body } = await world.rest(model.master(account), 'POST', '/token', { paths: given })
      expect(status).toBe(201)
      model.addToken(body.id, account, body.tokenString, given)
    }),
  )

const deleteToken = anIndex.map((index) =>
  step(
    `deleteToken(${index})`,
    async (model, world) => {
      const token = at(model.tokens, index)
      expect((await world.rest(model.master(token.account), 'DELETE', `/token/${token.id}`)).status).toBe(200)
      model.removeToken(token)
      await settle(model, world)
      expect((await world.rest(token, 'GET', '/flow')).status).toBe(403)
    },
    (model) => model.tokens.length > 0,
  ),
)

/** A token that expires while its socket is open. */
const expire = fc.record({ account: anAccount, paths: pathPermissions, flow: anIndex }).map((given) =>
  step(
    `expire(${JSON.stringify(given)})`,
    async (model, world) => {
      const begin = Date.now()
      const made = await world.rest(model.master(given.account), 'POST', '/token', {
        ...{ paths: given.paths, duration: 1200 },
      })
      const [answered, flow] = [Date.now(), at([...model.flows.values()], given.flow)]
      const credential = model.draftToken(made.body.id, given.account, made.body.tokenString, given.paths)
      const answer = await world.rest(credential, 'GET', `/drop/${flow.id}`)
      // Only a busy machine takes so long that it may have expired already.
      if (Date.now() < begin + 1200) expect(answer.status).toBe(model.status(credential, flow, 'dropRead'))
      else expect([403, model.status(credential, flow, 'dropRead')]).toContain(answer.status)
      const socket = await openSocket(world.things.thingsUrl, credential).catch(() => undefined)
      if (socket !== undefined) {
        await socket.ask({ object: 'drop', type: 'subscribe', flowId: flow.id }).catch(() => undefined)
        expect(await socket.closed).toBe(1008)
        expect(Date.now()).toBeGreaterThanOrEqual(begin + 1200)
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, answered + 1200 - Date.now())))
      expect((await world.rest(credential, 'GET', '/flow')).status).toBe(403)
      const headers = { 'x-auth-account': credential.account, 'x-auth-token': credential.token }
      expect((await callThings(`${world.things.thingsUrl}/session`, 'POST', headers)).status).toBe(403)
      expect((await world.rest(model.master(given.account), 'GET', `/token/${credential.id}`)).status).toBe(
        404,
      )
    },
    (model) => model.flows.size > 0,
  ),
)

const replaceMaster = anAccount.map((name) =>
  step(`replaceMaster(${name})`, async (model, world) => {
    const token = makeTokenText(32)
    const account = await findAccount(world.things.store.reader, name)
    if (account === undefined) throw new Error('The account is not there')
    await world.things.store.write((db) => replaceMasterToken(db, account, token))
    const before = model.replaceMaster(name, token)
    await settle(model, world)
    expect((await world.rest(before, 'GET', '/flow')).status).toBe(403)
  }),
)

const createShare = fc
  .record({ from: anAccount, to: anAccount, group: fc.option(anIndex), paths: pathPermissions })
  .map(({ from, to, group: index, paths: given }) =>
    step(`createShare(${from}, ${to}, ${index}, ${JSON.stringify(given)})`, async (model, world) => {
      const groups = model.groups.filter(({ account }) => account === from)
      const group = index === null || groups.length === 0 ? undefined : at(groups, index)
      const issuedTo = group?.id ?? world.identities[to]
      const answer = await world.rest(model.master(from), 'POST', '/share', { paths: given, issuedTo })
      expect(answer.status, answer.text).toBe(201)
      model.shares.push({ id: answer.body.id, from, to: group ?? to, paths: given })
    }),
  )

const deleteShare = anIndex.map((index) =>
  step(
    `deleteShare(${index})`,
    async (model, world) => {
      const share = at(model.shares, index)
      expect((await world.rest(model.master(share.from), 'DELETE', `/share/${share.id}`)).status).toBe(200)
      model.shares.splice(model.shares.indexOf(share), 1)
      await settle(model, world)
    },
    (model) => model.shares.length > 0,
  ),
)

const members = fc.uniqueArray(anAccount, { maxLength: 3 })
const createGroup = fc.record({ account: anAccount, members }).map(({ account, members: given }) =>
  step(`createGroup(${account}, ${given})`, async (model, world) => {
    const memberIds = given.map((name) => world.identities[name])
    const { status, body } = await world.rest(model.master(account), 'POST', '/group', { memberIds })
    expect(status).toBe(201)
    model.groups.push({ id: body.id, account, members: new Set(given) })
  }),
)

const changeGroup = fc.record({ group: anIndex, members }).map(({ group: index, members: given }) =>
  step(
    `changeGroup(${index}, ${given})`,
    async (model, world) => {
      const group = at(model.groups, index)
      const memberIds = given.map((name) => world.identities[name])
      const { status } = await world.rest(model.master(group.account), 'PUT', `/group/${group.id}`, {
        memberIds,
      })
      expect(status).toBe(200)
      group.members = new Set(given)
      await settle(model, world)
    },
    (model) => model.groups.length > 0,
  ),
)

const deleteGroup = anIndex.map((index) =>
  step(
    `deleteGroup(${index})`,
    async (model, world) => {
      const group = at(model.groups, index)
      expect((await world.rest(model.master(group.account), 'DELETE', `/group/${group.id}`)).status).toBe(200)
      model.groups.splice(model.groups.indexOf(group), 1)
      group.members = new Set()
      await settle(model, world)
    },
    (model) => model.groups.length > 0,
  ),
)

/** Opens a socket, or subscribes with one that is open. */
const subscribe = fc
  .record({ by: anIndex, flow: anIndex, isByPath: fc.boolean() })
  .map(({ by, flow: index, isByPath }) =>
    step(
      `subscribe(${by}, ${index}, ${isByPath})`,
      async (model, world) => {
        const [credential, flow] = [at(model.credentials, by), at([...model.flows.values()], index)]
        let open = world.open.find((each) => each.credential === credential)
        if (open === undefined) {
          open = {
            credential,
            socket: await openSocket(world.things.thingsUrl, credential),
            flows: new Set(),
          }
          world.open.push(open)
        }
        const address = isByPath ? { path: flow.path } : { flowId: flow.id }
        const expected = model.status(credential, flow, 'dropRead', isByPath)
        const { head } = await open.socket.ask({ object: 'drop', type: 'subscribe', ...address })
        expect([credential.name, flow.path, head.status]).toEqual([credential.name, flow.path, expected])
        if (expected === 200) open.flows.add(flow.id)
      },
      (model) => model.flows.size > 0,
    ),
  )

const unsubscribe = fc.record({ socket: anIndex, flow: anIndex }).map(({ socket, flow: index }) =>
  step(
    `unsubscribe(${socket}, ${index})`,
    async (model, world) => {
      if (world.open.length === 0) return
      const [open, flow] = [at(world.open, socket), at([...model.flows.values()], index)]
      await open.socket.ask({ object: 'drop', type: 'unsubscribe', flowId: flow.id })
      open.flows.delete(flow.id)
    },
    (model) => model.flows.size > 0,
  ),
)

/** Each account that may write adds a drop; the subscribers that may read receive it, and no others. */
const write = fc
  .record({ by: anIndex, flow: anIndex, isByPath: fc.boolean() })
  .map(({ by, flow: index, isByPath }) =>
    step(
      `write(${by}, ${index}, ${isByPath})`,
      async (model, world) => {
        const [credential, flow] = [at(model.credentials, by), at([...model.flows.values()], index)]
        const expected = model.status(credential, flow, 'dropWrite', isByPath)
        if (expected !== 200) {
          const path = isByPath ? '/drop' : `/drop/${flow.id}`
          const body = { elems: { text: 'refused' }, ...(isByPath ? { path: flow.path } : {}) }
          const { status } = await world.rest(credential, 'POST', path, body)
          expect([credential.name, flow.path, status]).toEqual([credential.name, flow.path, expected])
          const open = world.open.find((each) => each.credential === credential)
          const frame = {
            object: 'drop',
            type: 'create',
            flowId: flow.id,
            value: { elems: { text: 'refused' } },
          }
          if (open !== undefined)
            expect((await open.socket.ask(frame)).head.status).toBe(
              model.status(credential, flow, 'dropWrite'),
            )
          return
        }
        const { text, receivers } = await sendText(model, world, flow.id, credential)
        for (const each of world.open) {
          expect([each.credential.name, flow.path, text, receivers.has(each)]).toEqual([
            ...[each.credential.name, flow.path, text, each.flows.has(flow.id)],
          ])
          if (receivers.has(each)) received += 1
        }
      },
      (model) => model.flows.size > 0,
    ),
  )

/** Everything that a credential may see of one flow, over REST and over its socket. */
const look = fc.record({ by: anIndex, flow: anIndex }).map(({ by, flow: index }) =>
  step(
    `look(${by}, ${index})`,
    async (model, world) => {
      const [credential, flow] = [at(model.credentials, by), at([...model.flows.values()], index)]
      const who = [credential.name, flow.path]
      const get = (path: string) => world.rest(credential, 'GET', path)
      const byId = await get(`/drop/${flow.id}?limit=1000&order=asc&hints=0`)
      expect([...who, byId.status]).toEqual([...who, model.status(credential, flow, 'dropRead')])
      if (byId.status === 200) expect(byId.body.map(({ elems }: Json) => elems.text)).toEqual(flow.texts)
      else expect(byId.text).not.toContain('text ')
      const byPath = await get(`/drop?path=${encodeURIComponent(flow.path)}`)
      expect([...who, byPath.status]).toEqual([...who, model.status(credential, flow, 'dropRead', true)])
      const read = await get(`/flow/${flow.id}`)
      expect([...who, read.status]).toEqual([...who, model.status(credential, flow, 'read')])
      const changed = await world.rest(credential, 'PUT', `/flow/${flow.id}`, { description: 'x' })
      expect([...who, changed.status]).toEqual([...who, model.status(credential, flow, 'write')])
      const all = (await get('/flow?limit=1000')).body.map(({ id }: Json) => id)
      const visible = [...model.flows.values()].filter((each) => model.rights(credential, each).read)
      expect([...who, all.toSorted()]).toEqual([...who, visible.map(({ id }) => id).toSorted()])
      const many = await world.rest(credential, 'MGET', '/drop', [{ flowId: flow.id }])
      expect([...who, Object.keys(many.body)]).toEqual([
        ...[...who, model.rights(credential, flow).dropRead ? [flow.id] : []],
      ])
      const open = world.open.find((each) => each.credential === credential)
      if (open === undefined) return
      const found = await open.socket.ask({
        object: 'drop',
        type: 'findmany',
        flowId: flow.id,
        options: { limit: 1000 },
      })
      expect([...who, found.head.status]).toEqual([...who, model.status(credential, flow, 'dropRead')])
      const reply = await open.socket.ask({ object: 'flow', type: 'find', id: flow.id })
      expect([...who, reply.head.status]).toEqual([...who, model.status(credential, flow, 'read')])
    },
    (model) => model.flows.size > 0,
  ),
)

/** A token neither manages its account nor is it shown other tokens, and no account sees the objects of another one. */
const manage = fc.record({ by: anIndex, of: anIndex }).map(({ by, of }) =>
  step(`manage(${by}, ${of})`, async (model, world) => {
    const credential = at(model.credentials, by)
    const { id } = credential
    const tokens = (await world.rest(credential, 'GET', '/token?limit=1000')).body.map(
      (each: Json) => each.id,
    )
    const own = model.tokens.filter(({ account }) => account === credential.account)
    const expected = id === undefined ? own.map((each) => each.id) : [id]
    expect([credential.name, tokens.toSorted()]).toEqual([credential.name, expected.toSorted()])
    const shares = (await world.rest(credential, 'GET', '/share?limit=1000')).body.map(
      (each: Json) => each.id,
    )
    const ownShares = model.shares.filter(({ from }) => from === credential.account).map((each) => each.id)
    expect(shares.toSorted()).toEqual(id === undefined ? ownShares.toSorted() : [])
    if (id !== undefined) {
      const paths = { '/alice': { dropRead: true } }
      for (const [kind, body] of [
        ['token', { paths }],
        ['share', { paths, issuedTo: world.identities.eve }],
        ['group', { memberIds: [] }],
      ] as const)
        expect((await world.rest(credential, 'POST', `/${kind}`, body)).status).toBe(403)
    }
    const foreign = [...model.tokens, ...model.shares, ...model.groups].filter(
      (each) => ('from' in each ? each.from : each.account) !== credential.account,
    )
    if (foreign.length === 0) return
    const other = at(foreign, of)
    const kind = 'from' in other ? 'share' : 'members' in other ? 'group' : 'token'
    expect((await world.rest(credential, 'GET', `/${kind}/${other.id}`)).status).toBe(404)
    expect([403, 404]).toContain((await world.rest(credential, 'DELETE', `/${kind}/${other.id}`)).status)
    expect((await world.rest(credential, 'MGET', `/${kind}`, [other.id])).body).toEqual({})
    // A credential of another account is none, whatever the path says.
    const wrong = { ...credential, account: credential.account === 'eve' ? 'bob' : 'eve' } as Credential
    expect((await world.rest(wrong, 'GET', '/flow')).status).toBe(403)
  }),
)

const histories = fc.commands(
  [
    fc.oneof(
      ...(
        [
          [3, createFlow],
          [2, moveFlow],
          [1, deleteFlow],
          [4, createToken],
          [2, deleteToken],
          [1, expire],
          [1, replaceMaster],
          [4, createShare],
          [2, deleteShare],
          [2, createGroup],
          [2, changeGroup],
          [1, deleteGroup],
          [8, subscribe],
          [1, unsubscribe],
          [10, write],
          [10, look],
          [3, manage],
        ] as const
      ).map(([weight, arbitrary]) => ({ weight, arbitrary: arbitrary as fc.Arbitrary<Step> })),
    ),
  ],
  { maxCommands: stepsOfHistory, size: 'max' },
)

async function playOnce(commands: Iterable<Step>): Promise<void> {
  const things = await startThings()
  try {
    const clients = {
      alice: things.alice,
      bob: await things.addAccount('bob'),
      eve: await things.addAccount('eve'),
    }
    const identities = {} as Record<AccountName, string>
    for (const name of accountNames) identities[name] = (await clients[name]('GET', '/identity')).body[0].id
    const model = new ThingsModel(
      Object.fromEntries(accountNames.map((name) => [name, clients[name].token])) as Record<
        AccountName,
        string
      >,
    )
    for (const path of ['/alice/a', '/alice/ab', '/alice/a/b', '/bob/x']) {
      const account = path.startsWith('/bob') ? 'bob' : 'alice'
      model.addFlow((await clients[account]('POST', '/flow', { path })).body.id, path, model.master(account))
    }
    const real = new World(things, identities)
    await fc.asyncModelRun(() => ({ model, real }), commands)
    for (const { socket } of real.open) socket.socket.terminate()
  } finally {
    await things.close()
  }
}

async function play(seed: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(histories, (commands) => playOnce(commands)),
    { seed, numRuns: 1, unbiased: true, interruptAfterTimeLimit: 240_000 },
  )
}

test(
  'tokens, shares, groups and master tokens permit what the model says, and nothing else',
  async () => {
    if (isEveryday) for (const seed of everydaySeeds) await play(seed)
    else for (let seed = firstSeed; taken < steps; seed += 1) await play(seed)
    expect(received).toBeGreaterThan(0)
  },
  isEveryday ? 300_000 : 3_600_000,
)
