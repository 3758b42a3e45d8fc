/**
 * Imported by a server whose memory is measured (`--expose-gc --import`): on SIGUSR2 it collects all garbage, and prints what is
 * left in its heap and outside of it.
 */
import { setTimeout } from 'node:timers/promises'

const collect = (globalThis as { gc?: (options: object) => void }).gc

process.on('SIGUSR2', async () => {
  // What is finalized by one collection is collected by the next.
  for (let times = 0; times < 3; times += 1) {
    collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    await setTimeout(50)
  }
  const { heapUsed, external } = process.memoryUsage()
  console.log(`collected ${heapUsed} ${external}`)
})
