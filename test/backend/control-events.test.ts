import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { keepHouse } from '../../src/backend/admin/retention.ts'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import {
  addToken,
  exchangeCode,
  grantCode,
  issueToken,
} from '../../src/backend/flowdock/operations/credentials.ts'
import { joinFlow } from '../../src/backend/flowdock/operations/members.ts'
import { grantOfToken } from '../../src/backend/grants.ts'
import { findApplication } from '../../src/backend/store/applications.ts'
import { type EventRow, isControlEvent, lastEventSeq } from '../../src/backend/store/events.ts'
import { findFlow } from '../../src/backend/store/flows.ts'
import { findUser } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openServiceStream, serviceToken } from '../support/service.ts'
import { eventIds, openRawStream } from '../support/stream.ts'

/* What gateways learn of rights beside the events that Flowdock's clients receive. Ada is 1, Ben 2, Cleo 3. */

let backend: TestBackend
let commands: Administration
let flow: string
beforeEach(async () => {
  backend = await startTestBackend({ serviceTokens: [serviceToken] })
  onTestFinished(backend.close)
  commands = await openAdministration(backend.location)
  onTestFinished(commands.close)
  flow = (await ada('GET', main)).json.id
})

const main = '/flows/example/main'
const ada = (method: string, path: string, body?: unknown) => backend.as('Ada')(method, path, body)
const ben = (method: string, path: string, body?: unknown) => backend.as('Ben')(method, path, body)

/** The control events that a change publishes, in their order: `user 2: reach`. */
async function published(change: () => Promise<unknown>): Promise<string[]> {
  const events: EventRow[] = []
  await backend.log.catchUp()
  const stop = backend.log.listen((event) => events.push(event))
  await change()
  await backend.log.catchUp()
  stop()
  return events.filter(isControlEvent).map(({ flow_id, user_id, payload }) => {
    const { k, g, o } = JSON.parse(payload)
    const name = flow_id === null ? `user ${user_id}` : flow_id === flow ? 'main' : 'another flow'
    return `${name}: ${k}${g === undefined ? '' : ` ${g}`}${o === undefined ? '' : ` of organization ${o}`}`
  })
}

