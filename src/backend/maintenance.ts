import { cp, mkdir, readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { AdministrationError, type DataLocation } from './administration.ts'
import { openStore } from './store/db.ts'
import { backupSqlite, checkSqlite } from './store/sqlite.ts'

const databaseName = 'flowdock.db'

/**
 * Copies the data of a backend, which may be running, into a folder that is empty or not there. The database comes
 * first and the files after it: every file is on the disk before a message names it, so none is missing.
 *
 * @throws AdministrationError when there is nothing to copy, or something where it should go
 */
export async function backupData({ dataDir, databaseUrl }: DataLocation, to: string): Promise<void> {
  requireFile(databaseUrl)
  await requireData(dataDir)
  await requireEmpty(to)
  await mkdir(to, { recursive: true })
  await backupSqlite(join(dataDir, databaseName), join(to, databaseName))
  await copyRest(dataDir, to)
}

/**
 * Puts a backup in place of data that is not there.
 *
 * @throws AdministrationError when there is data already, or the backup is none or damaged
 */
export async function restoreData(from: string, { dataDir, databaseUrl }: DataLocation): Promise<void> {
  requireFile(databaseUrl)
  await requireData(from)
  await requireEmpty(dataDir)
  const problems = await checkData({ dataDir: from, databaseUrl: undefined })
  if (problems.length > 0) throw new AdministrationError(`The backup is damaged: ${problems.join('; ')}`)
  await mkdir(dataDir, { recursive: true })
  await backupSqlite(join(from, databaseName), join(dataDir, databaseName))
  await copyRest(from, dataDir)
}

/**
 * What is wrong with the data of a backend, which may be running: the database itself, and files that messages name.
 *
 * @throws AdministrationError when there is none
 */
export async function checkData({ dataDir, databaseUrl }: DataLocation): Promise<string[]> {
  let problems: string[] = []
  // PostgreSQL looks after itself; what it says of files is checked all the same.
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
    const files = await store.reader.selectFrom('files').select(['token', 'file_name', 'file_size']).execute()
    for (const { token, file_name: name, file_size: size } of files) {
      const found = await stat(join(dataDir, 'files', token.slice(0, 2), token)).catch(() => undefined)
      if (found === undefined) problems.push(`The file "${name}" (${token}) is missing`)
      else if (found.size !== size)
        problems.push(`The file "${name}" (${token}) has ${found.size} bytes, not ${size}`)
    }
    return problems
  } finally {
    await store.close()
  }
}

/** Everything but the database and what SQLite keeps beside it, and files that have not arrived yet. */
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
