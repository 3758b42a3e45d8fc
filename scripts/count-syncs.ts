/**
 * Shows that a message is on the disk before it is acknowledged: runs the backend under strace, sends messages one after
 * another, and counts the syncs. Ends with 1 when there were fewer syncs than messages. Needs strace (Linux).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const messages = 50
const folder = mkdtempSync(join(tmpdir(), 'flowdock-gateway-syncs-'))
const trace = join(folder, 'trace')
const token = '0123456789abcdef'.repeat(2)
const main = join(import.meta.dirname, '../src/main.ts')

const child = spawn(
  'strace',
  ['-f', '-e', 'trace=fsync,fdatasync', '-o', trace, process.execPath, main, 'backend'],
  {
    env: {
      PATH: process.env['PATH'] ?? '',
      BACKEND_PORT: '0',
      DATA_DIR: join(folder, 'data'),
      FLOWDOCK_DEMO_TOKEN: token,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  },
)
let output = ''
child.stdout.setEncoding('utf8').on('data', (text: string) => {
  output += text
})
while (!/Streaming/.test(output)) await once(child.stdout, 'data')
const url = /Flowdock API (http:\S+)/.exec(output)?.[1]

/** Calls that have returned so far. */
const syncs = () => readFileSync(trace, 'utf8').match(/(fsync|fdatasync)(\(| resumed).*= 0$/gm)?.length ?? 0

let early = 0
for (let index = 0; index < messages; index += 1) {
  const before = syncs()
  const response = await fetch(`${url}/flows/example/main/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'message', content: `message ${index}` }),
  })
  if (response.status !== 201) throw new Error(`Expected 201, got ${response.status}`)
  if (syncs() === before) early += 1
}
console.log(`${messages} messages, ${early} of them acknowledged before a sync`)

// strace leaves what it traces running when it is ended itself; it ends with it.
const traced = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
process.kill(Number(traced), 'SIGTERM')
await once(child, 'close')
rmSync(folder, { recursive: true, force: true })
process.exit(early === 0 ? 0 : 1)
