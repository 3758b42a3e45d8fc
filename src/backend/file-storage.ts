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
