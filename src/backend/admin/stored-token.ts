import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { privateFileMode } from '../private-files.ts'

/** A file of the data folder with a token that is copied from there. */
export interface StoredToken {
  /** Stores a new token. The one that an interrupted first start stored is used again. */
  make(create: () => string): Promise<string>
  /** Undefined when there is no file. */
  read(): Promise<string | undefined>
  /** Removes the file if it has this token, which is not valid any more. */
  remove(token: string): Promise<void>
}

export function storedToken(dataDir: string, name: string): StoredToken {
  const path = join(dataDir, name)

  async function read(): Promise<string | undefined> {
    try {
      return (await readFile(path, 'utf8')).trim()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  return {
    async make(create) {
      const token = create()
      try {
        await writeFile(path, token, { flag: 'wx', mode: privateFileMode })
        return token
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        return (await read()) ?? token
      }
    },
    read,
    async remove(token) {
      if ((await read()) === token) await rm(path, { force: true })
    },
  }
}
