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
  await first.promise
  const closed = running.close().then(
    () => 0,
    () => 1,
  )
  return Promise.race([closed, second.promise.then(() => 1)])
}
