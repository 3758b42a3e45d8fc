import { expect, onTestFinished, test } from 'vitest'
import { addAccount } from '../../src/backend/flowthings/operations/accounts.ts'
import { makeTokenText } from '../../src/backend/flowthings/principal.ts'
import { makeDatabase } from '../support/database.ts'
import { makeCluster } from '../support/machines.ts'
import { addRule, listActivities, type RuleMaker, readRule } from '../support/rules.ts'
import { killWhileRulesRun } from '../support/rules-kill.ts'
import { createClient, type Json } from '../support/things.ts'

const things = { port: 0, demoAccount: undefined, demoToken: undefined }

async function startTwo(): Promise<[RuleMaker, RuleMaker]> {
  const cluster = await makeCluster('PostgreSQL')
  const account = makeTokenText(32)
  const [a, b] = [await cluster.start({ things }), await cluster.start({ things })]
  await a.store.write((db) => addAccount(db, 'alice', account, Date.now()))
  const token = await a.token('Ada')
  const makerAt = (machine: typeof a): RuleMaker => ({
    url: machine.url,
    token,
    things: createClient(machine.things?.url ?? '', 'alice', account),
  })
  return [makerAt(a), makerAt(b)]
}

test('two backends of one database make one activity of each drop, in its order, whichever gets it', async () => {
  const [a, b] = await startTwo()
  const flow = (await a.things('POST', '/flow', { path: '/alice/sensors' })).body
  const rule = await addRule(a, { kind: 'drop', title: '{{n}}', things_flow: flow.id })
  await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      (n % 2 === 0 ? a : b).things('POST', `/drop/${flow.id}`, { elems: { n } }),
    ),
  )
  await expect.poll(async () => (await listActivities(b)).length).toBe(50)
  const stored = (await b.things('GET', `/drop/${flow.id}?order=asc&limit=100`)).body
  const titles = (await listActivities(b)).map(({ title }) => Number(title))
  expect(titles).toEqual(stored.map(({ elems }: Json) => elems.n.value))
  expect(await readRule(b, rule.id)).toMatchObject({ runs: 50, skipped: 0 })
})

test('what a rule could not run before its backend was closed is run by the other one', async () => {
  const cluster = await makeCluster('PostgreSQL')
  const account = makeTokenText(32)
  const a = await cluster.start({ things })
  await a.store.write((db) => addAccount(db, 'alice', account, Date.now()))
  const token = await a.token('Ada')
  const first = createClient(a.things?.url ?? '', 'alice', account)
  const maker: RuleMaker = { url: a.url, token, things: first }
  const flow = (await first('POST', '/flow', { path: '/alice/sensors' })).body
  const rule = await addRule(maker, { kind: 'drop', title: '{{n}}', things_flow: flow.id })
  // As a backend leaves it that is killed between two transactions.
  await a.store.write((db) =>
    db
      .insertInto('rule_jobs')
      .values({
        ...{ rule_id: rule.id, created_at: Date.now() - 10_000 },
        job_json: JSON.stringify({
          uuid: 'left',
          texts: { title: 'left', body: '', threadKey: '', threadTitle: 'left' },
        }),
      })
      .execute(),
  )
  const b = await cluster.start({ things })
  const other: RuleMaker = { ...maker, url: b.url }
  await expect.poll(async () => (await listActivities(other)).map(({ title }) => title)).toEqual(['left'])
})

test('after SIGKILL, each acknowledged drop is one activity in PostgreSQL, and each tagged message one drop', async () => {
  const database = await makeDatabase()
  if (database === undefined) throw new Error('This test needs PostgreSQL')
  onTestFinished(database.drop)
  await killWhileRulesRun(2, database.url)
})
