import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { forEachFile, openFileCopier } from '../file-copies.ts'
import { FileMissingError, type FileStorage } from '../file-storage.ts'
import { openFileStorage } from '../files.ts'
import { privateFolderMode, protectData } from '../private-files.ts'
import { type Database, openStore, type Store } from '../store/db.ts'
import { findLogPosition, replaceLogId } from '../store/events.ts'
import { deleteFile, findFile, listFiles } from '../store/files.ts'
import { namedFiles } from '../store/messages.ts'
import { backupSqlite, checkSqlite, listSqliteFiles } from '../store/sqlite.ts'
import { AdministrationError, type DataLocation } from './administration.ts'

const databaseName = 'flowdock.db'

export interface BackupOptions {
  /** Whether files at S3 are copied to the backup, too. */
  readonly withS3?: boolean
}

/**
 * Copies the data of a backend, also while it runs, to a folder that is empty or does not exist. Each file that a message of the
 * backup names is in it, unless it is at S3 and `withS3` is not set.
 *
 * @throws AdministrationError when there is no data, or the folder is not empty
 * @throws FileStorageError when S3 fails; the folder is no backup then
 */
export async function backupData(
  location: DataLocation,
  to: string,
  { withS3 = false }: BackupOptions = {},
): Promise<void> {
  const { dataDir, databaseUrl } = location
  requireFile(databaseUrl)
  await requireData(dataDir)
  await requireEmpty(to)
  await mkdir(to, { recursive: true, mode: privateFolderMode })
  await copyRest(dataDir, to)
  const storage = await openFileStorage(withS3 ? location : { dataDir })
  try {
    // Most files are copied before the database, so that few messages with files are deleted in the time between.
    await copyFiles(storage, to)
    for (let attempt = 1; ; attempt += 1) {
      await backupSqlite(join(dataDir, databaseName), join(to, databaseName))
      // A file is stored before its row, so each is there unless it was deleted since. Then a later copy does not name it.
      await copyFiles(storage, to)
      if (attempt === backupAttempts || !(await hasDeletedFiles(dataDir, to))) break
      await rm(join(to, databaseName))
    }
  } finally {
    storage.close()
  }
  await protectData(to)
}

/** How often the database is copied while messages with files are deleted. */
const backupAttempts = 10

/** Whether the backup names a file that is not in it because its message was deleted meanwhile. */
async function hasDeletedFiles(dataDir: string, backup: string): Promise<boolean> {
  const copies = await openFileStorage({ dataDir: backup })
  const missing: string[] = []
  for (const token of listSqliteFiles(join(backup, databaseName)))
    if ((await copies.sizeOf(token)) === undefined) missing.push(token)
  const present = new Set(listSqliteFiles(join(dataDir, databaseName)))
  return missing.some((token) => !present.has(token))
}

/**
 * Restores a backup to a folder without data. Files at S3 are not changed: those that were deleted since the backup are
 * missing then, unless they are in the backup, and `check` names them.
 *
 * @throws AdministrationError when there is data already, or the folder is not a backup, or it is damaged
 */
export async function restoreData(from: string, { dataDir, databaseUrl, s3 }: DataLocation): Promise<void> {
  requireFile(databaseUrl)
  await requireData(from)
  await requireEmpty(dataDir)
  const backup = { dataDir: from, databaseUrl: undefined }
  const problems = await checkDatabase(backup)
  // Files without a message are harmless: `check` finds them in the restored data.
  if (problems.length === 0 && s3 === undefined)
    problems.push(...(await withFiles(backup, ({ reader }, storage) => findDamaged(reader, storage))))
  if (problems.length > 0) throw new AdministrationError(`The backup is damaged: ${problems.join('; ')}`)
  await mkdir(dataDir, { recursive: true, mode: privateFolderMode })
  await backupSqlite(join(from, databaseName), join(dataDir, databaseName))
  await copyRest(from, dataDir)
  await copyFiles(await openFileStorage({ dataDir: from }), dataDir)
  await protectData(dataDir)
  // Events that follow get numbers that others had before.
  await renewLog({ dataDir, databaseUrl })
}

/**
 * Gives the event log another id, so that backends, gateways and streams begin again: the events of the log may not be those that
 * they received. That is so after a backup was restored, or commits were lost.
 *
 * @throws AdministrationError when there is no data
 */
export async function renewLog({ dataDir, databaseUrl }: DataLocation): Promise<void> {
  if (databaseUrl === undefined) await requireData(dataDir)
  const store = await openStore(databaseUrl ?? join(dataDir, databaseName))
  try {
    const { id } = await findLogPosition(store.reader)
    await store.write((db) => replaceLogId(db, id))
  } finally {
    await store.close()
  }
}

/** The problems that `check` found, as sentences. */
export interface DataCheck {
  readonly problems: readonly string[]
  /** The repaired problems; they are not in `problems`. */
  readonly repaired: readonly string[]
}

/**
 * Looks for damage in the data of a backend, also while it runs: in the database, missing files of messages, and files without a
 * message.
 *
 * @param repair whether files without a message are removed
 * @throws AdministrationError when there is no data, FileStorageError when S3 does not respond
 */
