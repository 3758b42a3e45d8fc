import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createForcedCollection } from './forced-collection.ts'
import { privateFileMode, privateFolderMode } from './private-files.ts'

/** Stores the bytes of uploaded files, each under a token. */
export interface FileStore {
  /** Stores bytes. Resolves with their token when they are on the disk. */
  put(bytes: Uint8Array): Promise<string>
  /**
   * Writes a file to the disk as it arrives. It can be read only after `keep`.
   *
   * @throws FileTooLongError past `maxBytes`; then nothing stays on the disk
   */
  receive(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<ReceivedFile>
  /** Stores a received file for good. Resolves when that is on the disk. */
  keep(token: string): Promise<void>
  /** Removes a received file that was not kept. */
  discard(token: string): Promise<void>
  /** Removes a file, whether it was kept or only received. */
  remove(token: string): Promise<void>
  /** The path of a received file until it is kept. */
  receivedPath(token: string): string
  /** @param range both ends inclusive @throws `ENOENT` when reading begins and there is no such file */
  read(token: string, range?: { readonly start: number; readonly end: number }): Readable
  /** Removes unfinished files that are a day old: the processes that received them have ended. */
  removeLeftovers(now: number): Promise<void>
  /** Removes the files that this process received and did not keep. */
  close(): Promise<void>
  /** A query string with which a file can be downloaded for a minute, without a credential. */
  sign(token: string): string
  /** Whether a query made by `sign` is genuine and not too old. */
  verify(token: string, query: URLSearchParams): boolean
}

/** A file that came with a request. */
export interface ReceivedFile {
  readonly token: string
  readonly byteSize: number
  /** Its first bytes, from which the size of an image is read. */
  readonly head: Uint8Array
}

export class FileTooLongError extends Error {
  override readonly name = 'FileTooLongError'
}

const headBytes = 128 * 1024
/** How long a signed URL works. [flowdock] files.md calls it short-lived. */
const signatureLifetimeMs = 60_000
const signingKeyBytes = 32

/** No upload takes this long: the process that received an older file has ended. */
const leftoverMs = 24 * 3600_000

/**
 * Stores files in 256 folders of `directory`. A file that arrives is in `incoming/<instance>` until it is kept. That folder
 * belongs to this process alone, so several processes can use `directory`.
 */
export async function openFileStore(directory: string): Promise<FileStore> {
  const incoming = join(directory, 'incoming')
  const own = join(incoming, randomBytes(16).toString('hex'))
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
      const path = join(own, token)
      const head: Uint8Array[] = []
      let byteSize = 0
      const file = await createIn(own, path)
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
      await rename(join(own, token), pathOf(token))
      await syncFolder(folder)
      await syncFolder(directory)
    },
    discard: (token) => rm(join(own, token), { force: true }),
    async remove(token) {
      await rm(join(own, token), { force: true })
      await rm(pathOf(token), { force: true })
    },
    receivedPath: (token) => join(own, token),
    read: (token, range) => createReadStream(pathOf(token), range),
    async removeLeftovers(now) {
      for (const entry of await readdir(incoming, { withFileTypes: true })) {
        const path = join(incoming, entry.name)
        if (entry.isDirectory()) await removeOldFolder(path, now - leftoverMs)
        else await removeOldFile(path, now - leftoverMs)
      }
    },
    close: () => rm(own, { recursive: true, force: true }),
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

/** Creates a file, and its folder if it is missing. Another process may remove an unused folder at any time. */
async function createIn(folder: string, path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await open(path, 'wx', privateFileMode)
    } catch (error) {
      if (attempt === 3 || !hasCode(error, 'ENOENT')) throw error
    }
    await mkdir(folder, privateFolderMode).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error
    })
  }
}

/** Removes a folder that has not changed since `before`. So no file was created in it since then. */
async function removeOldFolder(path: string, before: number): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined || found.mtimeMs >= before) return
  for (const name of await readdir(path).catch(() => [])) await removeOldFile(join(path, name), before)
  await rmdir(path).catch((error: unknown) => {
    // Meanwhile a file was created in it, or another process removed it.
    if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'ENOENT')) throw error
  })
}

async function removeOldFile(path: string, before: number): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found !== undefined && found.mtimeMs < before) await rm(path, { force: true })
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code
}

/** Reads the key. The first process that starts creates it, in one step. */
async function loadKey(path: string): Promise<Buffer> {
  const unfinished = `${path}.${randomBytes(8).toString('hex')}`
  try {
    await writeFile(unfinished, randomBytes(signingKeyBytes), { flag: 'wx', mode: privateFileMode })
    await link(unfinished, path)
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
  } finally {
    await rm(unfinished, { force: true })
  }
  const key = await readFile(path)
  if (key.length !== signingKeyBytes) throw new Error(`"${path}" is damaged; remove it, and start again`)
  return key
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
