import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppState } from '../app.ts'
import { operatorTokenFile } from '../operator-token.ts'
import { CommandError } from './command-error.ts'

/** Prints the streams and subscriptions of a gateway. The operator's token comes from METRICS_TOKEN or the data folder. */
export async function streams(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const asJson = args.includes('--json')
  const [url = 'http://127.0.0.1:4000'] = args.filter((arg) => !arg.startsWith('--'))
  let state: AppState
  try {
    const token = await findToken(new URL(url), environment)
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const response = await fetch(new URL('/streams', url), { headers })
    if (response.status === 401)
      throw new Error(
        `it refused the token; set METRICS_TOKEN to that of the gateway, or DATA_DIR to its data folder`,
      )
    if (!response.ok) throw new Error(`the response was ${response.status}`)
    state = (await response.json()) as AppState
  } catch (error) {
    const { message, cause } = error as Error
    throw new CommandError(
      `Cannot read the streams of the gateway at ${url}: ${cause instanceof Error ? cause.message : message}`,
    )
  }
  print(asJson ? JSON.stringify(state) : describe(state))
  return 0
}

/** The token of the data folder is only for a gateway on this machine. */
async function findToken(
  { hostname }: URL,
  { METRICS_TOKEN, DATA_DIR = './data' }: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (METRICS_TOKEN !== undefined && METRICS_TOKEN !== '') return METRICS_TOKEN
  if (!/^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)) return undefined
  return readFile(join(DATA_DIR, operatorTokenFile), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  )
}

function describe({
  sources,
  serviceStream,
  live,
  sockets,
  streamingResponses,
  waitingBytes,
}: AppState): string {
  const subscriptions = sources.reduce((sum, source) => sum + source.subscriptions, 0)
  const sharing = sources.length === 0 ? 0 : subscriptions / sources.length
  const lines = [
    `${sources.length} upstream streams for ${subscriptions} subscriptions (${sharing.toFixed(1)} each)`,
    `${live.operations} subscriptions in ${live.groups.length} groups, over ${sockets} sockets and ${streamingResponses} responses; ${waitingBytes} bytes wait for slow readers`,
  ]
  for (const source of sources) {
    const groups = live.groups.flatMap(({ sources }) => sources[source.key] ?? [])
    lines.push(
      '',
      `stream ${source.key.slice(0, 8)}  ${source.isOpen ? 'open' : 'opening'}  ${source.channels} flows, offset ${source.offset ?? '?'}, ${source.keptEvents} events in memory`,
      `  ${source.subscriptions} subscriptions, ${source.borrowers} of them borrowed; groups of ${groups.join(', ') || 'none'}`,
    )
    if (source.lastDisconnect !== null)
      lines.push(`  lost at ${source.lastDisconnect.at}: ${source.lastDisconnect.reason}`)
  }
  if (serviceStream !== null) {
    const { principals, readers, log, directory } = serviceStream
    lines.push(
      `  ${principals.held} principals, ${principals.proving + principals.waiting} waiting for proof; ${readers.waiting} subscriptions wait, ${readers.draining + readers.replaying} replay`,
      `  ${log.events} events in memory (${log.bytes} bytes), ${directory} flows and users in the directory`,
    )
  }
  return lines.join('\n')
}
