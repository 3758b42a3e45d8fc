import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { openPostgres, postgresEngine } from '../../src/backend/store/postgres.ts'
import { post } from '../support/app.ts'
import { basic, call, makeFolder } from '../support/backend.ts'
import { execute, makeDatabase } from '../support/database.ts'
import { readDemoToken, run } from '../support/process.ts'

async function makePlace() {
  const database = await makeDatabase()
  if (database === undefined) throw new Error('These tests need PostgreSQL')
  onTestFinished(database.drop)
  return { DATABASE_URL: database.url, DATA_DIR: await makeFolder(), PORT: '0', BACKEND_PORT: '0' }
}

async function serve(environment: Record<string, string>) {
  const running = run(['src/main.ts', 'serve'], environment)
  const [, url = ''] = await running.until(/GraphQL +(http:\S+)\/graphql/)
  const [, restUrl = ''] = await running.until(/Flowdock API (http:\S+)/)
  const token = await readDemoToken(environment['DATA_DIR'] ?? '')
  const ada = (method: string, path: string, body?: unknown) =>
    call(restUrl + path, method, { authorization: basic(token) }, body)
  return { ...running, url, token, ada }
}

test('DATABASE_URL is all it takes: messages are there after a restart, commands work beside the server', async () => {
  const environment = await makePlace()
  const first = await serve(environment)
  const file = { event: 'file', content: { data: btoa('kept'), file_name: 'kept.txt' } }
  await first.ada('POST', '/flows/example/main/messages', { event: 'message', content: 'kept in PostgreSQL' })
  await first.ada('POST', '/flows/example/main/messages', file)
  const added = run(['src/main.ts', 'user', 'list', '--json'], environment)
  expect(await added.exited, added.output.stderr).toBe(0)
  expect(JSON.parse(added.output.stdout)).toHaveLength(5)
  first.child.kill('SIGTERM')
  expect(await first.exited).toBe(0)

  const second = await serve(environment)
  const found = await second.ada('GET', '/flows/example/main/messages?search=postgresql')
  expect(found.json).toMatchObject([{ content: 'kept in PostgreSQL' }])
  const query = '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { __typename } } } }'
  expect(await post(second.url, { query }, second.token)).toEqual({
    data: { flow: { messages: { nodes: [{ __typename: 'FileMessage' }] } } },
  })
  const check = run(['src/main.ts', 'check'], environment)
  expect(await check.exited, check.output.stdout).toBe(0)
  const backup = run(['src/main.ts', 'backup', '--to', `${environment.DATA_DIR}-copy`], environment)
  expect(await backup.exited).toBe(1)
  expect(backup.output.stderr).toContain('pg_dump')
})

test('broken connections are replaced; nothing acknowledged is lost', async () => {
  const environment = await makePlace()
  const server = await serve(environment)
  const send = (content: string) =>
    server.ada('POST', '/flows/example/main/messages', { event: 'message', content })
  const acknowledged: string[] = []
  const name = new URL(environment.DATABASE_URL).pathname.slice(1)
  for (let round = 0; round < 3; round += 1) {
    const sending = Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const { status } = await send(`${round} ${index}`)
        if (status === 201) acknowledged.push(`${round} ${index}`)
        else expect(status).toBe(503)
      }),
    )
    await execute(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
    await sending
  }
  while ((await send('at last')).status !== 201);
  const { json } = await server.ada('GET', '/flows/example/main/messages?event=message&limit=100')
  const stored = json.map(({ content }: { content: string }) => content)
  for (const content of acknowledged) expect(stored).toContain(content)
})

test('it is not ready while the database takes no changes', async () => {
  const environment = await makePlace()
  const server = await serve(environment)
  const name = new URL(environment.DATABASE_URL).pathname.slice(1)
  const becomes = (status: number) =>
    expect.poll(async () => (await fetch(`${server.url}/health/ready`)).status).toBe(status)
  const readOnly = async (value: 'on' | 'off') => {
    await execute(`alter database "${name}" set default_transaction_read_only = ${value}`)
    await execute(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
  }
  await becomes(200)
  await readOnly('on')
  await becomes(503)
  await readOnly('off')
  await becomes(200)
})

test('a lock of another process is waited for briefly; then the write fails, nothing is stored, and later writes succeed', async () => {
  const environment = await makePlace()
  const server = await serve(environment)
  const send = (content: string) =>
    server.ada('POST', '/flows/example/main/messages', { event: 'message', content })
  const client = new pg.Client(environment.DATABASE_URL)
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('begin; lock table messages in access exclusive mode')
  const answers = await Promise.all([send('refused'), server.ada('GET', '/flows/example/main/messages')])
  expect(answers.map(({ status }) => status)).toEqual([503, 503])
  await client.query('rollback')
  expect((await send('stored')).status).toBe(201)
  await client.query('begin; lock table messages in access exclusive mode')
  const waiting = send('stored soon')
  await expect
    .poll(async () => (await client.query('select 1 from pg_locks where not granted')).rowCount)
    .toBeGreaterThan(0)
  await client.query('commit')
  expect((await waiting).status).toBe(201)
  const { json } = await server.ada('GET', '/flows/example/main/messages?event=message&limit=2')
  expect(json.map(({ content }: { content: string }) => content)).toEqual(['stored', 'stored soon'])
})

test('a program that stops in the middle of a change loses its turn to others', async () => {
  const environment = await makePlace()
  const stopped = postgresEngine(openPostgres(environment.DATABASE_URL).writer)
  onTestFinished(stopped.close)
  const server = await serve(environment)
  const hanging = Promise.withResolvers<void>()
  const change = stopped.withConnection(async (connection) => {
    await stopped.begin(connection, undefined)
    await hanging.promise
  })
  const send = () => server.ada('POST', '/flows/example/main/messages', { event: 'message', content: 'x' })
  await expect.poll(async () => (await send()).status).toBe(201)
  hanging.resolve()
  await change
})

test('a database that cannot be reached stops the start, in words and without its password', async () => {
  const running = run(['src/main.ts', 'serve'], {
    ...{ PORT: '0', BACKEND_PORT: '0', DATA_DIR: await makeFolder() },
    DATABASE_URL: 'postgres://somebody:hidden@127.0.0.1:1/nothing',
  })
  expect(await running.exited).toBe(1)
  expect(running.output.stderr).toBe(
    'Cannot reach the database of DATABASE_URL: connect ECONNREFUSED 127.0.0.1:1\n',
  )
})
