import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export const root = join(import.meta.dirname, '../..')

export interface RunningProcess {
  readonly child: ChildProcess
  /** All it printed so far. */
  readonly output: { stdout: string; stderr: string }
  /** Resolves with what standard output holds once it matches; rejects when the process ends first. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>
}

/**
 * Runs a program of the project in a process of its own, which ends with the test.
 *
 * @param input what stands on its standard input; nothing unless given
 */
export function run(
  args: readonly string[],
  environment: Record<string, string> = {},
  input?: string,
): RunningProcess {
  return start(process.execPath, args, environment, input)
}

/** Runs one command of a shell, in place of the shell. */
export function runShell(command: string, environment: Record<string, string> = {}): RunningProcess {
  return start('sh', ['-c', `exec ${command}`], environment)
}

function start(
  program: string,
  args: readonly string[],
  environment: Record<string, string>,
  input?: string,
): RunningProcess {
  const { PATH = '', NODE_COMPILE_CACHE } = process.env
  const child = spawn(program, [...args], {
    cwd: root,
    env: { PATH, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }), ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // A program that reads nothing may be gone before it is written to.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return {
    child,
    output,
    exited,
    async until(pattern) {
      for (;;) {
        const match = pattern.exec(output.stdout)
        if (match !== null) return match
        const ended = await Promise.race([
          once(child.stdout, 'data').then(() => false),
          exited.then(() => true),
        ])
        if (ended) throw new Error(`It ended before it printed ${pattern}: ${output.stdout}${output.stderr}`)
      }
    },
  }
}

export interface RunningGateway extends RunningProcess {
  readonly url: string
  readonly restUrl: string
  readonly streamUrl: string
  /** Ada's. */
  readonly token: string
  /** The page as the terminal names it. */
  readonly pageUrl: string
}

/** The token of Ada, whom only the owner of the data folder can be. */
export async function readDemoToken(dataDir: string): Promise<string> {
  return (await readFile(join(dataDir, 'demo-token'), 'utf8')).trim()
}

/** Runs the backend alone, on a free port. */
export async function runBackend(dataDir: string): Promise<RunningProcess & { url: string; token: string }> {
  const token = '0123456789abcdef'.repeat(2)
  const environment = { BACKEND_PORT: '0', DATA_DIR: dataDir, FLOWDOCK_DEMO_TOKEN: token }
  const running = run(['src/main.ts', 'backend'], environment)
  const [, url = ''] = await running.until(/Flowdock API (http:\S+)/)
  return { ...running, url, token }
}

/** Runs the gateway as `npm start` does, on free ports. */
export async function runGateway(
  dataDir: string,
  settings: Record<string, string> = {},
): Promise<RunningGateway> {
  const running = run(['src/main.ts', 'serve'], {
    ...{ PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir },
    ...settings,
  })
  const [, url = ''] = await running.until(/GraphQL +(http:\S+)\/graphql/)
  const [, restUrl = ''] = await running.until(/Flowdock API (http:\S+)/)
  const [, streamUrl = ''] = await running.until(/Streaming +(http:\S+)/)
  const [, pageUrl = ''] = await running.until(/GraphQL +(http:\S+)/)
  const token = settings['FLOWDOCK_DEMO_TOKEN'] ?? (await readDemoToken(dataDir))
  return { ...running, url, restUrl, streamUrl, token, pageUrl }
}
