import { test } from 'vitest'
import { killWhileRulesRun } from '../support/rules-kill.ts'

/** How many times the process is killed; a long run is asked for with `KILLS`, 6 at most. */
const rounds = Math.min(Number(process.env['KILLS'] ?? 2), 6)

test(
  'after SIGKILL, each acknowledged drop is one activity, and each tagged message one drop',
  () => killWhileRulesRun(rounds),
  rounds * 15_000,
)