describe('a control event is published', () => {
  test.each<[string, object]>([
    ['renamed', { name: 'Lobby' }],
    ['described', { description: 'For all' }],
    ['opened or closed to its organization', { access_mode: 'link' }],
    ['archived', { disabled: true }],
  ])('when a flow is %s', async (_, changes) => {
    expect(await published(() => ada('PUT', main, changes))).toEqual(['main: flow'])
  })

  test('for each flow of an organization that is renamed', async () => {
    const events = await published(() => ada('PUT', '/organizations/example', { name: 'Acme' }))
    const wanted = ['main', 'another flow'].map((name) => `${name}: flow of organization 1`)
    expect(new Set(events)).toEqual(new Set(wanted))
  })

  test('for one user of an organization without flows that is renamed', async () => {
    await commands.addOrganization('Empty', 'empty')
    const dora = { nick: 'Dora', name: 'Dora', email: 'dora@example.com', organization: 'empty' }
    await commands.addUser({ ...dora, password: undefined, id: undefined, admin: true })
    const { token } = await commands.addToken(dora.email)
    const authorization = basic(String(token))
    const rename = () => call(`${backend.url}/organizations/empty`, 'PUT', { authorization }, { name: 'New' })
    expect(await published(rename)).toEqual(['user 4: reach of organization 2'])
  })

  test('when a source is changed or removed', async () => {
    const { json: source } = await ada('POST', `${main}/sources`, { name: 'CI' })
    const path = `${main}/sources/${source.id}`
    expect(await published(() => ada('PUT', path, { error_message: 'down' }))).toEqual(['main: flow'])
    expect(await published(() => ada('DELETE', path))).toEqual(['main: flow'])
  })

  test('when a user opens or closes a flow, and not when it is so already', async () => {
    expect(await published(() => ben('PUT', main, { open: false }))).toEqual(['user 2: reach'])
    expect(await published(() => ben('PUT', main, { open: false }))).toEqual([])
    expect(await published(() => ben('PUT', main, { open: true }))).toEqual(['user 2: reach'])
  })

  test('when a user comes into an organization or leaves it', async () => {
    const dora = { nick: 'Dora', name: 'Dora', email: 'dora@example.com', organization: 'example' }
    const added = () => commands.addUser({ ...dora, password: undefined, id: undefined, admin: true })
    expect(await published(added)).toEqual(['user 4: reach of organization 1'])
    const leave = () => ada('DELETE', '/organizations/example/users/4')
    expect(await published(leave)).toEqual(['user 4: reach of organization 1'])
  })

  test('when a user is disabled, or signs in with another e-mail address from now on', async () => {
    expect(await published(() => commands.removeUser('cleo@example.com'))).toEqual([
      'user 3: reach of organization 1',
      'user 3: user',
    ])
    expect(
      await published(() => commands.editUser('ben@example.com', { email: 'benny@example.com' })),
    ).toEqual(['user 2: user'])
  })

  test('when the nick, the name or the picture of a user changes', async () => {
    const changed = ['user 2: profile']
    expect(await published(() => commands.editUser('ben@example.com', { nick: 'Benny' }))).toEqual(changed)
    expect(await published(() => ben('PUT', '/users/2', { nick: 'Benno' }))).toEqual(changed)
    expect(await published(() => commands.setAvatar('ben@example.com', undefined))).toEqual(changed)
  })

  test('when an organization is closed, for each of its flows', async () => {
    const events = await published(() => commands.removeOrganization('example'))
    expect(events).toContain('main: flow of organization 1')
  })

  test('when a user is added to an archived flow, of which no other event says it', async () => {
    await ada('POST', '/flows/example', { name: 'Old' })
    const [old] = (await ada('GET', '/flows')).json.filter(({ name }: { name: string }) => name === 'Old')
    await ada('PUT', '/flows/example/old', { disabled: true })
    const row = await findUser(backend.store.reader, 2)
    const target = await findFlow(backend.store.reader, { id: old.id })
    if (row === undefined || target === undefined) throw new Error('They are not there')
    expect(await published(() => backend.log.write((change) => joinFlow(change, target, row, row)))).toEqual([
      'user 2: reach',
    ])
  })

  test('when a personal token is removed, with the grant that its entitlement has', async () => {
    const token = 'f'.repeat(32)
    await backend.log.write((change) => addToken(change, 2, token))
    const { json } = await call(`${backend.url}/service/v1/entitlement`, 'GET', {
      authorization: basic(token),
    })
    const [listed] = await commands.listTokens('ben@example.com')
    expect(await published(() => commands.removeToken('ben@example.com', String(listed?.['id'])))).toEqual([
      `user 2: token ${json.grant}`,
    ])
  })

  describe('when the token of an application', () => {
    async function register() {
      const wanted = { name: 'Polls', redirect_uri: 'https://polls.example/' }
      const { json } = await ada('POST', '/oauth/applications', wanted)
      const application = await findApplication(backend.store.reader, { id: json.id })
      if (application === undefined) throw new Error('There is no application')
      const issue = async () => {
        const issued = await backend.log.write((change) =>
          issueToken(change, application, { userId: 2, scope: 'flow', codeHash: null }),
        )
        if (typeof issued === 'string') throw new Error(issued)
        return issued.accessToken
      }
      return { application, issue, ...json }
    }
    const grantOf = (token: string) => grantOfToken(hashToken(token))

    test('is revoked', async () => {
      const { issue, client_id, client_secret } = await register()
      const token = await issue()
      const revoke = () =>
        call(`${backend.url}/oauth/revoke`, 'POST', {}, { client_id, client_secret, token })
      expect(await published(revoke)).toEqual([`user 2: token ${grantOf(token)}`])
      expect(await published(revoke)).toEqual([])
    })

    test('goes with the application', async () => {
      const { application, issue } = await register()
      const tokens = [await issue(), await issue()]
      const events = await published(() => commands.removeApplication(application.id))
      expect(events.sort()).toEqual(tokens.map((token) => `user 2: token ${grantOf(token)}`).sort())
    })

    test('came from a code that is used a second time', async () => {
      const { application } = await register()
      const redirectUri = 'https://polls.example/'
      const code = await backend.log.write((change) =>
        grantCode(change, application, { userId: 2, redirectUri, scope: 'flow', challenge: undefined }),
      )
      const exchange = () =>
        backend.log.write((change) =>
          exchangeCode(change, application, { code: code ?? '', redirectUri, verifier: undefined }),
        )
      const issued = await exchange()
      if (typeof issued === 'string') throw new Error(issued)
      expect(await published(exchange)).toEqual([`user 2: token ${grantOf(issued.accessToken)}`])
    })

    test('is deleted because it has long expired', async () => {
      const { issue } = await register()
      const token = await issue()
      const dayMs = 24 * 3600_000
      expect(await published(() => keepHouse(backend.log, 30, Date.now() + dayMs))).toEqual([])
      expect(await published(() => keepHouse(backend.log, 30, Date.now() + 2 * dayMs + 1000))).toEqual([
        `user 2: token ${grantOf(token)}`,
      ])
    })
  })
})

