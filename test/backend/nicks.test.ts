import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { messageTags } from '../../src/backend/flowdock/tags.ts'
import { makeFolder, startTestBackend, type TestBackend } from '../support/backend.ts'
import { makeDatabase } from '../support/database.ts'

let backend: TestBackend
let administration: Administration
let database: Awaited<ReturnType<typeof makeDatabase>>

const person = (nick: string, email: string) =>
  administration.addUser({
    ...{ nick, name: 'Somebody', email, organization: 'example', admin: false },
    ...{ password: undefined, id: undefined },
  })

beforeAll(async () => {
  backend = await startTestBackend()
  database = await makeDatabase()
  administration = await openAdministration({ dataDir: await makeFolder(), databaseUrl: database?.url })
  await administration.addOrganization('Example', undefined)
  await person('Ada', 'ada@example.com')
})
afterAll(async () => {
  await backend.close()
  await administration.close()
  await database?.drop()
})

const rename = (nick: string) => backend.as('Ben')('PUT', '/users/2', { nick })

test.each(['everyone', 'Everyone', 'all', 'TEAM', 'everybody', 'anyone', 'anybody', 'here'])(
  'nobody takes the nick "%s", which stands for several people',
  async (nick) => {
    expect(await rename(nick)).toMatchObject({
      status: 400,
      json: { errors: { nick: ['is the name of a group of people'] } },
    })
    await expect(person(nick, 'other@example.com')).rejects.toThrow(
      `The nick "${nick}" is the name of a group of people`,
    )
  },
)

test.each(['Ada', 'ada', 'ADA'])('no user takes the nick "%s" of another user', async (nick) => {
  expect(await rename(nick)).toMatchObject({
    status: 400,
    json: { errors: { nick: ['has already been taken'] } },
  })
  await expect(person(nick, 'other@example.com')).rejects.toThrow(
    `There is a user with the nick ${nick} already`,
  )
})

test('a nick may be changed in its case, and sent again as it is', async () => {
  expect((await rename('BEN')).status).toBe(200)
  expect((await rename('BEN')).status).toBe(200)
  expect((await rename('Ben')).status).toBe(200)
  expect((await rename('B\u200ben')).status).toBe(400)
})

test('mentions of groups, and of who was there first, are not taken over by nicks that are there already', () => {
  const members = [
    { id: 1, nick: 'Ada' },
    { id: 7, nick: 'everyone' },
    { id: 8, nick: 'ada' },
  ]
  expect(messageTags([], '@everyone', members, 1)).toEqual([
    ...[':user:everyone', ':highlight:7', ':unread:7', ':unread:8'],
  ])
  expect(messageTags([], '@ada', members, 8)).toEqual([':user:1', ':highlight:8', ':unread:1'])
})
