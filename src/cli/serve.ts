import { type App, startApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'
import { runUntilStopped } from './run-until-stopped.ts'

/** Runs the gateway until it is told to stop. Resolves with the exit code. */
export async function serve(environment: NodeJS.ProcessEnv, print: (text: string) => void): Promise<number> {
  const config = readConfig(environment)
  return runUntilStopped(async () => {
    const app = await startApp(config).catch((error: unknown) => {
      throw explain(error, config.upstream.kind === 'embedded' ? config.upstream : undefined)
    })
    print(describe(app))
    return app
  })
}

function describe(app: App): string {
  const lines = [
    '',
    `  GraphQL      ${app.url}/graphql   (open it in a browser to explore)`,
    `  Flowdock API ${app.restUrl}`,
    `  Streaming    ${app.streamUrl}/flows`,
  ]
  if (app.demoToken !== null)
    lines.push(
      '',
      `  The organization "example" is there to try things with. Ada's token: ${app.demoToken}`,
      '',
      `  curl -s -u ${app.demoToken}: ${app.url}/graphql -H 'content-type: application/json' \\`,
      `    -d '{"query":"{ flows { nodes { path messages(first: 1) { nodes { author { name } ... on ChatMessage { content } } } } } }"}'`,
    )
  return `${lines.join('\n')}\n`
}

/** What stands in the way of starting, in words. */
export function explain(
  error: unknown,
  embedded: { dataDir: string; databaseUrl: unknown } | undefined,
): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    const address = message.slice(message.lastIndexOf(' ') + 1)
    return new CommandError(
      `Cannot listen on ${address}: the port is in use. Stop what uses it, or set PORT or BACKEND_PORT`,
    )
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new CommandError(`Cannot listen: HOST is no address of this machine (${message})`)
  if (embedded?.databaseUrl !== undefined && isDatabaseError(code))
    return new CommandError(`Cannot reach the database of DATABASE_URL: ${message}`)
  if (embedded !== undefined && isStorageError(code, message))
    return new CommandError(`Cannot use DATA_DIR "${embedded.dataDir}": ${message}`)
  return error
}

/** Refused, unknown or timed out by the system; or one of PostgreSQL's codes of five characters. */
function isDatabaseError(code: string | undefined): boolean {
  return (
    /^(ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH)/.test(code ?? '') || /^[0-9A-Z]{5}$/.test(code ?? '')
  )
}

function isStorageError(code: string | undefined, message: string): boolean {
  return (
    ['EACCES', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC', 'EPERM', 'ENOENT', 'ERR_SQLITE_ERROR'].includes(
      code ?? '',
    ) || message.includes('database')
  )
}
