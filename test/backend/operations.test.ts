import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { type EventRow, isControlEvent } from '../../src/backend/store/events.ts'
import { startTestBackend, type TestBackend } from '../support/backend.ts'

/*
 * A command changes the same data and publishes the same events as the request of the REST API that does the same. Ada
 * administers the organization `example`, with Ben and Cleo; Ben is no member of Support.
 */

let backend: TestBackend
let commands: Administration
beforeEach(async () => {
  backend = await startTestBackend()
  onTestFinished(backend.close)
  commands = await openAdministration(backend.location)
  onTestFinished(commands.close)
})

/** What a change publishes: `flow 4711: message-edit by 2`, `user 3: flow-add`. Messages have their text or type, too. */
async function published(change: () => Promise<unknown>): Promise<string[]> {
  const events: EventRow[] = []
  await backend.log.catchUp()
  const stop = backend.log.listen((event) => events.push(event))
  await change()
  await backend.log.catchUp()
  stop()
  return events
    .filter((event) => !isControlEvent(event))
    .map(({ flow_id, user_id, payload }) => {
      const { event, user, content, title } = JSON.parse(payload)
      const detail = title ?? content?.type
      return `${flow_id === null ? `user ${user_id}` : 'flow'}: ${event}${flow_id === null ? '' : ` by ${user}`}${detail === undefined ? '' : ` (${detail})`}`
    })
}

const ada = (method: string, path: string, body?: unknown) => backend.as('Ada')(method, path, body)

test('archiving by command notifies the members, and no user who is blocked, like archiving by request', async () => {
  await ada('PUT', '/flows/example/main/users/2', { disabled: true })
  const toMembers = ['user 1: flow-remove', 'user 3: flow-remove']
  expect(await published(() => commands.removeFlow('example/main'))).toEqual(toMembers)
  expect(await published(() => commands.removeFlow('example/main'))).toEqual([])
  await ada('PUT', '/flows/example/main', { disabled: false })
  expect(await published(() => ada('PUT', '/flows/example/main', { disabled: true }))).toEqual(toMembers)
})

test('a source that a command adds is announced in the team inbox, like one that a request adds', async () => {
  const announced = ['flow: activity by 0 (added this source)']
  expect(await published(() => commands.addSource('example/main', 'CI'))).toEqual(announced)
  expect(await published(() => ada('POST', '/flows/example/main/sources', { name: 'Builds' }))).toEqual(
    announced,
  )
  const { json } = await ada('GET', '/flows/example/main/messages?event=activity')
  expect(json).toMatchObject([
    { author: { name: 'Ada Byron' }, thread: { title: 'CI', source: { name: 'CI' } } },
    { author: { name: 'Ada Byron' }, thread: { title: 'Builds', source: { name: 'Builds' } } },
  ])
})

test('a command that adds a user to a flow notifies the flow, like a request, and changes nothing for a member', async () => {
  const joined = ['flow: action by 1 (add_people)', 'flow: backend.user.join by 2', 'user 2: flow-add']
  expect(await published(() => commands.addFlowUser('example/support', 'ben@example.com'))).toEqual(joined)
  expect(await published(() => commands.addFlowUser('example/support', 'ben@example.com'))).toEqual([])
  await ada('PUT', '/flows/example/support/users/2', { disabled: true })
  expect(await published(() => ada('POST', '/flows/example/support/users', { id: 2 }))).toEqual(joined)
})

test('an archived flow admits no user by command', async () => {
  await commands.removeFlow('example/support')
  await expect(commands.addFlowUser('example/support', 'ben@example.com')).rejects.toThrow(
    'The flow "example/support" is archived',
  )
})

test('a user whom a command adds joins the flows that they were invited to, but no archived one', async () => {
  for (const flow of ['main', 'support'])
    await ada('POST', `/flows/example/${flow}/invitations`, { email: 'dora@example.com' })
  await commands.removeFlow('example/support')
  const dora = { nick: 'Dora', name: 'Dora Lang', email: 'dora@example.com', organization: 'example' }
  const add = () => commands.addUser({ ...dora, password: undefined, id: undefined, admin: false })
  expect(await published(add)).toEqual([
    'flow: action by 4 (join)',
    'flow: backend.user.join by 4',
    'user 4: flow-add',
  ])
  expect(await commands.listInvitations('example/main')).toEqual([])
  expect(await commands.listInvitations('example/support')).toMatchObject([{ email: 'dora@example.com' }])
})

test.each(['all', 'find', 'main'])(
  'no command makes a flow with the slug "%s", which is taken',
  async (slug) => {
    await expect(commands.addFlow('example', 'New', slug)).rejects.toThrow(`The slug "${slug}" is taken`)
  },
)

test('a join URL that is renewed while the flow is opened to its organization leaves it open', async () => {
  await ada('PUT', '/flows/example/main', { access_mode: 'invitation' })
  const [renewed] = await Promise.all([
    ada('POST', '/flows/example/main/join_url'),
    ada('PUT', '/flows/example/main', { access_mode: 'organization' }),
  ])
  expect(renewed.status).toBe(201)
  expect((await ada('GET', '/flows/example/main')).json.access_mode).toBe('organization')
})

test('a message opens a private conversation for the other user and for them alone', async () => {
  await backend.as('Ben')('POST', '/private/3/messages', { event: 'message', content: 'Hello' })
  expect((await backend.as('Cleo')('GET', '/private/2')).json.open).toBe(true)
  expect((await backend.as('Ben')('GET', '/private/3')).json.open).toBe(false)
})

test('a command that removes a user is recorded as a block by an administrator', async () => {
  const removed = await published(() => commands.removeUser('ben@example.com'))
  const perFlow = ['flow: backend.user.block by 1', 'user 2: flow-remove']
  expect(removed).toEqual([...perFlow, ...perFlow])
  expect(await published(() => commands.removeUser('ada@example.com'))).toContain(
    'flow: backend.user.block by 1',
  )
})

test('a user who is let into an archived flow again receives flow-add when it is open again', async () => {
  await ada('PUT', '/flows/example/main/users/2', { disabled: true })
  await ada('PUT', '/flows/example/main', { disabled: true })
  expect(await published(() => ada('PUT', '/flows/example/main/users/2', { disabled: false }))).toEqual([
    'flow: action by 1 (add_people)',
    'flow: backend.user.join by 2',
  ])
  expect(await published(() => ada('PUT', '/flows/example/main', { disabled: false }))).toContain(
    'user 2: flow-add',
  )
})