export async function checkData(
  location: DataLocation,
  repair = false,
  now = Date.now(),
): Promise<DataCheck> {
  const problems = await checkDatabase(location)
  if (problems.length > 0) return { problems, repaired: [] }
  return withFiles(location, async (store, storage) => {
    const damaged = await findDamaged(store.reader, storage)
    if (damaged.length > 0) return { problems: damaged, repaired: [] }
    const orphans = await findOrphans(store.reader, storage, now - settledMs)
    if (!repair) return { problems: orphans.map(({ description }) => description), repaired: [] }
    for (const { token, hasRow } of orphans) {
      if (hasRow) await store.write((db) => deleteFile(db, token))
      await storage.remove(token)
    }
    return { problems: [], repaired: orphans.map(({ description }) => `${description}; it was removed`) }
  })
}

async function withFiles<T>(
  location: DataLocation,
  use: (store: Store, storage: FileStorage) => Promise<T>,
): Promise<T> {
  const store = await openStore(location.databaseUrl ?? join(location.dataDir, databaseName))
  try {
    const storage = await openFileStorage(location)
    return await use(store, storage).finally(() => storage.close())
  } finally {
    await store.close()
  }
}

/** What is wrong in a database file. PostgreSQL checks its own data. */
async function checkDatabase({ dataDir, databaseUrl }: DataLocation): Promise<string[]> {
  if (databaseUrl !== undefined) return []
  await requireData(dataDir)
  try {
    return checkSqlite(join(dataDir, databaseName))
  } catch (error) {
    return [(error as Error).message]
  }
}

/** Files of the database that are missing, or of another length. */
async function findDamaged(db: Database, storage: FileStorage): Promise<string[]> {
  // In this order: a file is stored before its row.
  const rows = await listFiles(db)
  const sizes = new Map<string, number>()
  for await (const { token, byteSize } of storage.list()) sizes.set(token, byteSize)
  const problems: string[] = []
  for (const { token, file_name: name, file_size: size } of rows) {
    if (sizes.get(token) === size) continue
    // Its message may have been deleted meanwhile.
    if ((await findFile(db, token)) === undefined) continue
    const found = await storage.sizeOf(token)
    if (found === undefined) problems.push(`The file "${name}" (${token}) is missing`)
    else if (found !== size) problems.push(`The file "${name}" (${token}) has ${found} bytes, not ${size}`)
  }
  return problems
}

interface Orphan {
  readonly token: string
  readonly hasRow: boolean
  readonly description: string
}

/** A file that is younger may belong to a message that is being sent. */
const settledMs = 10 * 60_000

/** Files without a message: a crash left them while a message was sent, or their message was deleted. */
async function findOrphans(db: Database, storage: FileStorage, before: number): Promise<Orphan[]> {
  // Messages are read after files and rows, so the message of each of them is found.
  const stored = new Set<string>()
  for await (const { token, storedAt } of storage.list()) if (storedAt < before) stored.add(token)
  const rows = await listFiles(db)
  const named = await namedFiles(db)
  const thumbnails = new Set(
    rows.filter(({ token }) => named.has(token)).flatMap(({ thumbnail }) => thumbnail ?? []),
  )
  const isNamed = (token: string) => named.has(token) || thumbnails.has(token)
  const known = new Set(rows.map(({ token }) => token))
  return [
    ...[...stored]
      .filter((token) => !known.has(token))
      .map((token) => ({ token, hasRow: false, description: `The file ${token} belongs to no message` })),
    ...rows
      .filter(({ token, created_at: at }) => at < before && !isNamed(token))
      .map(({ token, file_name: name }) => ({
        token,
        hasRow: true,
        description: `The file "${name}" (${token}) belongs to no message`,
      })),
  ]
}

/** Copies everything except the database with its log, and files. */
async function copyRest(from: string, to: string): Promise<void> {
  const isOther = (path: string) => {
    const inFiles = relative(join(from, 'files'), path)
    return inFiles === '' || inFiles.startsWith('..') || inFiles === 'signing-key'
  }
  for (const name of await readdir(from)) {
    if (name.startsWith(databaseName)) continue
    await cp(join(from, name), join(to, name), {
      recursive: true,
      preserveTimestamps: true,
      filter: isOther,
    })
  }
}

/** Copies files to the folder of files below `to`, without those that are there. A file that was deleted meanwhile is left out. */
async function copyFiles(storage: FileStorage, to: string): Promise<void> {
  const copies = await openFileStorage({ dataDir: to })
  const copier = await openFileCopier(to)
  try {
    await forEachFile(storage, async ({ token, byteSize }) => {
      if ((await copies.sizeOf(token)) === byteSize) return
      await copier.copy(token, storage, copies).catch((error: unknown) => {
        if (!(error instanceof FileMissingError)) throw error
      })
    })
  } finally {
    await copier.close()
  }
}

function requireFile(databaseUrl: string | undefined): void {
  if (databaseUrl !== undefined)
    throw new AdministrationError(
      'The database is not in DATA_DIR: copy it with pg_dump and pg_restore, and DATA_DIR after it',
    )
}

async function requireData(folder: string): Promise<void> {
  if ((await stat(join(folder, databaseName)).catch(() => undefined)) === undefined)
    throw new AdministrationError(`There is no data in "${folder}"`)
}

async function requireEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  if (names.length > 0) throw new AdministrationError(`"${folder}" is not empty; nothing is overwritten`)
}
