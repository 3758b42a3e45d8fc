import type { Readable } from 'node:stream'

/** Where the contents of files are for good, each under its token. All backends of a database use the same. */
export interface FileStorage {
  /**
   * Stores the file at `path`, which may be gone from there afterwards. Resolves once it is durable.
   *
   * @throws FileStorageError when that is not known; a part of the file is never stored
   */
  keep(token: string, path: string): Promise<void>
  /**
   * Begins to read a file.
   *
   * @throws FileMissingError, FileStorageError
   */
  open(token: string, range?: ByteRange): Promise<Readable>
  /** Removes a file, if it is there. @throws FileStorageError */
  remove(token: string): Promise<void>
  /** In bytes; undefined for a file that is not there. @throws FileStorageError */
  sizeOf(token: string): Promise<number | undefined>
  /** All files, in any order. Fails with a FileStorageError. */
  list(): AsyncIterable<StoredFile>
  /** Removes unfinished files that were begun before that time. @param before in milliseconds */
  removeUnfinished(before: number): Promise<void>
  close(): void
}

/** One place of files. It is marked with the ids of the databases that store files in it. */
export interface MarkedStorage extends FileStorage {
  /** The path or the URL. */
  readonly place: string
  /** Marks the place. Resolves once that is durable. @throws FileStorageError */
  mark(databaseId: string): Promise<void>
  /** The ids of the databases that marked it. @throws FileStorageError */
  listMarks(): Promise<string[]>
}

/** The name of a mark. No file has such a token, and no prefix at S3 such a name, because a prefix ends in a slash. */
export function nameOfMark(databaseId: string): string {
  return `database-${databaseId}`
}

/** The database that a mark is of; undefined for another name. */
export function databaseOfMark(name: string): string | undefined {
  return /^database-([0-9a-f]{32})$/.exec(name)?.[1]
}

/** Marks the storage with a database before the first file is stored in it. */
export function markBeforeFiles(storage: MarkedStorage, databaseId: string): MarkedStorage {
  let marking: Promise<void> | undefined
  return {
    ...storage,
    async keep(token, path) {
      marking ??= storage.mark(databaseId).catch((error: unknown) => {
        // The next file tries again.
        marking = undefined
        throw error
      })
      await marking
      await storage.keep(token, path)
    },
  }
}

/** Both ends inclusive. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface StoredFile {
  readonly token: string
  readonly byteSize: number
  /** When it was stored, in milliseconds. */
  readonly storedAt: number
}

export class FileMissingError extends Error {
  override readonly name = 'FileMissingError'
}

/** The storage refused or did not respond; the cause says why. */
export class FileStorageError extends Error {
  override readonly name = 'FileStorageError'
}

/** A token of 32 hexadecimal digits: nothing else is a file. */
export const fileTokenPattern = /^[0-9a-f]{32}$/