test('an entitlement names a password differently after it was changed', async () => {
  const grantWith = async (password: string) => {
    const hash = await hashPassword(password)
    await backend.store.write((db) =>
      db.updateTable('users').set({ password_hash: hash }).where('id', '=', 2).execute(),
    )
    const authorization = `Basic ${Buffer.from(`ben@example.com:${password}`).toString('base64')}`
    const { json } = await call(`${backend.url}/service/v1/entitlement`, 'GET', { authorization })
    expect(JSON.stringify(json)).not.toContain(hash)
    return json.grant
  }
  const before = await grantWith('open sesame')
  expect(before).toMatch(/^password:2:[\w-]{43}$/)
  expect(await grantWith('close sesame')).not.toBe(before)
})

test('control events have numbers in the log, which public streams leave out', async () => {
  const after = await lastEventSeq(backend.store.reader)
  const listen = async (query: string) => {
    const stream = await openRawStream(`${backend.url}/stream/flows?${query}`, {
      authorization: basic(await backend.token('Ben')),
      accept: 'text/event-stream',
      'last-event-id': String(after),
    })
    onTestFinished(stream.close)
    return stream
  }
  const live = await listen('filter=*&user=1')
  await ada('PUT', main, { name: 'Lobby' })
  await ben('PUT', main, { open: false })
  await ben('POST', `${main}/messages`, { event: 'message', content: 'the end' })
  await live.until(/the end.*\n\n/)
  const replayed = await listen('filter=*&user=1&until=now')
  await replayed.until(/finished/)
  for (const stream of [live, replayed]) {
    expect(eventIds(stream.text)).toEqual([after + 3])
    expect(stream.text).not.toMatch(/"k":|"reach"/)
  }
  const json = await openRawStream(`${backend.url}/stream${main}?until=now`, {
    authorization: basic(await backend.token('Ben')),
    accept: 'application/json',
    'last-event-id': String(after),
  })
  onTestFinished(json.close)
  expect((await json.until(/the end.*\r\n/)).trim().split('\r\n')).toHaveLength(1)

  const service = await openServiceStream(backend.url, { headers: { 'last-event-id': String(after) } })
  const text = await service.until(/event: h/)
  expect(text).toContain(`id: ${after + 1}\nevent: c\ndata: {"a":"f:${flow}","k":"flow"}\n\n`)
  expect(text).toContain(`id: ${after + 2}\nevent: c\ndata: {"a":"u:2","k":"reach"}\n\n`)
})
