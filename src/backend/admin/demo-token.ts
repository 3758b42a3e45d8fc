import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeToken } from '../flowdock/auth.ts'
import { privateFileMode } from '../private-files.ts'

/* The file from which users copy the demo token. */

/** Stores a token, or returns the one that an interrupted first start stored. */
export async function makeStoredToken(dataDir: string): Promise<string> {
  const token = makeToken()
  try {
    await writeFile(pathIn(dataDir), token, { flag: 'wx', mode: privateFileMode })
    return token
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readStoredToken(dataDir)) ?? token
  }
}

/** Undefined when there is no file. */
export async function readStoredToken(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(pathIn(dataDir), 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Removes the file if it has this token, which is not valid any more. */
export async function removeStoredToken(dataDir: string, token: string): Promise<void> {
  if ((await readStoredToken(dataDir)) === token) await rm(pathIn(dataDir), { force: true })
}

function pathIn(dataDir: string): string {
  return join(dataDir, 'demo-token')
}
