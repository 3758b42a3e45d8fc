import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { backupData, restoreData } from '../../src/backend/admin/maintenance.ts'
import { makeFolder, startTestBackend } from '../support/backend.ts'
import { addRule, listActivities, readRule } from '../support/rules.ts'
import { killWhileRulesRun } from '../support/rules-kill.ts'
import { createClient, startThings } from '../support/things.ts'

/** How many times the process is killed; a long run is asked for with `KILLS`, 6 at most. */
const rounds = Math.min(Number(process.env['KILLS'] ?? 2), 6)

test(
  'after SIGKILL, each acknowledged drop is one activity, and each tagged message one drop',
  () => killWhileRulesRun(rounds),
  rounds * 20_000,
)

test('a backup has the rules, which run where it is restored', async () => {
  const server = await startThings({ demoOrganization: true })
  onTestFinished(server.close)
  const maker = { url: server.url, token: await server.token('Ada'), things: server.alice }
  const flow = (await server.alice('POST', '/flow', { path: '/alice/sensors' })).body
  const rule = await addRule(maker, { kind: 'drop', title: '{{n}}', things_flow: flow.id })
  const folder = await makeFolder()
  await backupData(server.location, join(folder, 'backup'))
  const restored = join(folder, 'restored')
  await restoreData(join(folder, 'backup'), { dataDir: restored, databaseUrl: undefined, s3: undefined })
  const other = await startTestBackend({
    dataDir: restored,
    things: { port: 0, demoAccount: undefined, demoToken: undefined },
  })
  onTestFinished(other.close)
  const things = createClient(other.things?.url ?? '', 'alice', server.alice.token)
  const there = { url: other.url, token: maker.token, things }
  expect(await readRule(there, rule.id)).toMatchObject({ id: rule.id, status: 'active', runs: 0 })
  await there.things('POST', `/drop/${flow.id}`, { elems: { n: 1 } })
  await expect.poll(async () => (await listActivities(there)).map(({ title }) => title)).toEqual(['1'])
  expect(await listActivities(maker)).toEqual([])
})
