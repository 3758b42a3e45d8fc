import { expect, onTestFinished, test } from 'vitest'
import { openAdministration } from '../../../src/backend/admin/administration.ts'
import { startThings } from '../../support/things.ts'

/* Accounts of the flowthings API, as the operator and the settings add them. */

async function start() {
  const things = await startThings()
  onTestFinished(things.close)
  const administration = await openAdministration(things.location)
  onTestFinished(() => administration.close())
  return { ...things, administration }
}

test('an account is added while the server runs, and its master token is valid at once', async () => {
  const { administration, as } = await start()
  const { name, identity, token } = await administration.addAccount('Lab-1')
  expect(name).toBe('lab-1')
  expect(identity).toMatch(/^i[0-9a-f]{24}$/)
  expect(token).toMatch(/^[A-Za-z0-9]{32}$/)
  const found = await as('lab-1', String(token))('GET', '/identity')
  expect([found.status, found.body[0].id, found.body[0].name]).toEqual([200, identity, 'lab-1'])
  expect(await administration.listAccounts()).toMatchObject([{ name: 'alice' }, { name: 'lab-1', identity }])
})

test('a replaced master token is refused from then on, and the new one is valid', async () => {
  const { administration, alice, as } = await start()
  const chosen = 'b'.repeat(32)
  expect(await administration.replaceMasterToken('ALICE', chosen)).toEqual({ name: 'alice', token: chosen })
  expect((await alice('GET', '/flow')).status).toBe(403)
  expect((await as('alice', chosen)('GET', '/flow')).status).toBe(200)
  const { token } = await administration.replaceMasterToken('alice')
  expect((await as('alice', chosen)('GET', '/flow')).status).toBe(403)
  expect((await as('alice', String(token))('GET', '/flow')).status).toBe(200)
})

test('a taken name, an invalid name and an invalid or used token are refused, and change nothing', async () => {
  const { administration, alice, addAccount } = await start()
  await addAccount('bob')
  const refusals: [() => Promise<unknown>, string][] = [
    [() => administration.addAccount('Alice'), 'There is an account "alice" already'],
    [
      () => administration.addAccount('a'),
      'The name of an account has 2 to 63 lower-case letters, digits, dashes',
    ],
    [() => administration.addAccount('../x'), 'and begins with a letter or digit: "../x"'],
    [() => administration.addAccount('lab', 'short'), 'A master token has 32 letters and digits'],
    [() => administration.addAccount('lab', alice.token), 'Another account has this token'],
    [() => administration.replaceMasterToken('bob', alice.token), 'Another account has this token'],
    [() => administration.replaceMasterToken('nobody'), 'There is no account "nobody"'],
    [
      () => administration.replaceMasterToken('alice', 'a-b'.repeat(11)),
      'A master token has 32 letters and digits',
    ],
  ]
  for (const [refused, message] of refusals) await expect(refused()).rejects.toThrow(message)
  expect((await administration.listAccounts()).map(({ name }) => name)).toEqual(['alice', 'bob'])
  expect((await alice('GET', '/flow')).status).toBe(200)
})

test('a flow whose path begins with a name stays its account’s when an account of that name is added', async () => {
  const { addAccount, alice } = await start()
  const created = await alice('POST', '/flow', { path: '/carol/sensors' })
  expect(created.status).toBe(201)
  const carol = await addAccount('carol')
  expect((await carol('GET', `/flow/${created.body.id}`)).status).toBe(404)
  expect((await carol('GET', '/flow')).body).toEqual([])
  const own = await carol('POST', '/flow', { path: '/carol/sensors' })
  expect(own.status).toBe(201)
  for (const [client, flow] of [
    [alice, created.body.id],
    [carol, own.body.id],
  ]) {
    const drop = await client('POST', '/drop', { path: '/carol/sensors', elems: { x: 1 } })
    expect([drop.status, drop.body.flowId]).toEqual([201, flow])
  }
  // What it may do there does not change; a new flow of that name is refused.
  expect((await alice('PUT', `/flow/${created.body.id}`, { capacity: 5 })).status).toBe(200)
  expect((await alice('POST', '/flow', { path: '/carol/other' })).status).toBe(403)
})
