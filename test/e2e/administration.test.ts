import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { post } from '../support/app.ts'
import { basic, call, makeFolder } from '../support/backend.ts'
import { run, runGateway } from '../support/process.ts'
import { openRawStream } from '../support/stream.ts'

test('a team is set up while the server runs: users, tokens, flows and sources', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const command = async (...args: string[]) => {
    const running = run(['src/main.ts', ...args, '--json'], { DATA_DIR: dataDir })
    expect(await running.exited, running.output.stderr).toBe(0)
    return JSON.parse(running.output.stdout)
  }

  await command('org', 'add', '--name', 'Acme Inc')
  await command(
    'user',
    'add',
    '--nick',
    'Zoe',
    '--name',
    'Zoe Kay',
    '--email',
    'zoe@acme.example',
    '--org',
    'acme-inc',
    '--id',
    '4711',
    '--admin',
  )
  const added = run(
    [
      'src/main.ts',
      'user',
      'add',
      '--nick',
      'Max',
      '--name',
      'Max Ow',
      '--email',
      'max@acme.example',
      '--org',
      'acme-inc',
      '--password-stdin',
    ],
    { DATA_DIR: dataDir },
    ' open sesame \n',
  )
  expect(await added.exited, added.output.stderr).toBe(0)
  const { token, ...whose } = await command('token', 'add', '--user', 'zoe@acme.example')
  expect(whose).toEqual({ user: 'zoe@acme.example', id: 4711, name: 'Zoe Kay', organizations: 'acme-inc' })
  expect(
    await post(
      gateway.url,
      { query: '{ viewer { databaseId nick } organizations { nodes { slug } } }' },
      token,
    ),
  ).toEqual({
    data: { viewer: { databaseId: 4711, nick: 'Zoe' }, organizations: { nodes: [{ slug: 'acme-inc' }] } },
  })

  const max = { authorization: `Basic ${Buffer.from('max@acme.example: open sesame ').toString('base64')}` }
  const stream = await openRawStream(`${gateway.streamUrl}?user=1`, max)
  onTestFinished(stream.close)
  expect(stream.status).toBe(200)
  await command('flow', 'add', '--org', 'acme-inc', '--name', 'General')
  await command('flow', 'join', '--flow', 'acme-inc/general', '--user', 'max@acme.example')
  expect(await stream.until(/flow-add.*\r\n/)).toContain('"organization":"Acme Inc"')
  expect((await call(`${gateway.restUrl}/flows`, 'GET', max)).json).toMatchObject([
    { name: 'General', joined: true },
  ])

  const source = await command('source', 'add', '--flow', 'acme-inc/general', '--name', 'CI')
  const present = () =>
    call(
      `${gateway.restUrl}/messages`,
      'POST',
      {},
      {
        flow_token: source.flowToken,
        event: 'activity',
        title: 'built',
        author: { name: 'CI' },
        external_thread_id: '1',
        thread: { title: 'Build 1' },
      },
    )
  expect((await present()).status).toBe(202)
  expect(await command('source', 'list', '--flow', 'acme-inc/general')).toMatchObject([
    { id: source.id, name: 'CI', creator: 'zoe@acme.example', creatorLeft: false },
  ])
  const rotate = () => command('flow', 'rotate-token', '--flow', 'acme-inc/general')
  const push = async (pushToken: string) => {
    const body = { content: 'built', external_user_name: 'CI' }
    return (await call(`${gateway.restUrl}/v1/messages/chat/${pushToken}`, 'POST', {}, body)).status
  }
  const first = await rotate()
  expect(await push(first.apiToken)).toBe(200)
  const second = await rotate()
  expect(await push(first.apiToken)).toBe(404)
  expect(await push(second.apiToken)).toBe(200)
  await command('source', 'remove', '--id', String(source.id))
  expect((await present()).status).toBe(410)

  const [kept] = await command('token', 'list', '--user', 'zoe@acme.example')
  await command('token', 'remove', '--user', 'zoe@acme.example', '--id', kept.id)
  expect((await call(`${gateway.restUrl}/user`, 'GET', { authorization: basic(token) })).status).toBe(401)
  await command('user', 'remove', '--email', 'max@acme.example')
  expect((await call(`${gateway.restUrl}/user`, 'GET', max)).status).toBe(401)
  expect(await stream.until(/flow-remove.*\r\n/)).toContain('"event":"flow-remove"')
  expect(await command('user', 'list')).toContainEqual(
    expect.objectContaining({ email: 'max@acme.example', disabled: true, organizations: '' }),
  )
  await command('flow', 'remove', '--flow', 'acme-inc/general')
  expect(await command('flow', 'list')).toContainEqual(
    expect.objectContaining({ path: 'acme-inc/general', archived: true }),
  )
})

