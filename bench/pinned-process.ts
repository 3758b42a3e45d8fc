import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

export interface Running {
  readonly port: number
  readonly pid: number
  /** What it has printed so far. */
  output(): string
  close(): Promise<void>
}

export const hasTaskset = spawnSync('taskset', ['-V']).status === 0

/** @param cores the first one unless given, so that the clients of the server have the other */
export async function startPinned(
  script: string,
  args: string[],
  env: Record<string, string>,
  ready: RegExp,
  nodeFlags: readonly string[] = [],
  cores = '0',
): Promise<Running> {
  const command = [process.execPath, ...nodeFlags, resolve(import.meta.dirname, script), ...args]
  const [file = '', ...rest] = hasTaskset ? ['taskset', '-c', cores, ...command] : command
  const child: ChildProcess = spawn(file, rest, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!ready.test(output)) if (child.stdout) await once(child.stdout, 'data')
  return {
    port: Number(ready.exec(output)?.[1]),
    pid: child.pid ?? 0,
    output: () => output,
    async close() {
      if (child.exitCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

/** The gateway in front of an upstream. */
export function startPinnedGateway(
  upstreamUrl: string,
  settings: Record<string, string> = {},
  nodeFlags: readonly string[] = [],
  script = '../src/main.ts',
): Promise<Running> {
  return startPinned(
    script,
    ['serve'],
    { PORT: '0', FLOWDOCK_API_URL: upstreamUrl, LOG_LEVEL: 'error', ...unlimited, ...settings },
    /GraphQL +http:\/\/[^:]+:(\d+)/,
    nodeFlags,
  )
}

/** Seconds on a core so far. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export function memoryKiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** Settings of a gateway that counts nobody: a load generator is one caller at one address. */
export const unlimited = {
  CALLS_PER_MINUTE: '0',
  REQUESTS_PER_MINUTE: '0',
  REQUESTS_PER_MINUTE_PER_IP: '0',
  MAX_CONNECTIONS_PER_PRINCIPAL: '0',
  MAX_CONNECTIONS_PER_IP: '0',
  MAX_TCP_CONNECTIONS: '0',
  MAX_TCP_CONNECTIONS_PER_IP: '0',
} as const
