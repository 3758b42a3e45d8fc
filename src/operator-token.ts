import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Secret } from './secret.ts'

/** The file in the data folder with the operator's token. */
export const operatorTokenFile = 'metrics-token'

/** The token of operators of the embedded backend. It is created if there is none. Only its owner can read the file. */
export async function keepOperatorToken(dataDir: string): Promise<Secret> {
  const path = join(dataDir, operatorTokenFile)
  try {
    await writeFile(path, `${randomBytes(24).toString('base64url')}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return new Secret((await readFile(path, 'utf8')).trim())
}