test('an organization that is created first replaces the demo', async () => {
  const dataDir = await makeFolder()
  const added = run(['src/main.ts', 'org', 'add', '--name', 'Acme'], { DATA_DIR: dataDir })
  expect(await added.exited).toBe(0)
  const gateway = run(['src/main.ts'], { PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir })
  await gateway.until(/Streaming/)
  expect(gateway.output.stdout).not.toContain('token')
})

test('in production the first start makes nothing that anybody could sign in with', async () => {
  const dataDir = await makeFolder()
  const production = { DATA_DIR: dataDir, NODE_ENV: 'production', FLOWDOCK_DEMO_TOKEN: '1'.repeat(32) }
  const gateway = run(['src/main.ts'], { PORT: '0', BACKEND_PORT: '0', ...production })
  const [, restUrl = ''] = await gateway.until(/Flowdock API (http:\S+)/)
  await gateway.until(/Streaming/)
  expect(gateway.output.stdout).not.toContain('token')
  expect((await call(`${restUrl}/user`, 'GET', { authorization: basic('1'.repeat(32)) })).status).toBe(401)
  const listed = run(['src/main.ts', 'org', 'list', '--json'], production)
  expect(await listed.exited).toBe(0)
  expect(JSON.parse(listed.output.stdout)).toEqual([])
})

test.each([
  [['org', 'add'], '--name is missing'],
  [
    ['org', 'add', '--name', 'x', '--slug', 'No Slug'],
    '"No Slug" is no slug: expected lower-case letters, digits and dashes between them',
  ],
  [['user', 'add', '--nick', 'x', '--name', 'x', '--email', 'x', '--org', 'x'], '"x" is no e-mail address'],
  [
    ['user', 'add', '--nick', 'x', '--name', 'x', '--email', 'x@x', '--org', 'x', '--id', '-1'],
    "Option '--id' argument is ambiguous",
  ],
  [['user', 'frob'], 'Expected "user" to be followed by add, list, edit, remove; got "frob"'],
  [
    ['user', 'add', '--nick', 'x', '--name', 'x', '--email', 'x@x', '--org', 'x', '--password', 'secret'],
    'A password on the command line is seen by other users of this machine',
  ],
  [
    ['user', 'add', '--nick', 'x', '--name', 'x', '--email', 'x@x', '--org', 'x', '--password=secret'],
    'use --password-stdin',
  ],
  [
    ['user', 'add', '--nick', 'x', '--name', 'x', '--email', 'x@x', '--org', 'x', '--password-stdin'],
    'Expected a password on standard input, got nothing',
  ],
  [
    ['user', 'add', '--nick', 'x', '--name', 'x', '--email', 'x@x', '--org', 'x', '--id', '999999999999999'],
    '--id is at most 100000000000000, got 999999999999999',
  ],
  [
    ['user', 'add', '--nick', 'x', '--name', 'x'.repeat(101), '--email', 'x@x', '--org', 'x'],
    '--name is too long: 101 characters, at most 100 are stored',
  ],
  [['org', 'add', '--name', 'x'.repeat(101)], '--name is too long: 101 characters, at most 100 are stored'],
  [['user', 'edit', '--user', 'x@x'], 'Expected --email, --nick, --name or --avatar: nothing would change'],
  [['user', 'edit', '--user', 'x@x', '--email', 'x'], '"x" is no e-mail address'],
  [['user', 'edit', '--user', 'x@x', '--email', 'y@y'], 'There is no user with the address x@x'],
  [['token', 'add', '--user', 'nobody@x'], 'There is no user with the address nobody@x'],
  [['flow', 'add', '--org', 'nothing', '--name', 'x'], 'There is no organization "nothing"'],
  [['source', 'add', '--flow', 'a/b', '--name', 'x'], 'There is no flow "a/b"; expected ORGANIZATION/FLOW'],
  [['source', 'remove', '--id', '7', '--frob'], "Unknown option '--frob'"],
  [['account', 'add'], '--name is missing'],
  [['account', 'add', '--name', 'x'], 'The name of an account has 2 to 63 lower-case letters'],
  [['account', 'add', '--name', 'lab', '--token', 'abc'], 'A master token has 32 letters and digits'],
  [['account', 'token', '--name', 'lab'], 'There is no account "lab"'],
  [['account', 'remove'], 'Expected "account" to be followed by add, list, token; got "remove"'],
])('%j is refused in words', async (args, message) => {
  const refused = run(['src/main.ts', ...args], { DATA_DIR: await makeFolder() })
  expect(await refused.exited).toBe(1)
  expect(refused.output.stdout).toBe('')
  expect(refused.output.stderr.split('\n')[0]).toContain(message)
})

