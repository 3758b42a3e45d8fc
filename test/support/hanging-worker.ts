import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'

/* The thread of a backend that hangs as soon as it listens. One that is started after it works. */

const { dataDir } = workerData as { dataDir: string }
const mark = join(dataDir, 'has-hung')

if (existsSync(mark)) await import('../../src/backend/worker.ts')
else {
  writeFileSync(mark, '')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  parentPort?.postMessage({
    type: 'listening',
    url: `http://127.0.0.1:${port}`,
    demoToken: null,
    things: null,
  })
  // Blocks the thread for good, without work for the processor.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
