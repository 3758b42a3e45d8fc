import { Session } from 'node:inspector'

/**
 * How many functions, branches and rounds of loops this thread executes while something is done. It is a measure of work that
 * a busy machine does not change. Nothing is optimized meanwhile, so it takes longer than usual.
 */
export async function countSteps(work: () => Promise<unknown>): Promise<number> {
  const session = new Session()
  session.connect()
  try {
    session.post('Profiler.enable')
    session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
    await work()
    let steps = 0
    session.post('Profiler.takePreciseCoverage', (error, coverage) => {
      if (error !== null) throw error
      for (const { functions } of coverage.result)
        for (const { ranges } of functions) for (const { count } of ranges) steps += count
    })
    return steps
  } finally {
    session.disconnect()
  }
}
