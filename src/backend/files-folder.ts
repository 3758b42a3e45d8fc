import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  databaseOfMark,
  FileMissingError,
  fileTokenPattern,
  type MarkedStorage,
  nameOfMark,
} from './file-storage.ts'
import { privateFileMode, privateFolderMode } from './private-files.ts'

/**
 * Stores files in 256 subfolders of a folder.
 *
 * @param directory must be on the file system of the received files, because these are moved with `rename`
 */
export function openFolderStorage(directory: string): MarkedStorage {
  const pathOf = (token: string) => join(directory, token.slice(0, 2), token)
  return {
    place: directory,
    async mark(databaseId) {
      const file = await open(join(directory, nameOfMark(databaseId)), 'a', privateFileMode)
      await file.sync().finally(() => file.close())
      await syncFolder(directory)
    },
    async listMarks() {
      const names = await readdir(directory).catch((error: unknown) => {
        if (isMissing(error)) return []
        throw error
      })
      return names.flatMap((name) => databaseOfMark(name) ?? [])
    },
    async keep(token, path) {
      const folder = join(directory, token.slice(0, 2))
      await mkdir(folder, { recursive: true, mode: privateFolderMode })
      await rename(path, pathOf(token))
      await syncFolder(folder)
      await syncFolder(directory)
    },
    async open(token, range) {
      const file = await open(pathOf(token)).catch((error: unknown) => {
        if (isMissing(error)) throw new FileMissingError(`The file ${token} is missing`, { cause: error })
        throw error
      })
      return file.createReadStream(range)
    },
    remove: (token) => rm(pathOf(token), { force: true }),
    async sizeOf(token) {
      return (await statOf(pathOf(token)))?.size
    },
    async *list() {
      for (const folder of await readdir(directory).catch(() => [])) {
        if (!/^[0-9a-f]{2}$/.test(folder)) continue
        for (const token of await readdir(join(directory, folder))) {
          if (!fileTokenPattern.test(token)) continue
          const found = await statOf(pathOf(token))
          if (found !== undefined) yield { token, byteSize: found.size, storedAt: found.mtimeMs }
        }
      }
    },
    // The file gets its name only when it is complete.
    removeUnfinished: async () => undefined,
    close: () => undefined,
  }
}

async function statOf(path: string): Promise<{ size: number; mtimeMs: number } | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
