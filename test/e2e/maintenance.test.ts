import { chmod, mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openS3Storage } from '../../src/backend/files-s3.ts'
import { eventually } from '../support/app.ts'
import { basic, call, makeFolder } from '../support/backend.ts'
import { run, runGateway } from '../support/process.ts'
import { startS3 } from '../support/s3.ts'
import { openRawStream } from '../support/stream.ts'

async function command(dataDir: string, ...args: string[]) {
  const running = run(['src/main.ts', ...args], { DATA_DIR: dataDir })
  return { code: await running.exited, ...running.output }
}

function logIdOf(dataDir: string): unknown {
  const database = new DatabaseSync(join(dataDir, 'flowdock.db'), { readOnly: true, timeout: 5000 })
  const row = database.prepare('select id from event_log').get()
  database.close()
  return row?.['id']
}

test('a backup made while the server is written to holds every message that was acknowledged before it, and its files', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const headers = { authorization: basic(gateway.token) }
  const send = (body: object) => call(`${gateway.restUrl}/flows/example/main/messages`, 'POST', headers, body)
  const file = await send({
    event: 'file',
    content: { data: btoa('kept'), file_name: 'kept.txt', content_type: 'text/plain' },
  })
  const before = await send({ event: 'message', content: 'before the backup' })
  let writing = true
  const writers = Array.from({ length: 4 }, async () => {
    while (writing) expect((await send({ event: 'message', content: 'during' })).status).toBe(201)
  })
  const copy = join(await makeFolder(), 'copy')
  expect(await command(dataDir, 'backup', '--to', copy)).toMatchObject({
    code: 0,
    stdout: `${dataDir} was copied to ${copy}\n`,
  })
  writing = false
  await Promise.all(writers)
  expect(await command(dataDir, 'check')).toMatchObject({ code: 0, stdout: 'All is well\n' })

  const restored = join(await makeFolder(), 'restored')
  expect((await command(restored, 'restore', '--from', copy)).code).toBe(0)
  expect((await command(restored, 'check', '--json')).stdout).toBe('{"problems":[],"repaired":[]}\n')
  // The events that follow have numbers that other events have in the original.
  expect(logIdOf(restored)).not.toBe(logIdOf(dataDir))
  const again = await runGateway(restored)
  expect(again.token).toBe(gateway.token)
  const read = (path: string) => fetch(again.restUrl + path, { headers })
  expect(await (await read(`/flows/example/main/messages/${before.json.id}`)).json()).toMatchObject({
    content: 'before the backup',
  })
  expect(await (await read(file.json.content.path)).text()).toBe('kept')
})

test('with files at S3, a backup holds the database, and a check finds what is missing in the bucket', async () => {
  const { location } = await startS3()
  const settings = {
    S3_URL: location.url,
    S3_ACCESS_KEY_ID: location.credentials?.accessKeyId ?? '',
    S3_SECRET_ACCESS_KEY: location.credentials?.secretAccessKey ?? '',
  }
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir, settings)
  const headers = { authorization: basic(gateway.token) }
  const content = { data: btoa('far away'), file_name: 'far.txt', content_type: 'text/plain' }
  const { json } = await call(`${gateway.restUrl}/flows/example/main/messages`, 'POST', headers, {
    event: 'file',
    content,
  })
  const at = async (folder: string, ...args: string[]) => {
    const running = run(['src/main.ts', ...args], { ...settings, DATA_DIR: folder })
    return { code: await running.exited, ...running.output }
  }
  const copy = join(await makeFolder(), 'copy')
  const restored = join(await makeFolder(), 'restored')
  expect((await at(dataDir, 'backup', '--to', copy)).stdout).toBe(
    `${dataDir} was copied to ${copy}; files at S3_URL are not part of it\n`,
  )
  expect((await at(restored, 'restore', '--from', copy)).code).toBe(0)
  expect(await at(restored, 'check')).toMatchObject({ code: 0, stdout: 'All is well\n' })
  const again = await runGateway(restored, settings)
  expect(await (await fetch(again.restUrl + json.content.path, { headers })).text()).toBe('far away')

  const whole = join(await makeFolder(), 'whole')
  expect((await at(dataDir, 'backup', '--to', whole, '--with-s3')).stdout).toBe(
    `${dataDir} was copied to ${whole}\n`,
  )
  const withoutS3 = join(await makeFolder(), 'restored')
  expect((await command(withoutS3, 'restore', '--from', whole)).code).toBe(0)
  expect(await command(withoutS3, 'check')).toMatchObject({ code: 0, stdout: 'All is well\n' })
  // The files of the backup are in the folder and at S3. Those in the folder are compared and removed.
  expect(await at(withoutS3, 'move-files', '--to', 's3')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d+ files with \d+ bytes were moved to S3_URL\n$/),
  })

  const [, token = ''] = /([0-9a-f]{32})/.exec(json.content.path) ?? []
  const storage = openS3Storage(location)
  await storage.remove(token)
  storage.close()
  expect(await at(restored, 'check')).toMatchObject({
    code: 1,
    stdout: `The file "far.txt" (${token}) is missing\n`,
  })
  const nowhere = await run(['src/main.ts', 'check'], {
    ...settings,
    DATA_DIR: restored,
    S3_URL: 'http://127.0.0.1:9/files',
  })
  expect([await nowhere.exited, nowhere.output.stderr]).toEqual([
    1,
    expect.stringContaining('Cannot list the files at S3: ECONNREFUSED'),
  ])
})

