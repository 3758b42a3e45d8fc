import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryKiB } from './pinned-process.ts'

const rounds = Number(process.env['ROUNDS'] ?? 9)
const root = join(import.meta.dirname, '..')

/** The least a gateway on Node can be: a server, and the client of an upstream. */
const bare = `
import { createServer } from 'node:http'
import ${JSON.stringify(join(root, 'node_modules/undici/index.js'))}
createServer((request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end('{"data":{"__typename":"Query"}}')
}).listen(Number(process.env.PORT), '127.0.0.1')
`

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** From the start of the process to its first answer, and what it takes up when it idles. */
async function measure(script: string): Promise<{ ms: number; mebibytes: number }> {
  const port = await freePort()
  const begun = performance.now()
  const child: ChildProcess = spawn(process.execPath, [script], {
    env: {
      ...{ PATH: process.env['PATH'] ?? '', PORT: String(port), LOG_LEVEL: 'error' },
      ...{ FLOWDOCK_API_URL: 'http://127.0.0.1:9', NODE_ENV: 'production' },
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{ __typename }"}',
    }).catch(() => undefined)
    if (answer?.ok) {
      await answer.text()
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const ms = performance.now() - begun
  await new Promise((resolve) => setTimeout(resolve, 300))
  const mebibytes = memoryKiB(child.pid ?? 0) / 1024
  // Compiled code is written at the end of a process, for the next start.
  child.kill('SIGTERM')
  await once(child, 'close')
  return { ms, mebibytes }
}

/** How soon a start is over: the gateway alone, in front of an upstream, as it is published and as it is written. */
export async function start(): Promise<void> {
  execFileSync('node', ['scripts/build.ts'], { cwd: root, stdio: 'inherit' })
  const script = join(tmpdir(), `flowdock-gateway-bare-${process.pid}.mjs`)
  writeFileSync(script, bare)
  const contenders: [string, string, { ms: number; mebibytes: number }[]][] = [
    ['node:http and undici, nothing else', script, []],
    ['the gateway, as published', join(root, 'dist/main.js'), []],
    ['the gateway, from its source', join(root, 'src/main.ts'), []],
  ]
  for (let round = 0; round < rounds; round += 1)
    for (const [, file, results] of contenders) results.push(await measure(file))
  const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1] ?? 0
  const [least] = contenders.map(([, , results]) => median(results.map(({ ms }) => ms)))
  console.log('\nFrom the start of the process to its first answer\n')
  console.log('| | first answer | of the least | memory when idle |\n|---|---:|---:|---:|')
  for (const [name, , results] of contenders) {
    const ms = median(results.map((result) => result.ms))
    console.log(
      `| ${name} | ${ms.toFixed(0)} ms | ${(ms / (least ?? 1)).toFixed(1)} × | ${median(results.map(({ mebibytes }) => mebibytes)).toFixed(0)} MiB |`,
    )
  }
}
