import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { backupData, checkData, restoreData } from '../../src/backend/admin/maintenance.ts'
import { makeFolder, startTestBackend } from '../support/backend.ts'
import { downloadFile, sendFile } from '../support/files.ts'
import { failS3, startS3 } from '../support/s3.ts'

test('a backup with files of S3 is whole, also if a message is deleted meanwhile, and is restored without S3', async () => {
  const s3 = await startS3()
  const before = await startTestBackend()
  onTestFinished(before.close)
  const toS3 = { ...before.location, s3: s3.location }
  const backend = await startTestBackend(toS3)
  onTestFinished(backend.close)
  const kept = await sendFile(backend, randomBytes(1000))
  const inFolder = await sendFile(before, randomBytes(1000))
  const deleted = await sendFile(backend, randomBytes(1000))
  let reads = 0
  s3.intercept(({ method, url }, response) => {
    if (method !== 'GET' || url?.includes(deleted.token) !== true) return false
    reads += 1
    // A reader searches S3 twice. At the third read the backup has a database that names the file.
    const isAfterDatabase = reads === 3
    const deletion = isAfterDatabase
      ? backend.as('Ada')('DELETE', `/flows/example/main/messages/${deleted.id}`)
      : Promise.resolve()
    void deletion.then(() => failS3(response, 404, 'NoSuchKey'))
    return true
  })
  const copy = join(await makeFolder(), 'copy')
  await backupData(toS3, copy, { withS3: true })
  const dataDir = join(await makeFolder(), 'restored')
  const restored = { dataDir, databaseUrl: undefined }
  await restoreData(copy, restored)
  expect(reads).toBeGreaterThan(3)
  expect(await checkData(restored)).toEqual({ problems: [], repaired: [] })
  const again = await startTestBackend({ dataDir })
  onTestFinished(again.close)
  expect(await downloadFile(again, kept)).toBe(kept.digest)
  expect(await downloadFile(again, inFolder)).toBe(inFolder.digest)
  expect(await downloadFile(again, deleted)).toBe(404)
  await rm(dataDir, { recursive: true, force: true })
})
