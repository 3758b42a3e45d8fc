import { backend } from './backend.ts'
import { fanOut } from './fan-out.ts'
import { nested } from './nested.ts'

const benchmarks: Record<string, () => Promise<void>> = { nested, backend, 'fan-out': fanOut }

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  console.error(
    `There is no benchmark ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`,
  )
  process.exit(2)
}
for (const [name, run] of Object.entries(benchmarks))
  if (wanted.length === 0 || wanted.includes(name)) await run()
