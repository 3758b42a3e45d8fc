import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createForcedCollection } from './forced-collection.ts'
import { privateFileMode, privateFolderMode } from './private-files.ts'

/** The contents of uploaded files, each under its token. */
export interface FileStore {
  /** Keeps the bytes and resolves with their token once they are on the disk. */
  put(bytes: Uint8Array): Promise<string>
  /**
   * Writes what comes to the disk as it comes. It is not there for anybody before `keep`.
   *
   * @throws FileTooLongError past `maxBytes`; nothing is left of it then
   */
  receive(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<ReceivedFile>
  /** Makes a received file one that lasts; resolves once that is on the disk. */
  keep(token: string): Promise<void>
  /** Removes a received file that was not kept. */
  discard(token: string): Promise<void>
  /** Removes a file, whether it was kept or only received. */
  remove(token: string): Promise<void>
  /** Where a received file is until it is kept. */
  receivedPath(token: string): string
  /** @param range both ends inclusive @throws `ENOENT` when reading begins and there is no such file */
  read(token: string, range?: { readonly start: number; readonly end: number }): Readable
  /** A query string that lets whoever has it download the file for a minute. */
  sign(token: string): string
  /** Whether a query made by `sign` is genuine and not too old. */
  verify(token: string, query: URLSearchParams): boolean
}

/** A file that came with a request. */
export interface ReceivedFile {
  readonly token: string
  readonly byteSize: number
  /** Its first bytes: what an image's size is read from. */
  readonly head: Uint8Array
}

export class FileTooLongError extends Error {
  override readonly name = 'FileTooLongError'
}

const headBytes = 128 * 1024
/** How long a signed address works. [flowdock] files.md calls it short-lived. */
const signatureLifetimeMs = 60_000

/**
 * Keeps files under `directory`, spread over 256 folders.
 *
 * @param options.keepIncoming beside a running server, whose files may be under way; else what a crash left is removed
 */
export async function openFileStore(
  directory: string,
  options: { keepIncoming?: boolean } = {},
): Promise<FileStore> {
  const incoming = join(directory, 'incoming')
  if (options.keepIncoming !== true) await rm(incoming, { recursive: true, force: true })
  await mkdir(incoming, { recursive: true, mode: privateFolderMode })
  const freeMemory = createForcedCollection()
  const key = await loadKey(join(directory, 'signing-key'))
  const pathOf = (token: string) => join(directory, token.slice(0, 2), token)
  const signature = (token: string, expires: string) =>
    createHmac('sha256', key).update(`${token} ${expires}`).digest()

  return {
    async put(bytes) {
      const token = randomBytes(16).toString('hex')
      const folder = join(directory, token.slice(0, 2))
      await mkdir(folder, { recursive: true, mode: privateFolderMode })
      const file = await open(pathOf(token), 'wx', privateFileMode)
      try {
        await file.writeFile(bytes)
        await file.sync()
      } catch (error) {
        await rm(pathOf(token), { force: true })
        throw error
      } finally {
        await file.close()
      }
      await syncFolder(folder)
      await syncFolder(directory)
      return token
    },
    async receive(bytes, maxBytes) {
      const token = randomBytes(16).toString('hex')
      const path = join(incoming, token)
      const head: Uint8Array[] = []
      let byteSize = 0
      const file = await open(path, 'wx', privateFileMode)
      try {
        for await (const chunk of bytes) {
          if (byteSize < headBytes) head.push(chunk)
          byteSize += chunk.length
          if (byteSize > maxBytes) throw new FileTooLongError(`The file is longer than ${maxBytes} bytes`)
          await file.write(chunk)
          freeMemory(chunk.length)
        }
        await file.sync()
      } catch (error) {
        await rm(path, { force: true })
        throw error
      } finally {
        await file.close()
      }
      return { token, byteSize, head: Buffer.concat(head).subarray(0, headBytes) }
    },
    async keep(token) {
      const folder = join(directory, token.slice(0, 2))
      await mkdir(folder, { recursive: true, mode: privateFolderMode })
      await rename(join(incoming, token), pathOf(token))
      await syncFolder(folder)
      await syncFolder(directory)
    },
    discard: (token) => rm(join(incoming, token), { force: true }),
    async remove(token) {
      await rm(join(incoming, token), { force: true })
      await rm(pathOf(token), { force: true })
    },
    receivedPath: (token) => join(incoming, token),
    read: (token, range) => createReadStream(pathOf(token), range),
    sign(token) {
      const expires = String(Date.now() + signatureLifetimeMs)
      return new URLSearchParams({
        expires,
        signature: signature(token, expires).toString('base64url'),
      }).toString()
    },
    verify(token, query) {
      const expires = query.get('expires') ?? ''
      const given = Buffer.from(query.get('signature') ?? '', 'base64url')
      const expected = signature(token, expires)
      return (
        given.length === expected.length && timingSafeEqual(given, expected) && Number(expires) > Date.now()
      )
    },
  }
}

async function loadKey(path: string): Promise<Buffer> {
  try {
    await writeFile(path, randomBytes(32), { flag: 'wx', mode: privateFileMode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFile(path)
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
