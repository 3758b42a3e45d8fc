import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeToken } from '../../src/backend/flowdock/auth.ts'
import { addToken, deleteToken } from '../../src/backend/flowdock/operations/credentials.ts'
import { findRule, insertRule, type RuleRow } from '../../src/backend/store/rules.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { call, startTestBackend } from '../support/backend.ts'
import {
  addRule,
  listActivities,
  postRule,
  putRule,
  type RuleMaker,
  readRule,
  takePermit,
} from '../support/rules.ts'
import { type Json, startThings, type TestThings, type ThingsClient } from '../support/things.ts'

let server: TestThings
let alice: ThingsClient
let ada: RuleMaker
let count = 0

beforeAll(async () => {
  server = await startThings({ demoOrganization: true })
  alice = server.alice
  ada = { url: server.url, token: await server.token('Ada'), things: alice }
})
afterAll(() => server.close())

/** A flow of the chat and one of flowthings, of their own. */
async function makeFlows(): Promise<{ maker: RuleMaker; things: Json; messages: string }> {
  count += 1
  const headers = { authorization: `Bearer ${ada.token}` }
  const { json } = await call(`${server.url}/flows/example`, 'POST', headers, { name: `Rules ${count}` })
  const things = (await alice('POST', '/flow', { path: `/alice/rules-${count}` })).body
  const flow = `example/${json.parameterized_name}`
  return { maker: { ...ada, flow }, things, messages: `/flows/${flow}/messages` }
}

const asAda = (method: string, path: string, body?: object) =>
  call(server.url + path, method, { authorization: `Bearer ${ada.token}` }, body)
const write = (flow: Json, elems: object, more: object = {}) =>
  alice('POST', `/drop/${flow.id}`, { elems, ...more })
const dropsOf = async (flow: Json): Promise<Json[]> =>
  (await alice('GET', `/drop/${flow.id}?order=asc&limit=200`)).body
const dropRule = { kind: 'drop', title: '{{celsius}} degrees' }
const titlesOf = async (maker: RuleMaker) => (await listActivities(maker)).map(({ title }) => title)
const problemOf = (maker: RuleMaker, id: number) =>
  expect.poll(async () => {
    const { status, problem } = await readRule(maker, id)
    return [status, problem?.code]
  })

test('a drop becomes an activity of a source, with its values as text', async () => {
  const { maker, things, messages } = await makeFlows()
  const body = '<b>{{note}}</b> at {{seen}}, {{place}}'
  const rule = await addRule(maker, {
    ...dropRule,
    things_flow: things.id,
    drop_filter: 'celsius > 30',
    body,
  })
  expect(rule).toMatchObject({
    kind: 'drop',
    status: 'active',
    filter: 'celsius > 30',
    runs: 0,
    problem: null,
  })
  await write(things, { celsius: 20 })
  await write(things, {
    ...{ celsius: 31.5, note: '<script>"x"</script>', seen: { type: 'date', value: 0 } },
    place: { type: 'location', value: { lat: 47, lon: 8 } },
  })
  await expect.poll(() => titlesOf(maker)).toEqual(['31.5 degrees'])
  const [activity] = await listActivities(maker)
  expect(activity).toMatchObject({
    ...{ event: 'activity', author: { name: 'Greenhouse' } },
    body: '<b>&lt;script&gt;&quot;x&quot;&lt;/script&gt;</b> at 1970-01-01T00:00:00.000Z, 47, 8',
    thread: { title: 'Greenhouse', source: { id: rule.source, name: 'Greenhouse' } },
  })
  expect(await readRule(maker, rule.id)).toMatchObject({ runs: 1, skipped: 0, problem: null })
  expect((await asAda('GET', `${messages}?event=activity`)).json).toHaveLength(2)
})

test('activities are in one thread, or in one for each value of the key', async () => {
  const { maker, things } = await makeFlows()
  await addRule(maker, { ...dropRule, things_flow: things.id })
  const keyed = { thread_key: '{{sensor}}', thread_title: 'Sensor {{sensor}}' }
  await addRule(maker, { ...dropRule, things_flow: things.id, ...keyed, title: 'keyed {{celsius}}' })
  for (const [sensor, celsius] of [
    ['north', 1],
    ['south', 2],
    ['north', 3],
  ])
    await write(things, { sensor, celsius })
  await expect.poll(async () => (await titlesOf(maker)).length).toBe(6)
  const threads = Map.groupBy(await listActivities(maker), ({ thread }) => thread.title)
  const titles = [...threads].map(([title, activities]) => [title, activities.map((each) => each.title)])
  expect(Object.fromEntries(titles)).toEqual({
    Greenhouse: ['1 degrees', '2 degrees', '3 degrees'],
    'Sensor north': ['keyed 1', 'keyed 3'],
    'Sensor south': ['keyed 2'],
  })
})

