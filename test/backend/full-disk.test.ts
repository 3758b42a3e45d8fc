import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { storageError } from '../../src/backend/http/storage-error.ts'
import { eventually } from '../support/app.ts'
import { call, startTestBackend } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'

test('on a full disk writes are refused and change nothing, reads go on, and with room again writes do too', async () => {
  const failures: unknown[] = []
  const backend = await startTestBackend({ onError: (error) => failures.push(error) })
  onTestFinished(backend.close)
  const ada = backend.as('Ada')
  const send = (content: string) => ada('POST', '/flows/example/main/messages', { event: 'message', content })
  const pages = async (limit: number) =>
    backend.store.write((db) => sql.raw(`pragma max_page_count = ${limit}`).execute(db))
  await send('before')
  await pages(1)

  const acknowledged: string[] = []
  const refused: number[] = []
  for (let index = 0; index < 60; index += 1) {
    const content = `${index} ${'x'.repeat(8000)}`
    const { status } = await send(content)
    if (status === 201) acknowledged.push(content)
    else refused.push(status)
  }
  expect(new Set(refused)).toEqual(new Set([507]))
  expect(failures.length).toBe(refused.length)
  const stored = async () =>
    (await ada('GET', '/flows/example/main/messages?event=message&limit=100')).json.map(
      (message: { content: string }) => message.content,
    )
  expect((await stored()).filter((content: string) => content.length > 1000)).toEqual(acknowledged)

  await pages(1_000_000)
  expect((await send('after')).status).toBe(201)
  expect((await stored()).at(-1)).toBe('after')
})

test('it is not ready while the folder of files cannot be written', async () => {
  const reasons: unknown[] = []
  const backend = await startTestBackend({ onError: (reason) => reasons.push(reason) })
  onTestFinished(backend.close)
  const ada = backend.as('Ada')
  const incoming = join(backend.dataDir, 'files', 'incoming')
  const health = () => call(`${backend.url}/health/ready`, 'GET', {})
  const becomes = async (status: number) => eventually(async () => (await health()).status === status)
  expect(await health()).toMatchObject({ status: 200, json: { status: 'ready' } })
  await rename(incoming, `${incoming}-gone`)
  await becomes(503)
  expect((await ada('GET', '/flows/example/main/messages')).status).toBe(200)
  await rename(`${incoming}-gone`, incoming)
  await becomes(200)
  expect(await arrivingFiles(backend.dataDir)).toEqual([])
  expect(reasons).toMatchObject([{ code: 'ENOENT' }])
})

test.each([
  [{ code: 'ENOSPC' }, 507],
  [{ code: 'EROFS' }, 503],
  [{ code: 'ERR_SQLITE_ERROR', errcode: 13 }, 507],
  [{ code: 'ERR_SQLITE_ERROR', errcode: 8 }, 503],
  [{ code: 'ERR_SQLITE_ERROR', errcode: 10 + (3 << 8) }, 503],
  [{ code: 'ERR_SQLITE_ERROR', errcode: 19 }, undefined],
  [new TypeError('a mistake'), undefined],
])('%j is answered %s', (error, status) => {
  expect(storageError(error)?.status).toBe(status)
})
