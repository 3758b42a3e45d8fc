import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** Frees what nobody can reach any more. */
export const collectGarbage = runInNewContext('gc') as () => void

/** What is in use once the rest is freed, in bytes. */
export function heapInUse(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