test('a drop that replaces another one is another activity, and a changed drop is none', async () => {
  const { maker, things } = await makeFlows()
  await addRule(maker, { ...dropRule, things_flow: things.id })
  const { body: drop } = await write(things, { celsius: 1 }, { fhash: 'now' })
  await alice('PUT', `/drop/${things.id}/${drop.id}`, { elems: { celsius: 2 } })
  await write(things, { celsius: 3 }, { fhash: 'now' })
  await expect.poll(() => titlesOf(maker)).toEqual(['1 degrees', '3 degrees'])
})

test('a message with the tag becomes a drop, also when the tag is added later', async () => {
  const { maker, things, messages } = await makeFlows()
  const rule = await addRule(maker, { kind: 'tag', tag: '#incident', things_flow: things.id })
  expect(rule).toMatchObject({ kind: 'tag', tag: 'incident', status: 'active' })
  await asAda('POST', messages, { event: 'message', content: 'nothing' })
  const { json: message } = await asAda('POST', messages, { event: 'message', content: 'Down #incident' })
  await expect.poll(() => dropsOf(things)).toHaveLength(1)
  const [drop] = await dropsOf(things)
  const value = (name: string) => drop.elems[name].value
  expect(drop.elems).toMatchObject({
    text: { type: 'string', value: 'Down #incident' },
    author: { type: 'string', value: 'Ada' },
    authorId: { type: 'integer', value: 1 },
    tag: { type: 'string', value: 'incident' },
    messageId: { value: message.id },
    sentAt: { type: 'date', value: message.sent },
    url: { type: 'url', value: `${server.url}/app/${maker.flow}/messages/${message.id}` },
  })
  expect(value('tags')).toEqual([{ type: 'string', value: 'incident' }])
  const { json: later } = await asAda('POST', messages, { event: 'message', content: 'Later' })
  await asAda('PUT', `${messages}/${later.id}`, { tags: ['incident'] })
  await expect.poll(() => dropsOf(things)).toHaveLength(2)
  await asAda('PUT', `${messages}/${later.id}`, { tags: ['incident', 'other'] })
  await asAda('PUT', `${messages}/${later.id}`, { tags: ['other'] })
  await asAda('PUT', `${messages}/${later.id}`, { tags: ['incident'] })
  await expect.poll(async () => (await dropsOf(things)).map(({ version }) => version)).toEqual([0, 1])
  expect(await readRule(maker, rule.id)).toMatchObject({ runs: 3 })
})

test('what a rule made starts no other rule, not even through a track and its function', async () => {
  const { maker, things, messages } = await makeFlows()
  const copies = (await alice('POST', '/flow', { path: `${things.path}-copies` })).body
  const js = 'function (drop) { return drop }'
  const track = { source: things.path, destination: copies.path, js }
  expect((await alice('POST', '/track', track)).status).toBe(201)
  await addRule(maker, { kind: 'tag', tag: 'loop', things_flow: things.id })
  for (const flow of [things, copies])
    await addRule(maker, { ...dropRule, title: '{{text}} #loop', things_flow: flow.id })
  await asAda('POST', messages, { event: 'message', content: 'first #loop' })
  await expect.poll(() => dropsOf(copies)).toHaveLength(1)
  expect(await dropsOf(things)).toHaveLength(1)
  // A drop of a client becomes one activity for each flow, which has the tag and makes no drop.
  await write(things, { text: 'from a sensor' })
  await expect.poll(async () => (await titlesOf(maker)).length).toBe(2)
  await write(things, { text: 'another' })
  await expect.poll(async () => (await titlesOf(maker)).length).toBe(4)
  expect(await dropsOf(things)).toHaveLength(3)
  expect((await titlesOf(maker)).join()).not.toContain('first')
  const activities = await listActivities(maker)
  expect(activities.every(({ tags }) => tags.includes('loop'))).toBe(true)
})

