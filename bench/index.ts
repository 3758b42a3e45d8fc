import { attackAll } from './attacks.ts'
import { backend } from './backend.ts'
import { brokers } from './brokers.ts'
import { measureDropFanOut } from './drop-fan-out.ts'
import { measureDrops } from './drops.ts'
import { fanOut } from './fan-out.ts'
import { measureFilters } from './filter.ts'
import { measureFinds } from './finds.ts'
import { idle } from './idle.ts'
import { machines } from './machines.ts'
import { manyPeople } from './many-people.ts'
import { nested } from './nested.ts'
import { overload } from './overload.ts'
import { drawPlots } from './plots.ts'
import { profile } from './profile.ts'
import { measureQueries } from './queries.ts'
import { measureReads } from './reads.ts'
import { slowReaders } from './slow-readers.ts'
import { soak } from './soak.ts'
import { stack } from './stack.ts'
import { start } from './start.ts'
import { upgrade } from './upgrade.ts'

const benchmarks: Record<string, () => Promise<void>> = {
  attacks: attackAll,
  nested,
  backend,
  brokers,
  'fan-out': fanOut,
  idle,
  machines,
  'many-people': manyPeople,
  drops: measureDrops,
  'drop-fan-out': measureDropFanOut,
  filter: measureFilters,
  finds: measureFinds,
  queries: measureQueries,
  profile,
  reads: measureReads,
  overload,
  start,
  'slow-readers': slowReaders,
  stack,
  upgrade,
  soak,
  plots: drawPlots,
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  console.error(
    `There is no benchmark ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`,
  )
  process.exit(2)
}
// One takes its time, the other measures nothing: they have to be asked for.
for (const [name, run] of Object.entries(benchmarks))
  if (wanted.length === 0 ? !['soak', 'plots', 'upgrade'].includes(name) : wanted.includes(name)) await run()
