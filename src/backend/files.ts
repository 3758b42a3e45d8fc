import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type ArrivingFiles, openArrivingFiles } from './arriving-files.ts'
import {
  createFileSignatures,
  deriveSigningKey,
  type FileSignatures,
  loadSigningKey,
} from './file-signatures.ts'
import { type FileStorage, type MarkedStorage, markBeforeFiles } from './file-storage.ts'
import { withEarlierFiles } from './files-earlier.ts'
import { openFolderStorage } from './files-folder.ts'
import type { S3Location } from './files-s3.ts'

export { FileTooLongError, type ReceivedFile } from './arriving-files.ts'
export { FileMissingError, FileStorageError } from './file-storage.ts'

/** Stores the bytes of uploaded files, each under a token. */
export interface FileStore
  extends Pick<ArrivingFiles, 'receive' | 'discard'>,
    Pick<FileStorage, 'open' | 'sizeOf' | 'list'>,
    FileSignatures {
  /** Stores bytes. Resolves with their token when they are durable. */
  put(bytes: Uint8Array): Promise<string>
  /**
   * Stores a received file for good. Resolves when that is durable.
   *
   * @throws FileStorageError when it is not certain that the file is stored
   */
  keep(token: string): Promise<void>
  /** Removes a file, whether it was kept or only received. @throws FileStorageError */
  remove(token: string): Promise<void>
  /** The path of a received file until it is kept. */
  receivedPath(token: string): string
  /** Removes unfinished files that are a day old: the processes that received them have ended. */
  removeLeftovers(now: number): Promise<void>
  /** Removes the files that this process received and did not keep. */
  close(): Promise<void>
}

export interface FileLocation {
  readonly dataDir: string
  /** A storage of files at S3. By default all files are in `dataDir`. */
  readonly s3?: (S3Location & { readonly isForNewFiles?: boolean }) | undefined
  /** The keys that sign the URLs of files; by default a key in `dataDir`. The first one signs, and all are accepted. */
  readonly signingSecrets?: readonly string[]
}

/** No upload takes longer, so unfinished files that are older belong to ended processes. */
const leftoverMs = 24 * 3600_000

/**
 * The folder for files while they are received, also with S3. Only files that belong to a sent message are sent to S3.
 *
 * @param databaseId the database that marks the storage of new files
 */
export async function openFileStore(
  { dataDir, s3, signingSecrets = [] }: FileLocation,
  databaseId: string,
): Promise<FileStore> {
  const directory = join(dataDir, 'files')
  const arriving = await openArrivingFiles(join(directory, 'incoming'))
  const keys =
    signingSecrets.length > 0
      ? signingSecrets.map(deriveSigningKey)
      : [await loadSigningKey(join(directory, 'signing-key'))]
  const { forNewFiles, earlier } = await openFileStorages({ dataDir, s3 })
  const storage = joinStorages({ forNewFiles: markBeforeFiles(forNewFiles, databaseId), earlier })
  return createFileStore(arriving, storage, createFileSignatures(keys))
}

/** Opens the storage of files: new ones are stored in one place, and those of the other place can be read and removed. */
export async function openFileStorage(location: FileLocation): Promise<FileStorage> {
  return joinStorages(await openFileStorages(location))
}

export function joinStorages({
  forNewFiles,
  earlier,
}: Pick<FileStorages, 'forNewFiles' | 'earlier'>): FileStorage {
  return earlier === undefined ? forNewFiles : withEarlierFiles(forNewFiles, earlier)
}

/** The storage of new files, and the one that may have files of before. */
export interface FileStorages {
  readonly forNewFiles: MarkedStorage
  readonly earlier: MarkedStorage | undefined
  /** The one of them in `dataDir`. */
  readonly folder: MarkedStorage
}

/** Opens both storages. The client of S3 is only loaded when it is used. */
export async function openFileStorages({ dataDir, s3 }: FileLocation): Promise<FileStorages> {
  const folder = openFolderStorage(join(dataDir, 'files'))
  if (s3 === undefined) return { forNewFiles: folder, earlier: undefined, folder }
  const { openS3Storage } = await import('./files-s3.ts')
  const atS3 = openS3Storage(s3)
  return s3.isForNewFiles === false
    ? { forNewFiles: folder, earlier: atS3, folder }
    : { forNewFiles: atS3, earlier: folder, folder }
}

function createFileStore(
  arriving: ArrivingFiles,
  storage: FileStorage,
  signatures: FileSignatures,
): FileStore {
  async function keep(token: string): Promise<void> {
    await storage.keep(token, arriving.pathOf(token))
    await arriving.discard(token)
  }

  return {
    ...signatures,
    receive: arriving.receive,
    discard: arriving.discard,
    receivedPath: arriving.pathOf,
    open: storage.open,
    sizeOf: storage.sizeOf,
    list: storage.list,
    keep,
    async put(bytes) {
      const { token } = await arriving.receive(Readable.from([bytes]), bytes.length)
      await keep(token)
      return token
    },
    async remove(token) {
      await arriving.discard(token)
      await storage.remove(token)
    },
    async removeLeftovers(now) {
      await arriving.removeLeftovers(now - leftoverMs)
      await storage.removeUnfinished(now - leftoverMs)
    },
    async close() {
      await arriving.close()
      storage.close()
    },
  }
}