test('a rule ends with the token of the user it acts with', async () => {
  const { maker, things } = await makeFlows()
  const token = makeToken()
  await server.log.write((change) => addToken(change, 1, token))
  const rule = await addRule({ ...maker, token }, { ...dropRule, things_flow: things.id })
  await write(things, { celsius: 1 })
  await expect.poll(() => titlesOf(maker)).toEqual(['1 degrees'])
  await server.log.write((change) => deleteToken(change, 1, hashToken(token)))
  await write(things, { celsius: 2 })
  await problemOf(maker, rule.id).toEqual(['disabled', 'CHAT_CREDENTIAL_REVOKED'])
  await write(things, { celsius: 3 })
  const resumed = await putRule(maker, rule.id, { status: 'active' })
  expect(resumed.json).toMatchObject({ status: 'active', problem: null })
  await write(things, { celsius: 4 })
  await expect.poll(() => titlesOf(maker)).toEqual(['1 degrees', '4 degrees'])
})

test('a rule ends with the token of flowthings, and with its permission', async () => {
  const { maker, things } = await makeFlows()
  const token = (await alice('POST', '/token', { paths: { [things.path]: { dropRead: true } } })).body
  const reader = server.as('alice', token.tokenString)
  const refused = await postRule(
    { ...maker, things: reader },
    { kind: 'tag', tag: 'a', things_flow: things.id },
  )
  expect(refused).toMatchObject({
    status: 400,
    json: { errors: { things_flow: [expect.stringContaining('dropWrite')] } },
  })
  const rule = await addRule({ ...maker, things: reader }, { ...dropRule, things_flow: things.id })
  await write(things, { celsius: 1 })
  await expect.poll(() => titlesOf(maker)).toEqual(['1 degrees'])
  await alice('DELETE', `/token/${token.id}`)
  await write(things, { celsius: 2 })
  await problemOf(maker, rule.id).toEqual(['disabled', 'THINGS_CREDENTIAL_REVOKED'])
  const { json: source } = await asAda('GET', `/flows/${maker.flow}/sources`)
  expect(source).toHaveLength(1)
  expect(await titlesOf(maker)).toEqual(['1 degrees'])
})

test('a rule ends when its flow of flowthings is deleted, or not shared any more', async () => {
  const { maker, things, messages } = await makeFlows()
  const rule = await addRule(maker, { ...dropRule, things_flow: things.id })
  await alice('DELETE', `/flow/${things.id}`)
  expect(await readRule(maker, rule.id)).toMatchObject({
    status: 'disabled',
    problem: { code: 'THINGS_FLOW_NOT_FOUND' },
  })
  const bob = await server.addAccount(`bob${count}`)
  const theirs = (await bob('POST', '/flow', { path: `/bob${count}/shared` })).body
  const [{ id: issuedTo }] = (await alice('GET', '/identity')).body
  const share = (await bob('POST', '/share', { issuedTo, paths: { [theirs.path]: { dropWrite: true } } }))
    .body
  const tag = await addRule(maker, { kind: 'tag', tag: 'shared', things_flow: theirs.id })
  await asAda('POST', messages, { event: 'message', content: 'one #shared' })
  await expect.poll(async () => (await bob('GET', `/drop/${theirs.id}`)).body).toHaveLength(1)
  await bob('DELETE', `/share/${share.id}`)
  await asAda('POST', messages, { event: 'message', content: 'two #shared' })
  await problemOf(maker, tag.id).toEqual(['disabled', 'THINGS_FLOW_NOT_FOUND'])
  expect((await bob('GET', `/drop/${theirs.id}`)).body).toHaveLength(1)
})

test('a rule ends when its owner leaves the flow, its flow is archived or its source is removed', async () => {
  const { maker, things } = await makeFlows()
  const ben = { ...maker, token: await server.token('Ben') }
  await asAda('POST', `/flows/${maker.flow}/users`, { id: 2 })
  const left = await addRule(ben, { ...dropRule, things_flow: things.id })
  const removed = await addRule(maker, { ...dropRule, things_flow: things.id })
  expect((await asAda('PUT', `/flows/${maker.flow}/users/2`, { disabled: true })).status).toBe(200)
  expect((await asAda('DELETE', `/flows/${maker.flow}/sources/${removed.source}`)).status).toBe(204)
  await write(things, { celsius: 1 })
  await problemOf(maker, left.id).toEqual(['disabled', 'FLOW_FORBIDDEN'])
  await problemOf(maker, removed.id).toEqual(['disabled', 'SOURCE_REMOVED'])
  const again = await putRule(maker, removed.id, { status: 'active' })
  expect(again).toMatchObject({
    status: 400,
    json: { errors: { status: [expect.stringContaining('source')] } },
  })
  const archived = await addRule(maker, { ...dropRule, things_flow: things.id })
  expect((await asAda('PUT', `/flows/${maker.flow}`, { disabled: true })).status).toBe(200)
  await write(things, { celsius: 2 })
  await problemOf(maker, archived.id).toEqual(['disabled', 'FLOW_ARCHIVED'])
  expect(await titlesOf(maker)).toEqual([])
})

