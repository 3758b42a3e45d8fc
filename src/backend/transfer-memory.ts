import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const everyBytes = 8 * 1024 * 1024

/**
 * Keeps the memory of a long transfer small: hears how many bytes passed, and frees the buffers they came in. They
 * are young garbage, cheap to collect, but V8 alone lets some 60 MB of it pile up first.
 */
export function createTransferMemory(): (bytes: number) => void {
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
