import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createForcedCollection } from './forced-collection.ts'
import { privateFileMode, privateFolderMode } from './private-files.ts'

/** Files on this machine's disk that arrived with requests and may become those of messages. */
export interface ArrivingFiles {
  /** @throws FileTooLongError past `maxBytes`; nothing is left of it then */
  receive(bytes: AsyncIterable<Uint8Array>, maxBytes: number): Promise<ReceivedFile>
  pathOf(token: string): string
  discard(token: string): Promise<void>
  /** Removes what other processes left before that time. @param before in milliseconds */
  removeLeftovers(before: number): Promise<void>
  /** Removes all that is left of this process. */
  close(): Promise<void>
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

/**
 * Receives files in `directory/<instance>`, a folder of this process alone. Any number of processes may use `directory`.
 *
 * @param directory is created unless it is there, but not later: a process whose disk went away must notice
 */
export async function openArrivingFiles(directory: string): Promise<ArrivingFiles> {
  await mkdir(directory, { recursive: true, mode: privateFolderMode })
  const own = join(directory, randomBytes(16).toString('hex'))
  const freeMemory = createForcedCollection()
  return {
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
    pathOf: (token) => join(own, token),
    discard: (token) => rm(join(own, token), { force: true }),
    async removeLeftovers(before) {
      for (const entry of await readdir(directory, { withFileTypes: true })) {
        const path = join(directory, entry.name)
        if (entry.isDirectory()) await removeOldFolder(path, before)
        // An earlier version had no folders of processes.
        else await removeOldFile(path, before)
      }
    },
    close: () => rm(own, { recursive: true, force: true }),
  }
}

/** Creates a file, and its folder unless it is there. An unused folder may be removed by another process at any time. */
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

/** A folder is as old as its last change, so it is older than each file that was created in it since. */
async function removeOldFolder(path: string, before: number): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined || found.mtimeMs >= before) return
  for (const name of await readdir(path).catch(() => [])) await removeOldFile(join(path, name), before)
  await rmdir(path).catch((error: unknown) => {
    // A file was created in it meanwhile, or another process removed it.
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