test('rules whose jobs fail hold up no other one, however many they are', async ({ onTestFinished }) => {
  const errors: unknown[] = []
  const own = await startThings({ demoOrganization: true, onError: (error) => errors.push(error) })
  onTestFinished(own.close)
  const token = await own.token('Ada')
  const main: RuleMaker = { url: own.url, token, things: own.alice }
  const { body: things } = await own.alice('POST', '/flow', { path: '/alice/failing' })
  const { id: failing } = await addRule(main, { ...dropRule, things_flow: things.id })
  await own.store.write(async (db) => {
    const { id: _, ...row } = (await findRule(db, failing)) as RuleRow
    for (let n = 0; n < 60; n += 1) {
      const { id } = await insertRule(db, row)
      const job = { rule_id: id, job_json: 'damaged', created_at: 0 }
      await db.insertInto('rule_jobs').values(job).execute()
    }
  })
  const authorization = `Bearer ${token}`
  await call(`${own.url}/flows/example`, 'POST', { authorization }, { name: 'Working' })
  const bob = await own.addAccount('bob')
  const { body: theirs } = await bob('POST', '/flow', { path: '/bob/working' })
  const working: RuleMaker = { ...main, things: bob, flow: 'example/working' }
  await addRule(working, { ...dropRule, things_flow: theirs.id })
  await bob('POST', `/drop/${theirs.id}`, { elems: { celsius: 1 } })
  await expect.poll(() => titlesOf(working)).toEqual(['1 degrees'])
  expect(new Set(errors.map((error) => (error as Error).name))).toEqual(new Set(['SyntaxError']))
})

test('an activity whose title would be blank has the name of its rule, as text', async () => {
  const { maker, things, messages } = await makeFlows()
  const name = 'Heat & <b>smoke</b>'
  await addRule(maker, { kind: 'drop', name, title: '{{note}}', things_flow: things.id })
  await write(things, { note: ' ' })
  await expect
    .poll(async () => (await asAda('GET', `${messages}?event=activity`)).json.map(({ title }: Json) => title))
    .toEqual(['added this source', 'Heat &amp; &lt;b&gt;smoke&lt;/b&gt;'])
})

test('a drop that the filter of its flow refuses is a problem of the rule, which goes on', async () => {
  const { maker, things, messages } = await makeFlows()
  await alice('PUT', `/flow/${things.id}`, { filter: 'elems.kind == "comment" || elems.text =~ /fine/' })
  const rule = await addRule(maker, { kind: 'tag', tag: 'check', things_flow: things.id })
  await asAda('POST', messages, { event: 'message', content: 'bad #check' })
  await problemOf(maker, rule.id).toEqual(['active', 'REFUSED'])
  await asAda('POST', messages, { event: 'message', content: 'fine #check' })
  await expect
    .poll(async () => (await dropsOf(things)).map(({ elems }) => elems.text.value))
    .toEqual(['fine #check'])
  expect(await readRule(maker, rule.id)).toMatchObject({ status: 'active', problem: null, runs: 1 })
})

test('past 60 drops in a minute, a rule counts what it leaves out', async () => {
  const { maker, things } = await makeFlows()
  const rule = await addRule(maker, { ...dropRule, things_flow: things.id })
  await Promise.all(Array.from({ length: 75 }, (_, celsius) => write(things, { celsius })))
  await expect.poll(async () => (await readRule(maker, rule.id)).runs).toBe(60)
  expect(await readRule(maker, rule.id)).toMatchObject({ runs: 60, skipped: 15, status: 'active' })
  expect(await dropsOf(things)).toHaveLength(75)
})

