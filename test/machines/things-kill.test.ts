import { expect, onTestFinished, test } from 'vitest'
import { makeDatabase } from '../support/database.ts'
import { killUnderLoad } from '../support/things-kill.ts'

/** How many times the process is killed; a long run is asked for with `KILLS=500`. */
const rounds = Number(process.env['KILLS'] ?? 6)

test(
  'a drop that was acknowledged is in PostgreSQL once after SIGKILL, and so is its copy',
  async () => {
    const database = await makeDatabase()
    if (database === undefined) throw new Error('This test needs PostgreSQL')
    onTestFinished(database.drop)
    expect(database.url).toMatch(/^postgres:/)
    await killUnderLoad(rounds, database.url)
  },
  rounds * 15_000,
)