test('invitations, applications and whole organizations come and go', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const command = async (...args: string[]) => {
    const running = run(['src/main.ts', ...args, '--json'], { DATA_DIR: dataDir })
    expect(await running.exited, running.output.stderr).toBe(0)
    return JSON.parse(running.output.stdout)
  }
  const get = (path: string) => call(gateway.restUrl + path, 'GET', { authorization: basic(gateway.token) })

  const flow = ['--flow', 'example/main']
  const invited = await command('invite', 'add', ...flow, '--email', 'new@example.com')
  expect(invited).toMatchObject({ path: 'example/main', email: 'new@example.com', state: 'pending' })
  expect(await command('invite', 'list', ...flow)).toMatchObject([
    { id: invited.id, email: 'new@example.com' },
  ])
  expect((await get('/flows/example/main/invitations')).json).toMatchObject([{ id: invited.id }])
  await command('invite', 'remove', '--id', String(invited.id))
  expect(await command('invite', 'list', ...flow)).toEqual([])

  const app = await command(
    ...['app', 'add', '--name', 'Polls', '--user', 'ada@example.com'],
    ...['--redirect-uri', 'https://polls.example/callback'],
  )
  const page = await fetch(`${gateway.restUrl}/oauth/authorize?response_type=code&client_id=${app.clientId}`)
  expect(await page.text()).toContain('Polls asks for access')
  expect(await command('app', 'list')).toMatchObject([{ id: app.id, name: 'Polls' }])
  await command('app', 'remove', '--id', String(app.id))
  expect(await command('app', 'list')).toEqual([])

  const stream = await openRawStream(`${gateway.restUrl}/stream/flows?filter=example/main&user=1`, {
    authorization: basic(gateway.token),
  })
  onTestFinished(stream.close)
  await command('org', 'remove', '--slug', 'example')
  await stream.until(/"event":"flow-remove"/)
  expect((await get('/flows')).json).toEqual([])
  expect((await get('/organizations')).json).toEqual([])
  expect((await get('/flows/example/main/messages')).status).toBe(404)
})

