import { join } from 'node:path'
import { type App, startApp } from '../app.ts'
import { type Config, readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'
import { runUntilStopped } from './run-until-stopped.ts'

/**
 * Runs the gateway until a signal stops it. Resolves with the exit code.
 *
 * @param isTerminal whether `print` writes to a terminal. Tokens are only printed there, because the output of a service is
 *   stored in a log
 */
export async function serve(
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
  isTerminal: boolean,
): Promise<number> {
  const config = readConfig(environment)
  return runUntilStopped(async () => {
    const app = await startApp(config, { demoHistory: true }).catch((error: unknown) => {
      throw explain(error, config.upstream.kind === 'embedded' ? config.upstream : undefined)
    })
    print(describe(app, config, isTerminal))
    return app
  })
}

function describe(app: App, config: Config, isTerminal: boolean): string {
  const page = `${app.url}/graphql${app.pageKey === null ? '' : `?key=${app.pageKey}`}`
  const key = app.pageKey === null ? '' : '; the key works once'
  const explore = config.exposure.graphiql ? `   (open it in a browser to explore${key})` : ''
  const lines = [
    '',
    `  GraphQL      ${page}${explore}`,
    `  Flowdock API ${app.restUrl}`,
    `  Streaming    ${app.streamUrl}/flows`,
    ...(app.things === null ? [] : [thingsLine(app.things)]),
  ]
  const token = describeToken(app, config, isTerminal)
  if (token !== undefined)
    lines.push(
      '',
      `  The organization "example" is there to try things with. ${token.where}`,
      '',
      `  curl -s -u ${token.argument} ${app.url}/graphql -H 'content-type: application/json' \\`,
      `    -d '{"query":"{ flows { nodes { path messages(first: 1) { nodes { author { name } ... on ChatMessage { content } } } } } }"}'`,
    )
  const thingsToken = describeThingsToken(app, config, isTerminal)
  if (thingsToken !== undefined) lines.push('', `  ${thingsToken}`)
  return `${lines.join('\n')}\n`
}

/** The line that says where the server of the flowthings API listens. */
export function thingsLine({ url }: { readonly url: string }): string {
  return `  flowthings   ${url}/v0.1/ACCOUNT`
}

/** How a developer gets the demo token. Undefined where other users may read the output. */
function describeToken(
  { demoToken }: App,
  { exposure, upstream }: Config,
  isTerminal: boolean,
): { readonly where: string; readonly argument: string } | undefined {
  if (demoToken === null || !exposure.isDevelopment || upstream.kind !== 'embedded') return undefined
  if (isTerminal) return { where: `Ada's token: ${demoToken}`, argument: `${demoToken}:` }
  if (upstream.demoToken !== undefined)
    return { where: "Ada's token is FLOWDOCK_DEMO_TOKEN.", argument: '"$FLOWDOCK_DEMO_TOKEN:"' }
  const path = join(upstream.dataDir, 'demo-token')
  return { where: `Ada's token is in ${path}.`, argument: `"$(cat '${path}'):"` }
}

/** How to get the master token of the demo account; undefined where other users than developers may read it. */
function describeThingsToken(
  { things }: App,
  { exposure, upstream }: Config,
  isTerminal: boolean,
): string | undefined {
  const { account, token } = things?.demo ?? { account: '', token: null }
  if (token === null || !exposure.isDevelopment || upstream.kind !== 'embedded') return undefined
  const of = `The master token of the account "${account}"`
  if (isTerminal) return `${of}: ${token}`
  if (upstream.things?.demoToken !== undefined) return `${of} is FLOWTHINGS_DEMO_TOKEN.`
  return `${of} is in ${join(upstream.dataDir, 'flowthings-token')}.`
}

/** Why the gateway does not start. */
export function explain(
  error: unknown,
  embedded: { dataDir: string; databaseUrl: unknown } | undefined,
): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    const address = message.slice(message.lastIndexOf(' ') + 1)
    return new CommandError(
      `Cannot listen on ${address}: the port is in use. Stop what uses it, or set PORT, BACKEND_PORT or FLOWTHINGS_PORT`,
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

/** Error codes of a refused, unknown or timed-out connection, and PostgreSQL's codes of five characters. */
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
