import { expect, onTestFinished, test } from 'vitest'
import { keepHouse } from '../../../src/backend/admin/retention.ts'
import { call, startTestBackend } from '../../support/backend.ts'
import { demoAccount, demoToken } from '../../support/things-app.ts'

const day = 24 * 3600_000

test('tokens of the flowthings API are deleted a day after they expired, and others stay', async () => {
  const backend = await startTestBackend({ things: { port: 0, demoAccount, demoToken } })
  onTestFinished(backend.close)
  const url = `${backend.things?.url}/v0.1/${demoAccount}/token`
  const create = async (more: object) => {
    const body = { paths: { [`/${demoAccount}/a`]: { read: true } }, ...more }
    const { status, json } = await call(url, 'POST', { 'x-auth-token': demoToken }, body)
    expect(status).toBe(201)
    return json.body.id as string
  }
  const lasting = await create({})
  const passing = await create({ duration: 60_000 })
  const stored = async () => {
    const rows = await backend.store.reader
      .selectFrom('things_objects')
      .select('id')
      .where('kind', '=', 'token')
      .execute()
    return rows.map(({ id }) => id).filter((id) => id === lasting || id === passing)
  }
  const expired = Date.now() + 60_000
  await keepHouse(backend.log, 30, expired + day - 10_000)
  expect(await stored()).toEqual([lasting, passing])
  await keepHouse(backend.log, 30, expired + day + 10_000)
  expect(await stored()).toEqual([lasting])
})