test('a log gets another id while the server runs, which then starts again at its URL', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const id = logIdOf(dataDir)
  const headers = { authorization: basic(gateway.token) }
  const stream = await openRawStream(`${gateway.restUrl}/stream/flows?filter=example/main`, headers)
  expect((await command(dataDir, 'renew-log')).code).toBe(0)
  expect(logIdOf(dataDir)).not.toBe(id)
  await stream.ended
  const read = () => call(`${gateway.restUrl}/user`, 'GET', headers).catch(() => undefined)
  await eventually(async () => (await read())?.status === 200)
  expect(gateway.output.stderr).toContain('The event log was replaced by another one')
})

test('damage is found, and named', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const headers = { authorization: basic(gateway.token) }
  const content = { data: btoa('lost'), file_name: 'lost.txt', content_type: 'text/plain' }
  const { json } = await call(`${gateway.restUrl}/flows/example/main/messages`, 'POST', headers, {
    event: 'file',
    content,
  })
  const [, token = ''] = /([0-9a-f]{32})/.exec(json.content.path) ?? []
  await rm(join(dataDir, 'files', token.slice(0, 2), token))
  expect(await command(dataDir, 'check')).toMatchObject({
    code: 1,
    stdout: `The file "lost.txt" (${token}) is missing\n`,
  })
  gateway.child.kill('SIGTERM')
  await gateway.exited
  await writeFile(
    join(dataDir, 'flowdock.db'),
    'no database at all, only text that is long enough to be one'.repeat(100),
  )
  expect(await command(dataDir, 'check')).toMatchObject({ code: 1, stdout: 'file is not a database\n' })
})

test.each([
  [['backup'], '--to is missing'],
  [['check'], 'There is no data in'],
  [['backup', '--to', 'x'], 'There is no data in'],
  [['restore', '--from', '/nowhere'], 'There is no data in "/nowhere"'],
  [['check', '--frob'], "Unknown option '--frob'"],
  [['move-files', '--to', 'disk'], '--to is "disk", not "s3" or "folder"'],
  [['move-files', '--to', 's3'], 'S3_URL is not set'],
  [['backup', '--to', 'x', '--with-s3'], '--with-s3 needs S3_URL'],
])('%j is refused in words', async (args, message) => {
  const refused = await command(await makeFolder(), ...args)
  expect(refused.code).toBe(1)
  expect(refused.stderr.split('\n')[0]).toContain(message)
})

