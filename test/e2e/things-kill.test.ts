import { test } from 'vitest'
import { killUnderLoad } from '../support/things-kill.ts'

/** How many times the process is killed; a long run is asked for with `KILLS=500`. */
const rounds = Number(process.env['KILLS'] ?? 8)

test(
  'a drop that was acknowledged is there once after SIGKILL, and so is its copy',
  () => killUnderLoad(rounds),
  rounds * 10_000,
)