test('tokens of the service go on working, each for one thing, and pictures are set', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const command = async (...args: string[]) => {
    const running = run(['src/main.ts', ...args, '--json'], { DATA_DIR: dataDir })
    return { code: await running.exited, ...running.output }
  }
  const [personal, flowToken, pushToken] = ['personal', 'flow', 'push'].map(
    (kind) => `${kind}-token-of-the-service`,
  )
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await command(...args)
    expect(code, stderr).toBe(0)
    return JSON.parse(stdout)
  }
  const ben = ['--user', 'ben@example.com']
  expect(await done('token', 'add', ...ben, '--token', personal as string)).toMatchObject({ token: personal })
  await done('source', 'add', '--flow', 'example/main', '--name', 'CI', '--token', flowToken as string)
  await done('flow', 'rotate-token', '--flow', 'example/main', '--token', pushToken as string)
  const me = () => call(`${gateway.restUrl}/user`, 'GET', { authorization: basic(personal as string) })
  expect((await me()).json).toMatchObject({ nick: 'Ben' })
  const sent = { flow_token: flowToken, event: 'message', content: 'built' }
  expect((await call(`${gateway.restUrl}/messages`, 'POST', {}, sent)).status).toBe(202)
  const pushed = { content: 'pushed', external_user_name: 'CI' }
  for (const token of [pushToken, flowToken])
    expect((await call(`${gateway.restUrl}/v1/messages/chat/${token}`, 'POST', {}, pushed)).status).toBe(200)

  for (const token of [personal, flowToken, pushToken]) {
    const refused = await command('token', 'add', ...ben, '--token', token as string)
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('in use already') })
    expect(refused.stderr).not.toContain(token)
  }
  expect((await command('token', 'add', ...ben, '--token', 'short')).stderr).toContain('20 to 128')

  const generated = (await me()).json.avatar
  const path = join(await makeFolder(), 'me.gif')
  const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==', 'base64')
  await writeFile(path, gif)
  await done('user', 'edit', ...ben, '--avatar', path)
  const set = (await me()).json.avatar
  expect(set).not.toBe(generated)
  expect(Buffer.from(await (await fetch(`${set}120`)).arrayBuffer())).toEqual(gif)
  expect((await command('user', 'edit', ...ben, '--avatar', 'package.json')).stderr).toContain(
    'must be a PNG',
  )
  expect((await command('user', 'edit', ...ben, '--avatar', 'no-such-file.png')).stderr).toContain(
    'cannot be read',
  )
  await done('user', 'edit', ...ben, '--avatar', 'none')
  expect((await me()).json.avatar).toBe(generated)
}, 120_000)

test('the operator changes an e-mail address, which the user cannot; the error names the user who has it already', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const command = async (...args: string[]) => {
    const running = run(['src/main.ts', ...args], { DATA_DIR: dataDir })
    return { code: await running.exited, ...running.output }
  }
  const ada = { authorization: basic(gateway.token) }
  const own = await call(`${gateway.restUrl}/users/1`, 'PUT', ada, { email: 'byron@example.com' })
  expect([own.status, own.json.message]).toEqual([
    403,
    'Access denied: an e-mail address is changed by the operator of the server, with "user edit"',
  ])
  const taken = await command('user', 'edit', '--user', 'ada@example.com', '--email', 'BEN@example.com')
  expect([taken.code, taken.stderr]).toEqual([
    1,
    'There is a user with the address BEN@example.com already: Ben Okri (Ben, id 2), in example\n',
  ])
  const edited = await command(
    'user',
    'edit',
    '--user',
    'ada@example.com',
    '--email',
    'byron@example.com',
    '--json',
  )
  expect(JSON.parse(edited.stdout)).toEqual({
    id: 1,
    nick: 'Ada',
    name: 'Ada Byron',
    email: 'byron@example.com',
  })
  expect((await call(`${gateway.restUrl}/user`, 'GET', ada)).json.email).toBe('byron@example.com')
})

test('accounts of flowthings are added and listed, and their master tokens replaced, in words and in JSON', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir, { FLOWTHINGS_PORT: '0' })
  const [, url = ''] = await gateway.until(/flowthings +(http:\S+)\/ACCOUNT/)
  const command = async (...args: string[]) => {
    const running = run(['src/main.ts', 'account', ...args], { DATA_DIR: dataDir })
    expect(await running.exited, running.output.stderr).toBe(0)
    return running.output.stdout
  }
  const status = async (token: string) =>
    (await call(`${url}/lab/identity`, 'GET', { 'x-auth-token': token })).status

  const added = JSON.parse(await command('add', '--name', 'lab', '--json'))
  expect(Object.keys(added)).toEqual(['name', 'identity', 'token'])
  expect(await status(added.token)).toBe(200)
  const listed = JSON.parse(await command('list', '--json'))
  expect(listed).toEqual([
    { name: 'demo', identity: expect.any(String), created: expect.any(String) },
    { name: 'lab', identity: added.identity, created: expect.stringMatching(/^\d{4}-.*Z$/) },
  ])
  const lines = (await command('list')).trim().split('\n')
  expect(lines.map((line) => line.split(/ +/)[0])).toEqual(['name', 'demo', 'lab'])
  expect(await command('list')).not.toContain(added.token)

  const text = await command('token', '--name', 'lab')
  const [, replaced = ''] = /^name: lab\ntoken: ([A-Za-z0-9]{32})\n$/.exec(text) ?? []
  expect([await status(added.token), await status(replaced)]).toEqual([403, 200])
})
