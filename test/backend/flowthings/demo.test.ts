import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openAdministration } from '../../../src/backend/admin/administration.ts'
import { demoReadings } from '../../../src/backend/admin/things-demo-data.ts'
import type { BackendOptions } from '../../../src/backend/server.ts'
import { makeFolder, makeLocation, startTestBackend } from '../../support/backend.ts'
import { createClient, type Json } from '../../support/things.ts'

/* The demo account of the flowthings API, with the readings of a greenhouse. */

const dayMs = 24 * 3600_000

async function start(data: Partial<BackendOptions> = {}, things: Partial<BackendOptions['things']> = {}) {
  const notices: string[] = []
  const onNotice = (message: string) => {
    if (message.includes('account')) notices.push(message)
  }
  const backend = await startTestBackend({
    ...{ demoOrganization: false, demoHistory: true, onNotice },
    ...data,
    things: { port: 0, demoAccount: 'demo', demoToken: undefined, ...things },
  })
  let isOpen = true
  const close = async () => {
    if (isOpen) await backend.close()
    isOpen = false
  }
  onTestFinished(close)
  const url = backend.things?.url ?? ''
  const as = (token: string) => createClient(url, backend.things?.demo?.account ?? '', token)
  return { ...backend, notices, close, as, token: backend.things?.demo?.token ?? null }
}

const makeData = async () => ({ dataDir: await makeFolder(), databaseUrl: await makeLocation() })
const find = (path: string, query = '') =>
  `/drop?path=${encodeURIComponent(`/demo/greenhouse/${path}`)}&hints=0&limit=10000&order=asc${query}`

test('three weeks of readings end now, with a day and a night, and some of them too hot', () => {
  const now = Date.UTC(2026, 6, 14, 9, 20)
  const readings = demoReadings(now)
  expect(readings).toHaveLength(3 * 3 * 7 * 48)
  expect(demoReadings(now)).toEqual(readings)
  const times = readings.map(({ at }) => at)
  expect(times).toEqual([...new Set(times)].sort((one, other) => one - other))
  expect(new Date(times.at(-1) ?? 0).toISOString()).toBe('2026-07-14T09:02:00.000Z')
  const of = (sensor: string, hour: number) =>
    readings
      .filter((reading) => reading.sensor === sensor && new Date(reading.at).getUTCHours() === hour)
      .map(({ celsius }) => celsius)
  expect(Math.min(...of('bench', 15))).toBeGreaterThan(Math.max(...of('bench', 3)) + 5)
  expect(Math.max(...readings.map(({ celsius }) => celsius))).toBeLessThan(40)
  expect(Math.min(...readings.map(({ celsius }) => celsius))).toBeGreaterThan(10)
  const hot = readings.filter(({ celsius }) => celsius > 30)
  expect(new Set(hot.map(({ at }) => Math.floor(at / dayMs))).size).toBeGreaterThan(4)
  expect(hot.length).toBeLessThan(readings.length / 10)
})

test.each(['2026-07-14T00:00:30Z', '2026-07-14T12:29:59Z', '2026-07-14T12:30:00Z', '2026-02-28T23:59:59Z'])(
  'no reading before %s is in the future, and the newest is less than an hour old',
  (time) => {
    const now = Date.parse(time)
    const newest = demoReadings(now).at(-1)?.at ?? 0
    expect(newest).toBeLessThanOrEqual(now)
    expect(now - newest).toBeLessThan(3600_000)
  },
)