test('a rule is paused, changed and deleted by its owner, and ended by an administrator', async () => {
  const { maker, things } = await makeFlows()
  const ben = { ...maker, token: await server.token('Ben') }
  await asAda('POST', `/flows/${maker.flow}/users`, { id: 2 })
  const rule = await addRule(ben, { ...dropRule, things_flow: things.id })
  expect((await putRule(maker, rule.id, { title: 'hers' })).status).toBe(403)
  expect((await putRule(maker, rule.id, { status: 'paused' })).json).toMatchObject({ status: 'paused' })
  await write(things, { celsius: 1 })
  const changed = await putRule(ben, rule.id, {
    title: '{{celsius}}!',
    drop_filter: 'celsius > 1',
    status: 'active',
  })
  expect(changed.json).toMatchObject({ title: '{{celsius}}!', filter: 'celsius > 1', status: 'active' })
  await write(things, { celsius: 2 })
  await expect.poll(() => titlesOf(maker)).toEqual(['2!'])
  expect((await putRule(ben, rule.id, { drop_filter: '' })).json.filter).toBeNull()
  const other = await addRule(maker, { ...dropRule, things_flow: things.id })
  const path = `${server.url}/flows/${maker.flow}/rules`
  const asBen = { authorization: `Bearer ${ben.token}` }
  expect((await call(`${path}/${other.id}`, 'DELETE', asBen)).status).toBe(403)
  expect((await asAda('DELETE', `/flows/${maker.flow}/rules/${rule.id}`)).status).toBe(204)
  expect((await asAda('GET', `/flows/${maker.flow}/rules/${rule.id}`)).status).toBe(404)
  expect((await asAda('GET', `/flows/${maker.flow}/rules`)).json).toHaveLength(1)
  expect((await asAda('GET', `/flows/${maker.flow}/sources`)).json.map(({ id }: Json) => id)).toEqual([
    other.source,
  ])
})

test('a permit is valid once, and a rule needs one', async () => {
  const { maker, things } = await makeFlows()
  const permit = await takePermit(alice)
  const first = await postRule(maker, { ...dropRule, things_flow: things.id, things_permit: permit })
  expect(first.status).toBe(201)
  for (const things_permit of [permit, 'wrong', null]) {
    const again = await postRule(maker, { ...dropRule, things_flow: things.id, things_permit })
    expect(again).toMatchObject({ status: 400, json: { errors: { things_permit: [expect.any(String)] } } })
  }
  expect((await server.as('alice', 'wrong'.repeat(6))('POST', '/permit')).status).toBe(403)
  expect((await alice('GET', '/permit')).status).toBe(405)
})

test.each([
  [{ title: '' }, 'title'],
  [{ title: '{{celsius' }, 'title'],
  [{ title: '{{celsius + 1}}' }, 'title'],
  [{ title: '{{}}' }, 'title'],
  [{ title: '{{a.__proto__.constructor()}}' }, 'title'],
  [{ title: 'x'.repeat(501) }, 'title'],
  [{ body: '{{a b}}' }, 'body'],
  [{ thread_key: '{{{sensor}}}' }, 'thread_key'],
  [{ drop_filter: 'celsius >' }, 'drop_filter'],
  [{ name: ' ' }, 'name'],
  [{ name: 'x'.repeat(101) }, 'name'],
  [{ kind: 'other' }, 'kind'],
  [{ kind: 'tag' }, 'tag'],
  [{ kind: 'tag', tag: ':user:1' }, 'tag'],
  [{ kind: 'tag', tag: 'influx:1' }, 'tag'],
  [{ things_flow: 'f'.padEnd(25, '0') }, 'things_flow'],
  [{ things_flow: 'no id' }, 'things_flow'],
])('a rule with %j is refused, and nothing is added', async (wrong, name) => {
  const { maker, things } = await makeFlows()
  const refused = await postRule(maker, { ...dropRule, things_flow: things.id, ...wrong })
  expect(refused).toMatchObject({ status: 400, json: { errors: { [name]: [expect.any(String)] } } })
  expect((await asAda('GET', `/flows/${maker.flow}/rules`)).json).toEqual([])
  expect((await asAda('GET', `/flows/${maker.flow}/sources`)).json).toEqual([])
})

test('a flow has 20 rules at most', async () => {
  const { maker, things } = await makeFlows()
  for (let n = 0; n < 20; n += 1) await addRule(maker, { kind: 'tag', tag: `t${n}`, things_flow: things.id })
  const more = await postRule(maker, { kind: 'tag', tag: 'more', things_flow: things.id })
  expect(more).toMatchObject({
    status: 400,
    json: { errors: { flow: [expect.stringContaining('20 rules')] } },
  })
})

test('a server without flowthings has no rules and no such capability', async () => {
  const plain = await startTestBackend()
  const { json } = await plain.as('Ada')('GET', '/capabilities')
  const { status } = await plain.as('Ada')('GET', '/flows/example/main/rules')
  await plain.close()
  expect(json.extensions).not.toContain('rules')
  expect(status).toBe(404)
  expect((await asAda('GET', '/capabilities')).json.extensions).toContain('rules')
})
