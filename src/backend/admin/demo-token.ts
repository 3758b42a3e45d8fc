import { makeToken } from '../flowdock/auth.ts'
import { storedToken } from './stored-token.ts'

/* The file from which users copy the demo token. */

const name = 'demo-token'

/** Stores a token, or returns the one that an interrupted first start stored. */
export function makeStoredToken(dataDir: string): Promise<string> {
  return storedToken(dataDir, name).make(makeToken)
}

/** Undefined when there is no file. */
export function readStoredToken(dataDir: string): Promise<string | undefined> {
  return storedToken(dataDir, name).read()
}

/** Removes the file if it has this token, which is not valid any more. */
export function removeStoredToken(dataDir: string, token: string): Promise<void> {
  return storedToken(dataDir, name).remove(token)
}
