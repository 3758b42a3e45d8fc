import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { forEachFile, openFileCopier } from '../file-copies.ts'
import { FileMissingError, type FileStorage, type MarkedStorage, nameOfMark } from '../file-storage.ts'
import { type FileStorages, joinStorages, openFileStorage, openFileStorages } from '../files.ts'
import { privateFolderMode, protectData } from '../private-files.ts'
import { type Database, openStore, type Store } from '../store/db.ts'
import { findLogPosition, replaceLogId } from '../store/events.ts'
import { deleteFile, findFile, listFiles } from '../store/files.ts'
import { findDatabaseId } from '../store/identity.ts'
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
    problems.push(
      ...(await withFiles(backup, ({ reader }, storages) => findDamaged(reader, joinStorages(storages)))),
    )
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
 * message. Where files of another database are, or may be, it lists and removes no files without a message.
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
  return withFiles(location, async (store, storages) => {
    const storage = joinStorages(storages)
    const databaseId = await findDatabaseId(store.reader)
    const damaged = [
      ...(await findOtherDatabases(location, storages, databaseId)),
      ...(await findDamaged(store.reader, storage)),
    ]
    if (damaged.length > 0) return { problems: damaged, repaired: [] }
    const orphans = await findOrphans(store.reader, storage, now - settledMs)
    const unclear =
      orphans.length === 0 ? [] : await findUnclear(location, storages, store.reader, databaseId)
    if (unclear.length > 0) return { problems: unclear, repaired: [] }
    if (!repair) return { problems: orphans.map(({ description }) => description), repaired: [] }
    for (const { token, hasRow } of orphans) {
      if (hasRow) await store.write((db) => deleteFile(db, token))
      await storage.remove(token)
    }
    return { problems: [], repaired: orphans.map(({ description }) => `${description}; it was removed`) }
  })
}

/** Sentences about other databases that have files where this one has its files. */
async function findOtherDatabases(
  { dataDir, databaseUrl }: DataLocation,
  storages: FileStorages,
  databaseId: string,
): Promise<string[]> {
  const problems: string[] = []
  for (const { place, listMarks } of listStorages(storages))
    for (const id of await listMarks())
      if (id !== databaseId)
        problems.push(
          `"${place}" has files of the database ${id}, and this is the database ${databaseId}: nothing is removed. ` +
            'Set DATABASE_URL, DATA_DIR and S3_URL that belong together. ' +
            `If the other database is gone, remove "${place}/${nameOfMark(id)}"`,
        )
  if (problems.length > 0 || databaseUrl === undefined) return problems
  // An earlier version did not mark the folder.
  if ((await hasDatabase(dataDir)) && (await hasFiles(storages.folder)))
    problems.push(
      `"${dataDir}" has a database of its own, ${databaseName}, and this is the database of DATABASE_URL: nothing is removed. ` +
        `Set a DATA_DIR that belongs to DATABASE_URL, or remove ${databaseName} if it is not in use`,
    )
  return problems
}

/** Sentences about places of files that may be those of another database: an earlier version did not mark them. */
async function findUnclear(
  { databaseUrl }: DataLocation,
  storages: FileStorages,
  db: Database,
  databaseId: string,
): Promise<string[]> {
  const rows = new Set((await listFiles(db)).map(({ token }) => token))
  const problems: string[] = []
  for (const storage of listStorages(storages)) {
    const isBesideDatabase = databaseUrl === undefined && storage === storages.folder
    if (isBesideDatabase || (await storage.listMarks()).includes(databaseId)) continue
    if ((await hasFiles(storage)) && !(await hasFiles(storage, (token) => rows.has(token))))
      problems.push(
        `This database names no file in "${storage.place}", so the files there may be those of another one: nothing is removed. ` +
          'If the settings are right, send a message with a file at a server with them, and try again',
      )
  }
  return problems
}

function listStorages({ forNewFiles, earlier }: FileStorages): MarkedStorage[] {
  return earlier === undefined ? [forNewFiles] : [forNewFiles, earlier]
}

async function hasFiles(storage: FileStorage, isWanted = (_token: string) => true): Promise<boolean> {
  for await (const { token } of storage.list()) if (isWanted(token)) return true
  return false
}

async function withFiles<T>(
  location: DataLocation,
  use: (store: Store, storages: FileStorages) => Promise<T>,
): Promise<T> {
  const store = await openStore(location.databaseUrl ?? join(location.dataDir, databaseName))
  try {
    const storages = await openFileStorages(location)
    return await use(store, storages).finally(() => joinStorages(storages).close())
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
  if (!(await hasDatabase(folder))) throw new AdministrationError(`There is no data in "${folder}"`)
}

async function hasDatabase(folder: string): Promise<boolean> {
  return (await stat(join(folder, databaseName)).catch(() => undefined)) !== undefined
}

async function requireEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  if (names.length > 0) throw new AdministrationError(`"${folder}" is not empty; nothing is overwritten`)
}
