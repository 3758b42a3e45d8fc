import { FileStorageError } from '../files.ts'
import { HttpError } from './errors.ts'

/** [postgresql] error codes: out of disk, of memory, of connections, of time; read-only; locked; shut down, starting up. */
const postgresFull = '53100'
const postgresUnavailable = /^(08...|25006|25P03|53...|55P03|57014|57P0[123]|58...)$/
/** The system's error codes for a database that cannot be reached. */
const unreachable = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT'],
  ...['EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'ENOTFOUND', 'EAI_AGAIN'],
])

/** [sqlite] result codes: full; busy, locked, read-only, I/O error, cannot open. */
const sqliteFull = 13
const sqliteUnavailable = new Set([5, 6, 8, 10, 14])

/**
 * The response for a database, disk or storage of files that failed; undefined for any other error. A write that they refused
 * stored nothing: a change is one transaction, and an incomplete file is removed.
 */
export function storageError(error: unknown): HttpError | undefined {
  if (error instanceof FileStorageError)
    return new HttpError(503, { message: 'The file storage cannot be used at the moment' })
  const { code, errcode } = error as { code?: string; errcode?: number }
  const result = code === 'ERR_SQLITE_ERROR' && errcode !== undefined ? errcode & 0xff : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === postgresFull || result === sqliteFull)
    return new HttpError(507, { message: 'The disk is full; nothing was stored' })
  if (
    code === 'EROFS' ||
    code === 'EIO' ||
    unreachable.has(code ?? '') ||
    postgresUnavailable.test(code ?? '') ||
    (result !== undefined && sqliteUnavailable.has(result))
  )
    return new HttpError(503, {
      message: 'The storage cannot be used at the moment; nothing was stored',
    })
  return undefined
}

/** [postgresql] lock_not_available; [sqlite] result code busy. */
const locked: readonly unknown[] = ['55P03', 5]

/** Whether a change failed because another process was writing for too long. It can be tried again. */
export function isLocked(error: unknown): boolean {
  const { code, errcode } = error as { code?: string; errcode?: number }
  return locked.includes(code) || (code === 'ERR_SQLITE_ERROR' && locked.includes(errcode))
}
