import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { call, makeFolder, startTestBackend } from '../support/backend.ts'

/** A backend, and another program that can lock its database. */
async function start() {
  const dataDir = await makeFolder()
  const failures: unknown[] = []
  const backend = await startTestBackend({ dataDir, onError: (error) => failures.push(error) })
  onTestFinished(backend.close)
  const other = new DatabaseSync(join(dataDir, 'flowdock.db'))
  onTestFinished(() => other.close())
  const ada = backend.as('Ada')
  await ada('GET', '/user')
  return {
    other,
    url: backend.url,
    dataDir,
    failures,
    send: (content: string) => ada('POST', '/flows/example/main/messages', { event: 'message', content }),
    contents: async () =>
      (await ada('GET', '/flows/example/main/messages?event=message&limit=3')).json.map(
        (message: { content: string }) => message.content,
      ),
  }
}

test('while another program writes, reads go on, and writes wait for it', async () => {
  const { other, send, contents } = await start()
  await send('before')
  other.exec('begin immediate')
  let isStored = false
  const waiting = send('after').then((answer) => {
    isStored = true
    return answer
  })
  for (let count = 0; count < 20; count += 1) expect((await contents()).at(-1)).toBe('before')
  expect(isStored).toBe(false)
  other.exec('commit')
  expect((await waiting).status).toBe(201)
  expect((await contents()).at(-1)).toBe('after')
})

test('a program that goes on writing is not waited for without end: nothing is stored then', async () => {
  const { other, url, send, contents, failures } = await start()
  // Writes go one after another: what a backend deletes at its start is over, too, once this one is.
  await send('before')
  other.exec('begin immediate')
  const [health, answer] = await Promise.all([call(`${url}/health/ready`, 'GET', {}), send('refused')])
  expect([health.status, answer.status]).toEqual([503, 503])
  expect(failures).toHaveLength(2)
  other.exec('rollback')
  expect((await send('stored')).status).toBe(201)
  expect((await contents()).slice(-1)).toEqual(['stored'])
  expect(await contents()).not.toContain('refused')
})

test('a reader of another program that never ends keeps the log of changes, and nothing else', async () => {
  const { other, send, contents } = await start()
  other.exec('begin; select count(*) from messages')
  const reading = other.prepare('select count(*) as messages from messages').get()
  for (let count = 0; count < 50; count += 1) expect((await send(`${count}`)).status).toBe(201)
  expect(other.prepare('select count(*) as messages from messages').get()).toEqual(reading)
  other.exec('commit')
  expect((await contents()).at(-1)).toBe('49')
})

test('what it makes of that log is on the disk for as long as it reads, and not longer', async () => {
  const { other, dataDir, send, contents } = await start()
  const logBytes = () => statSync(join(dataDir, 'flowdock.db-wal')).size
  other.exec('begin; select count(*) from messages')
  const count = () => Number(other.prepare('select count(*) as messages from messages').get()?.['messages'])
  const before = count()
  const content = 'x'.repeat(8000)
  let sent = 0
  while (logBytes() < 70 * 1024 * 1024) {
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, index) => send(`${sent + index} ${content}`)),
    )
    expect(answers.every(({ status }) => status === 201)).toBe(true)
    sent += 64
  }
  expect(count()).toBe(before)
  other.exec('commit')
  // The first change writes it back, the second begins it anew.
  await send('after')
  await send('again')
  expect(logBytes()).toBeLessThanOrEqual(64 * 1024 * 1024)
  expect((await contents()).slice(-2)).toEqual(['after', 'again'])
  expect(count()).toBe(before + sent + 2)
})