test('nothing is overwritten', async () => {
  const dataDir = await makeFolder()
  expect((await command(dataDir, 'org', 'add', '--name', 'Acme')).code).toBe(0)
  const full = await makeFolder()
  await writeFile(join(full, 'precious'), '')
  expect((await command(dataDir, 'backup', '--to', full)).stderr).toContain(
    'is not empty; nothing is overwritten',
  )
  const copy = join(await makeFolder(), 'copy')
  await command(dataDir, 'backup', '--to', copy)
  expect((await command(dataDir, 'restore', '--from', copy)).stderr).toContain(
    'is not empty; nothing is overwritten',
  )
})

test('files without a message are found, and removed with --repair; others and new ones stay', async () => {
  const dataDir = await makeFolder()
  const gateway = await runGateway(dataDir)
  const headers = { authorization: basic(gateway.token) }
  const send = async (name: string) => {
    const content = { data: btoa('kept'), file_name: name, content_type: 'text/plain' }
    const { json } = await call(`${gateway.restUrl}/flows/example/main/messages`, 'POST', headers, {
      event: 'file',
      content,
    })
    return json as { id: number; content: { path: string } }
  }
  const kept = await send('kept.txt')
  const hourAgo = new Date(Date.now() - 3_600_000)
  const [old, young] = ['a'.repeat(32), 'b'.repeat(32)]
  for (const token of [old, young]) {
    await mkdir(join(dataDir, 'files', token.slice(0, 2)), { recursive: true })
    await writeFile(join(dataDir, 'files', token.slice(0, 2), token), 'left by a crash')
  }
  await utimes(join(dataDir, 'files', 'aa', old), hourAgo, hourAgo)
  const sentence = `The file ${old} belongs to no message`
  expect(await command(dataDir, 'check')).toMatchObject({ code: 1, stdout: `${sentence}\n` })
  expect(await command(dataDir, 'check', '--repair')).toMatchObject({
    code: 0,
    stdout: `${sentence}; it was removed\n`,
  })
  expect(await command(dataDir, 'check')).toMatchObject({ code: 0, stdout: 'All is well\n' })
  // Files of the demo organization may be in the same folders.
  expect(await readdir(join(dataDir, 'files', 'aa'))).not.toContain(old)
  expect(await readdir(join(dataDir, 'files', 'bb'))).toContain(young)
  expect(await (await fetch(gateway.restUrl + kept.content.path, { headers })).text()).toBe('kept')
})

test('the data folder and backups are their owner’s alone, whatever the umask', async () => {
  const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
  const modes = async (folder: string) => {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    const found = await Promise.all(
      entries.map(
        async (entry) =>
          `${entry.isDirectory() ? 'folder' : 'file'} ${await mode(join(entry.parentPath, entry.name))}`,
      ),
    )
    return [...new Set([`folder ${await mode(folder)}`, ...found])].toSorted()
  }
  const priv = ['file 600', 'folder 700']
  const umask = process.umask(0o000)
  try {
    const dataDir = join(await makeFolder(), 'data')
    const first = await runGateway(dataDir)
    await call(
      `${first.restUrl}/flows/example/main/messages`,
      'POST',
      { authorization: basic(first.token) },
      {
        event: 'file',
        content: { data: btoa('x'), file_name: 'x.txt', content_type: 'text/plain' },
      },
    )
    expect(await modes(dataDir)).toEqual(priv)
    expect(await readdir(dataDir)).toContain('flowdock.db-wal')
    const copy = join(await makeFolder(), 'copy')
    expect((await command(dataDir, 'backup', '--to', copy)).code).toBe(0)
    expect(await modes(copy)).toEqual(priv)
    first.child.kill('SIGTERM')
    await first.exited

    // As an earlier version made it.
    for (const entry of await readdir(dataDir, { recursive: true, withFileTypes: true }))
      await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
    await chmod(dataDir, 0o755)
    const again = await runGateway(dataDir)
    expect(await modes(dataDir)).toEqual(priv)
    await eventually(() => /Other users of this machine could read \d+ files/.test(again.output.stderr))

    const administered = join(await makeFolder(), 'data')
    expect((await command(administered, 'org', 'add', '--name', 'Acme')).code).toBe(0)
    expect(await modes(administered)).toEqual(priv)
  } finally {
    process.umask(umask)
  }
})
