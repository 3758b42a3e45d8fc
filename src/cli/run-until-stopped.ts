import { setFlagsFromString } from 'node:v8'

/**
 * Runs a server until SIGTERM or SIGINT. The first signal stops it in order, a second one at once. A signal during the start is
 * not lost.
 *
 * @returns the exit code
 */
export async function runUntilStopped(start: () => Promise<{ close(): Promise<void> }>): Promise<number> {
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  let signals = 0
  const onSignal = () => {
    signals += 1
    if (signals === 1) first.resolve()
    else second.resolve()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)

  const running = await start()
  // After a burst of requests, V8 allocates the objects of requests in its old space for ever. They are garbage soon, but everything they
  // refer to stays until the next full collection, and each request takes half as long again. The flag is set after the start,
  // because V8 refuses compiled code of other flags: that of the modules of Node.js, which is in its binary, and that of other commands.
  setFlagsFromString('--no-allocation-site-pretenuring')
  await first.promise
  const closed = running.close().then(
    () => 0,
    () => 1,
  )
  return Promise.race([closed, second.promise.then(() => 1)])
}
