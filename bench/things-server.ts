/** The backend with the server of flowthings, and the account `alice`, in a process of its own. Ends with its standard input. */
import { defaultTraffic } from '../src/backend/http/traffic.ts'
import { createBackend } from '../src/backend/server.ts'

const [dataDir = '', demoToken] = process.argv.slice(2)
const unlimited = 1e9
const backend = await createBackend({
  ...{ host: '127.0.0.1', port: 0, dataDir, demoOrganization: false },
  things: { port: 0, demoAccount: 'alice', demoToken },
  traffic: { ...defaultTraffic, requestsPerMinute: unlimited, streamsPerPrincipal: unlimited },
  onError: console.error,
})
console.log(new URL(backend.things?.url ?? '').port)
process.stdin.on('data', () => {
  const { user, system } = process.cpuUsage()
  console.log(user + system)
})
process.stdin.on('end', () => void backend.close().then(() => process.exit(0)))
