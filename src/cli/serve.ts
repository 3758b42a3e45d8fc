import { type App, startApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'
import { runUntilStopped } from './run-until-stopped.ts'

/** Runs the gateway until it is told to stop. Resolves with the exit code. */
export async function serve(environment: NodeJS.ProcessEnv, print: (text: string) => void): Promise<number> {
  const config = readConfig(environment)
  return runUntilStopped(async () => {
    const app = await startApp(config).catch((error: unknown) => {
      throw explain(error, config.upstream.kind === 'embedded' ? config.upstream.dataDir : undefined)
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
      `    -d '{"query":"{ flows { path messages(first: 1) { nodes { author { name } ... on ChatMessage { content } } } } }"}'`,
    )
  return `${lines.join('\n')}\n`
}

/** What stands in the way of starting, in words. */
export function explain(error: unknown, dataDir: string | undefined): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    const [address] = /[^ ]+$/.exec(message) ?? []
    return new CommandError(
      `Cannot listen on ${address}: the port is in use. Stop what uses it, or set PORT or BACKEND_PORT`,
    )
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new CommandError(`Cannot listen: HOST is no address of this machine (${message})`)
  if (dataDir !== undefined && isStorageError(code, message))
    return new CommandError(`Cannot use DATA_DIR "${dataDir}": ${message}`)
  return error
}

function isStorageError(code: string | undefined, message: string): boolean {
  return (
    ['EACCES', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC', 'EPERM', 'ENOENT', 'ERR_SQLITE_ERROR'].includes(
      code ?? '',
    ) || message.includes('database')
  )
}
