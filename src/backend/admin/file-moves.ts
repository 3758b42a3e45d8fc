import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type FileCopier, forEachFile, openFileCopier } from '../file-copies.ts'
import {
  FileMissingError,
  type FileStorage,
  type MarkedStorage,
  markBeforeFiles,
  type StoredFile,
} from '../file-storage.ts'
import { openFileStorages } from '../files.ts'
import { privateFolderMode } from '../private-files.ts'
import { type Database, openStore } from '../store/db.ts'
import { findFile } from '../store/files.ts'
import { findDatabaseId } from '../store/identity.ts'
import { lockFile } from '../store/sqlite.ts'
import { AdministrationError, type DataLocation } from './administration.ts'

/** The storages of files, as in `FILE_STORAGE`. */
export type StorageName = 's3' | 'folder'

export interface FileMove {
  readonly moved: number
  readonly bytes: number
  /** Files that no row of the database names, which stay: they are being sent, or a crash left them. */
  readonly unnamed: number
  /** Damaged files, which stay, as sentences. */
  readonly problems: readonly string[]
}

/**
 * Moves all files of messages to the storage where servers store new ones, also while they run. Each is copied, the copy is read
 * back and compared, and only then the file is removed. A move that was interrupted continues when it is run again.
 *
 * Servers remove a file from both storages after they deleted its row. So a file whose row is there after it was copied is
 * removed by a server from both, and one without a row is removed here.
 *
 * @param onMoved receives the number of files that were moved so far
 * @throws AdministrationError when servers do not store new files there, or another process moves files
 * @throws FileStorageError when S3 fails; what was moved stays moved
 */
export async function moveFiles(
  location: DataLocation,
  to: StorageName,
  onMoved: (moved: number) => void = () => undefined,
): Promise<FileMove> {
  requireStorage(location, to)
  const directory = join(location.dataDir, 'files')
  await mkdir(directory, { recursive: true, mode: privateFolderMode })
  const store = await openStore(location.databaseUrl ?? join(location.dataDir, 'flowdock.db'))
  try {
    // Two moves in opposite directions would each remove what the other one copied.
    const unlock = lockFile(join(directory, 'move-lock'))
    if (unlock === undefined) throw new AdministrationError('Another process moves files at the moment')
    const { forNewFiles, earlier } = await openFileStorages(location)
    const databaseId = await findDatabaseId(store.reader)
    const copier = await openFileCopier(location.dataDir)
    try {
      if (earlier === undefined) throw new AdministrationError('There is one storage of files only')
      const to = markBeforeFiles(forNewFiles, databaseId)
      return await moveAll({ db: store.reader, databaseId, from: earlier, to, copier }, onMoved)
    } finally {
      await copier.close()
      forNewFiles.close()
      earlier?.close()
      unlock()
    }
  } finally {
    await store.close()
  }
}

function requireStorage({ s3 }: DataLocation, to: StorageName): void {
  if (s3 === undefined)
    throw new AdministrationError('S3_URL is not set: files are moved between DATA_DIR and S3_URL')
  const present = s3.isForNewFiles === false ? 'folder' : 's3'
  if (present !== to)
    throw new AdministrationError(
      `FILE_STORAGE is "${present}", so servers store new files there: set it to "${to}" at the servers and here, then move the files`,
    )
}

interface Moving {
  readonly db: Database
  readonly databaseId: string
  readonly from: MarkedStorage
  readonly to: FileStorage
  readonly copier: FileCopier
}

async function moveAll(moving: Moving, onMoved: (moved: number) => void): Promise<FileMove> {
  const total = { moved: 0, bytes: 0 }
  for (;;) {
    const before = total.moved
    const unnamed: string[] = []
    const problems: string[] = []
    await forEachFile(moving.from, async (file) => {
      const outcome = await moveFile(moving, file)
      if (outcome === 'unnamed') unnamed.push(file.token)
      else if (outcome === 'moved') {
        // Files that belong to no message stay there, and are known by it as those of this database.
        if (total.moved === 0) await moving.from.mark(moving.databaseId)
        total.moved += 1
        total.bytes += file.byteSize
        onMoved(total.moved)
      } else if (outcome !== 'removed') problems.push(outcome.problem)
    })
    // A message may have been stored since with a file that had no row.
    if (total.moved === before) return { ...total, unnamed: unnamed.length, problems }
  }
}

async function moveFile(
  { db, from, to, copier }: Moving,
  { token, byteSize }: StoredFile,
): Promise<'moved' | 'removed' | 'unnamed' | { readonly problem: string }> {
  const row = await findFile(db, token)
  if (row === undefined) return 'unnamed'
  const { file_name: name, file_size: size } = row
  if (byteSize !== size)
    return { problem: `The file "${name}" (${token}) has ${byteSize} bytes, not ${size}` }
  const isCopied = await copier.copy(token, from, to).then(
    () => true,
    (error: unknown) => {
      if (error instanceof FileMissingError) return false
      throw error
    },
  )
  if ((await findFile(db, token)) === undefined) {
    await to.remove(token)
    await from.remove(token)
    return 'removed'
  }
  if (!isCopied) return { problem: `The file "${name}" (${token}) went missing while it was copied` }
  await from.remove(token)
  return 'moved'
}