test('the account has readings, alarms that a track copied, and a token that only reads them', async () => {
  const before = Date.now()
  const { as, token } = await start()
  const master = as(String(token))
  const readings: Json[] = (await master('GET', find('temperature'))).body
  expect(readings).toHaveLength(3024)
  expect(readings[0].creationDate).toBeLessThan(before - 20 * dayMs)
  expect(readings.at(-1).creationDate).toBeLessThanOrEqual(Date.now())
  expect(readings[0].elems).toEqual({
    sensor: 'bench',
    celsius: expect.any(Number),
    humidity: expect.any(Number),
  })
  const typed = await master(
    'GET',
    `/drop/${readings[0].flowId}?filter=${encodeURIComponent('elems.celsius % 1 == 0')}`,
  )
  expect(typed.body.length).toBeGreaterThan(0)
  for (const { elems } of typed.body)
    expect([elems.celsius.type, elems.humidity.type]).toEqual(['float', 'integer'])

  const alarms: Json[] = (await master('GET', find('alarms'))).body
  const hot = readings.filter(({ elems }) => elems.celsius > 30)
  expect(alarms.map(({ elems, parentDropId, creationDate }) => [elems, parentDropId, creationDate])).toEqual(
    hot.map(({ id, flowId, elems, creationDate }) => [elems, { flowId, dropId: id }, creationDate]),
  )
  const [track] = (await master('GET', '/track')).body
  expect(track).toMatchObject({ source: '/demo/greenhouse/temperature', filter: 'elems.celsius > 30' })
  const count = async (type: string, id: string) => {
    const year = (time: number) => new Date(time).getUTCFullYear()
    const years = new Set([year(before), year(before - 22 * dayMs)])
    let sum = 0
    for (const each of years)
      for (const month of (await master('GET', `/statistics/${type}/${id}/${each}`)).body) sum += month
    return sum
  }
  expect(await count('flowDropAdded', readings[0].flowId)).toBe(3024)
  expect(await count('trackHit', track.id)).toBe(3024)
  expect(await count('trackPass', track.id)).toBe(hot.length)
  expect(await count('flowDropAdded', alarms[0].flowId)).toBe(hot.length)

  const [{ tokenString, paths }] = (await master('GET', '/token')).body
  expect(paths).toEqual({ '/demo/greenhouse': { read: true, dropRead: true } })
  const reader = as(tokenString)
  expect((await reader('GET', find('alarms'))).body).toHaveLength(hot.length)
  const drop = { path: '/demo/greenhouse/temperature', elems: { celsius: 35 } }
  expect((await reader('POST', '/drop', drop)).status).toBe(403)
  // The track goes on with drops that arrive.
  expect((await master('POST', '/drop', drop)).status).toBe(201)
  expect((await reader('GET', find('alarms'))).body).toHaveLength(hot.length + 1)
})

test('the account is made once: a restart changes nothing, also after the readings were deleted', async () => {
  const data = await makeData()
  const first = await start(data)
  const master = first.as(String(first.token))
  expect(await readFile(join(data.dataDir, 'flowthings-token'), 'utf8')).toBe(first.token)
  const [flow] = (await master('GET', '/flow')).body
  expect((await master('DELETE', `/flow/${flow.id}`)).status).toBe(200)
  await first.close()
  const second = await start(data)
  expect(second.token).toBe(first.token)
  const flows = (await second.as(String(second.token))('GET', '/flow')).body
  expect(flows).toHaveLength(1)
  expect(second.notices).toEqual([])
})

test('a demo account without a history has no flows, and an account of that name gets none', async () => {
  const data = await makeData()
  const first = await start({ ...data, demoHistory: false })
  expect((await first.as(String(first.token))('GET', '/flow')).body).toEqual([])
  await first.close()
  const second = await start(data)
  expect((await second.as(String(second.token))('GET', '/flow')).body).toEqual([])
})

test('a master token that was replaced is not said, and the one of another account adds no account', async () => {
  const data = await makeData()
  const first = await start(data)
  await first.close()
  const renamed = await start(data, { demoAccount: 'lab' })
  expect(renamed.token).toBeNull()
  expect(renamed.notices).toEqual([expect.stringContaining('The account "lab" was not added')])
  await renamed.close()
  const administration = await openAdministration(data)
  await administration.replaceMasterToken('demo')
  expect((await administration.listAccounts()).map(({ name }) => name)).toEqual(['demo'])
  await administration.close()
  expect((await start(data)).token).toBeNull()
})

test('a replaced master token is removed from its file, and one that is still valid stays there', async () => {
  const data = await makeData()
  const { token } = await start(data)
  const file = join(data.dataDir, 'flowthings-token')
  const administration = await openAdministration(data)
  onTestFinished(() => administration.close())
  await administration.addAccount('other')
  await administration.replaceMasterToken('other')
  await administration.replaceMasterToken('demo', String(token))
  expect(await readFile(file, 'utf8')).toBe(token)
  await administration.replaceMasterToken('demo')
  await expect(readFile(file)).rejects.toThrow('ENOENT')
})

test('two backends that start at once add one account, with one set of readings', async () => {
  const data = await makeData()
  const folders =
    process.env['TEST_DATABASE'] === 'postgres' ? [data.dataDir, await makeFolder()] : [data.dataDir]
  const [first, ...others] = await Promise.all(folders.map((dataDir) => start({ ...data, dataDir })))
  const token = [first, ...others].map((each) => each?.token).find((each) => each !== null)
  const flows: Json[] = (await first?.as(String(token))('GET', '/flow'))?.body
  expect(flows).toHaveLength(2)
  for (const backend of others) {
    expect((await backend.as(String(token))('GET', find('temperature'))).body).toHaveLength(3024)
    expect([first, backend].flatMap((each) => each?.notices)).toEqual([
      expect.stringContaining('Another backend added the account "demo" at the same time'),
    ])
  }
})
