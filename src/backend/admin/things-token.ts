import { type StoredToken, storedToken } from './stored-token.ts'

/** The file from which users copy the master token of the demo account of flowthings. */
export function storedThingsToken(dataDir: string): StoredToken {
  return storedToken(dataDir, 'flowthings-token')
}
