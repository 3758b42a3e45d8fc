import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { privateFolderMode, protectData } from '../private-files.ts'
import { type Database, openStore } from '../store/db.ts'
import { deleteFile, listFiles } from '../store/files.ts'
import { namedFiles } from '../store/messages.ts'
import { backupSqlite, checkSqlite } from '../store/sqlite.ts'
import { AdministrationError, type DataLocation } from './administration.ts'

const databaseName = 'flowdock.db'

/**
 * Copies the data of a backend, also while it runs, to a folder that is empty or does not exist. The database is copied before
 * the files: a file is stored before a message names it, so none is missing.
 *
 * @throws AdministrationError when there is no data, or the folder is not empty
 */
export async function backupData({ dataDir, databaseUrl }: DataLocation, to: string): Promise<void> {
  requireFile(databaseUrl)
  await requireData(dataDir)
  await requireEmpty(to)
  await mkdir(to, { recursive: true, mode: privateFolderMode })
  await backupSqlite(join(dataDir, databaseName), join(to, databaseName))
  await copyRest(dataDir, to)
  await protectData(to)
}

/**
 * Restores a backup to a folder without data.
 *
 * @throws AdministrationError when there is data already, or the folder is not a backup, or it is damaged
 */
export async function restoreData(from: string, { dataDir, databaseUrl }: DataLocation): Promise<void> {
  requireFile(databaseUrl)
  await requireData(from)
  await requireEmpty(dataDir)
  // Files without a message are harmless: `check` finds them in the restored data.
  const problems = await checkDamage({ dataDir: from, databaseUrl: undefined })
  if (problems.length > 0) throw new AdministrationError(`The backup is damaged: ${problems.join('; ')}`)
  await mkdir(dataDir, { recursive: true, mode: privateFolderMode })
  await backupSqlite(join(from, databaseName), join(dataDir, databaseName))
  await copyRest(from, dataDir)
  await protectData(dataDir)
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
 * @throws AdministrationError when there is no data
 */
export async function checkData(location: DataLocation, repair = false): Promise<DataCheck> {
  const problems = await checkDamage(location)
  if (problems.length > 0) return { problems, repaired: [] }
  const { dataDir, databaseUrl } = location
  const store = await openStore(databaseUrl ?? join(dataDir, databaseName))
  try {
    const orphans = await findOrphans(store.reader, dataDir)
    if (!repair) return { problems: orphans.map(({ description }) => description), repaired: [] }
    for (const { token, hasRow } of orphans) {
      if (hasRow) await store.write((db) => deleteFile(db, token))
      await rm(pathOfFile(dataDir, token), { force: true })
    }
    return { problems: [], repaired: orphans.map(({ description }) => `${description}; it was removed`) }
  } finally {
    await store.close()
  }
}

async function checkDamage({ dataDir, databaseUrl }: DataLocation): Promise<string[]> {
  let problems: string[] = []
  // PostgreSQL checks its own data. The files are checked here.
  if (databaseUrl === undefined) {
    await requireData(dataDir)
    try {
      problems = checkSqlite(join(dataDir, databaseName))
    } catch (error) {
      return [(error as Error).message]
    }
  }
  if (problems.length > 0) return problems
  const store = await openStore(databaseUrl ?? join(dataDir, databaseName))
  try {
    for (const { token, file_name: name, file_size: size } of await listFiles(store.reader)) {
      const found = await stat(pathOfFile(dataDir, token)).catch(() => undefined)
      if (found === undefined) problems.push(`The file "${name}" (${token}) is missing`)
      else if (found.size !== size)
        problems.push(`The file "${name}" (${token}) has ${found.size} bytes, not ${size}`)
    }
    return problems
  } finally {
    await store.close()
  }
}

interface Orphan {
  readonly token: string
  readonly hasRow: boolean
  readonly description: string
}

/** A file that is younger may belong to a message that is being sent. */
const settledMs = 10 * 60_000

/** Files without a message: a crash left them while a message was sent, or their message was deleted. */
async function findOrphans(db: Database, dataDir: string): Promise<Orphan[]> {
  const before = Date.now() - settledMs
  // Messages are read after files and rows, so the message of each of them is found.
  const onDisk = await listFileTokens(dataDir, before)
  const rows = await listFiles(db)
  const named = await namedFiles(db)
  const thumbnails = new Set(
    rows.filter(({ token }) => named.has(token)).flatMap(({ thumbnail }) => thumbnail ?? []),
  )
  const isNamed = (token: string) => named.has(token) || thumbnails.has(token)
  const known = new Set(rows.map(({ token }) => token))
  return [
    ...onDisk
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

async function listFileTokens(dataDir: string, before: number): Promise<string[]> {
  const tokens: string[] = []
  const files = join(dataDir, 'files')
  for (const folder of await readdir(files).catch(() => [])) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue
    for (const token of await readdir(join(files, folder))) {
      if (!/^[0-9a-f]{32}$/.test(token)) continue
      const found = await stat(join(files, folder, token)).catch(() => undefined)
      if (found !== undefined && found.mtimeMs < before) tokens.push(token)
    }
  }
  return tokens
}

function pathOfFile(dataDir: string, token: string): string {
  return join(dataDir, 'files', token.slice(0, 2), token)
}

/** Everything except the database with its log, and files that are still arriving. */
async function copyRest(from: string, to: string): Promise<void> {
  const unfinished = join(resolve(from), 'files', 'incoming')
  for (const name of await readdir(from)) {
    if (name.startsWith(databaseName)) continue
    await cp(join(from, name), join(to, name), {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => resolve(path) !== unfinished,
    })
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
