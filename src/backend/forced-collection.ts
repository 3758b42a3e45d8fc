import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const everyBytes = 8 * 1024 * 1024

/**
 * Bounds the memory of a long transfer: the returned function takes the number of bytes that passed, and runs a minor garbage
 * collection after every 8 MiB. Without it, V8 first collects about 60 MB of unused buffers.
 */
export function createForcedCollection(): (bytes: number) => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void
  let passed = 0
  return (bytes) => {
    passed += bytes
    if (passed < everyBytes) return
    passed = 0
    collect({ type: 'minor' })
  }
}
