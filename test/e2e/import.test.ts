import { once } from 'node:events'
import { expect, test } from 'vitest'
import { basic, call, makeFolder } from '../support/backend.ts'
import { exportedMessages, makeFlowExport, makeZip } from '../support/flow-export.ts'
import { run, runBackend } from '../support/process.ts'

function command(dataDir: string, ...args: string[]) {
  return run(['src/main.ts', ...args], { DATA_DIR: dataDir })
}

async function importZip(dataDir: string, zip: string, ...args: string[]) {
  const running = command(dataDir, 'import', zip, '--flow', 'example/archive', ...args)
  return { code: await running.exited, ...running.output }
}

async function startServer() {
  const dataDir = await makeFolder()
  const server = await runBackend(dataDir)
  const get = (path: string) => call(server.url + path, 'GET', { authorization: basic(server.token) })
  return { ...server, dataDir, get }
}

const archive = '/flows/example/archive'

test('a flow is imported while the server runs, with its threads, files, users and ids; once', async () => {
  const server = await startServer()
  const zip = await makeFlowExport()
  const first = await importZip(server.dataDir, zip, '--name', 'Archive', '--json')
  expect(first.stderr).toBe('')
  expect(JSON.parse(first.stdout)).toEqual({
    flow: 'example/archive',
    flowId: '05654aa3-3b13-4a79-8cea-92ed45bdc9a5',
    messages: { taken: 10, alreadyThere: 0, shortened: 0 },
    leftOut: { 'activity.user is no message': 1, 'it is private': 1 },
    files: { taken: 1, missing: 1, tooLong: 0 },
    people: { matched: 1, created: 2, foreign: 0 },
  })

  const { json: flow } = await server.get(archive)
  expect(flow).toMatchObject({
    name: 'Archive',
    joined: true,
    access_mode: 'organization',
    last_message_id: 12,
  })
  expect(flow.users.map(({ nick }: { nick: string }) => nick)).toEqual(['Ada', 'Ben'])
  const { json: messages } = await server.get(`${archive}/messages?limit=100`)
  expect(messages.map(({ id }: { id: number }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 12])
  const [howdy, reply, file, lost, comment, activity, discussion, robot] = messages

  // Joe of the export is Ben here, by his address; Kim was described by an event, 77 by nothing.
  expect(howdy).toMatchObject({ user: '2', sent: exportedMessages[0]?.sent, uuid: 'uuid-1', tags: ['hello'] })
  expect(reply).toMatchObject({ user: '12', tags: [':user:2'], emojiReactions: { thumbsup: ['2', '77'] } })
  expect(howdy.thread).toMatchObject({ title: 'Howdy #hello', initial_message: 1, internal_comments: 3 })
  expect(comment).toMatchObject({ user: '77', thread_id: howdy.thread_id, content: { text: 'an old reply' } })
  const { json: people } = await server.get('/organizations/example/users')
  expect(people.filter(({ id }: { id: number }) => id > 5)).toMatchObject([
    { id: 12, nick: 'Kim', name: 'Kim Doe', email: 'kim@acme.example' },
    { id: 77, nick: 'user-77', email: 'user-77@example.invalid' },
  ])

  const download = await fetch(server.url + file.content.path, {
    headers: { authorization: basic(server.token) },
  })
  expect(await download.text()).toBe('notes')
  expect(file.attachments[0].path).toBe(file.content.path)
  expect(lost.content.path).toBe('/files/123/gone/gone.txt')
  expect(activity.thread).toMatchObject({
    id: 'Eg46ehQSRpWW5XSoX2tFm-t55Sk',
    source: { name: 'Tracker' },
    status: { color: 'green', value: 'open' },
    activities: 1,
    external_comments: 1,
  })
  expect((await server.get(`${archive}/messages?search=searchable`)).json).toMatchObject([
    { id: discussion.id },
  ])
  expect((await server.get(`${archive}/messages?tags=hello`)).json).toMatchObject([{ id: 1 }])
  expect(robot).toMatchObject({ user: '0', external_user_name: 'Robot' })

  const again = await importZip(server.dataDir, zip)
  expect(again.stdout).toBe(
    'example/archive: 0 messages taken, 10 were there already\n' +
      'id of the flow: 05654aa3-3b13-4a79-8cea-92ed45bdc9a5\n' +
      'files: 0 taken, 0 not in the export\n' +
      'people: 2 are members here, 0 made, who cannot sign in\n' +
      'left out:\n  1 × activity.user is no message\n  1 × it is private\n',
  )
  const sent = await call(
    `${server.url}${archive}/messages`,
    'POST',
    { authorization: basic(server.token) },
    { event: 'message', content: 'life goes on' },
  )
  expect(sent.json.id).toBe(13)
  expect(await command(server.dataDir, 'check').exited).toBe(0)
})

test('an import that is killed continues when it is run again, and no one writes in between', async () => {
  const server = await startServer()
  const many = Array.from({ length: 3000 }, (_, index) => ({
    ...exportedMessages[0],
    id: index + 1,
    uuid: `many-${index}`,
    content: `message ${index}`,
    thread_id: undefined,
    thread: undefined,
  }))
  const zip = await makeFlowExport(many)
  const killed = command(server.dataDir, 'import', zip, '--flow', 'example/archive')
  const count = async () => {
    const { json, status } = await server.get(`${archive}/messages?limit=100`)
    return status === 200 ? json.length : status
  }
  // The flow is there, and nobody in it, while it fills.
  while ((await server.get(archive)).status === 404) if (killed.child.exitCode !== null) break
  const during = await count()
  killed.child.kill('SIGKILL')
  await once(killed.child, 'close')
  expect(during).toBe(403)

  const resumed = await importZip(server.dataDir, zip, '--json')
  const { messages } = JSON.parse(resumed.stdout)
  expect(messages.taken + messages.alreadyThere).toBe(3000)
  expect(await count()).toBe(100)
  const ids: number[] = []
  for (;;) {
    const { json } = await server.get(`${archive}/messages?sort=asc&limit=100&since_id=${ids.at(-1) ?? 0}`)
    if (json.length === 0) break
    ids.push(...json.map(({ id }: { id: number }) => id))
  }
  expect(ids).toEqual(many.map(({ id }) => id))
  // Also those that were taken before the kill.
  const { json: first } = await server.get(`${archive}/messages?sort=asc&limit=100`)
  for (const { id, thread } of first)
    expect([thread.initial_message, thread.internal_comments]).toEqual([id, 1])
})

test('what is no export is refused in words, and makes nothing', async () => {
  const server = await startServer()
  for (const [zip, problem] of [
    ['/nowhere.zip', 'cannot be read as a zip file'],
    [await makeZip({ 'readme.txt': 'x' }), 'has no messages.json'],
    [await makeZip({ 'messages.json': '[{"id":1,' }), 'messages.json'],
    [await makeZip({ 'messages.json': '[1]' }), 'no list of messages'],
    [await makeZip({ 'messages.json': 'nonsense' }), 'messages.json'],
  ] as const) {
    const { code, stderr } = await importZip(server.dataDir, zip)
    expect(code).toBe(1)
    expect(stderr).toContain(problem)
    expect(stderr).not.toContain('    at ')
    expect((await server.get(archive)).status).toBe(404)
  }
  const nowhere = command(server.dataDir, 'import', await makeFlowExport(), '--flow', 'nobody/x')
  expect(await nowhere.exited).toBe(1)
  expect(nowhere.output.stderr).toBe('There is no organization "nobody"; expected ORGANIZATION/FLOW\n')
})

test('a flow keeps the id that programs know it by, unless it means another flow here', async () => {
  const server = await startServer()
  const exported = (flow: string) => [
    { id: 1, flow, event: 'message', app: 'chat', content: 'old', user: '0', tags: [], sent: 1480546596695 },
  ]
  const importAs = async (slug: string, id: string) => {
    const zip = await makeZip({ 'messages.json': JSON.stringify(exported(id)) })
    const running = command(server.dataDir, 'import', zip, '--flow', `example/${slug}`, '--json')
    expect(await running.exited, running.output.stderr).toBe(0)
    return JSON.parse(running.output.stdout).flowId
  }
  expect(await importAs('moved', 'acme:moved')).toBe('acme:moved')
  expect((await server.get('/flows/find?id=acme:moved')).json).toMatchObject({
    id: 'acme:moved',
    parameterized_name: 'moved',
  })
  expect((await server.get('/flows/example/moved/messages')).json).toMatchObject([
    { flow: 'acme:moved', content: 'old' },
  ])
  const other = /^[0-9a-f-]{36}$/
  expect(await importAs('again', 'acme:moved')).toMatch(other)
  // It would be found in place of the flow at this path.
  expect(await importAs('disguised', 'example:main')).toMatch(other)
  expect(await importAs('odd', 'a flow with blanks')).toMatch(other)
})
