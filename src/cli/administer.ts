import { readFile } from 'node:fs/promises'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { type Administration, type Entry, openAdministration } from '../backend/admin/administration.ts'
import { dataLocation, readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'
import { readSecret } from './read-secret.ts'

type Options = Readonly<Record<string, string | boolean | undefined>>

interface Action {
  /** The arguments of the command, as the help shows them. */
  readonly usage: string
  readonly run: (
    administration: Administration,
    options: Options,
    readSecret: (prompt: string) => Promise<string>,
  ) => Promise<Entry | Entry[]>
}

/** The commands that administer a backend, by noun and verb. They work while the server runs. */
export const nouns: Readonly<Record<string, Readonly<Record<string, Action>>>> = {
  org: {
    add: {
      usage: '--name NAME [--slug SLUG]',
      run: (administration, options) =>
        administration.addOrganization(need(options, 'name'), text(options, 'slug')),
    },
    list: { usage: '', run: (administration) => administration.listOrganizations() },
    remove: {
      usage: '--slug SLUG',
      run: (administration, options) => administration.removeOrganization(need(options, 'slug')),
    },
  },
  user: {
    add: {
      usage: '--nick NICK --name NAME --email EMAIL --org SLUG [--password-stdin] [--id N] [--admin]',
      run: async (administration, options, readSecret) =>
        administration.addUser({
          nick: need(options, 'nick'),
          name: need(options, 'name'),
          email: need(options, 'email'),
          organization: need(options, 'org'),
          password: options['password-stdin'] === true ? await readSecret('Password: ') : undefined,
          id: number(options, 'id'),
          admin: options['admin'] === true,
        }),
    },
    list: { usage: '', run: (administration) => administration.listUsers() },
    edit: {
      usage: '--user EMAIL [--email EMAIL] [--nick NICK] [--name NAME] [--avatar FILE|none]',
      run: async (administration, options) => {
        const changes = Object.fromEntries(
          ['email', 'nick', 'name'].flatMap((name) => {
            const value = text(options, name)
            return value === undefined ? [] : [[name, value]]
          }),
        )
        const user = need(options, 'user')
        const avatar = text(options, 'avatar')
        if (Object.keys(changes).length === 0 && avatar === undefined)
          throw new CommandError('Expected --email, --nick, --name or --avatar: nothing would change')
        const pictured =
          avatar === undefined ? {} : await administration.setAvatar(user, await readPicture(avatar))
        return Object.keys(changes).length === 0 ? pictured : administration.editUser(user, changes)
      },
    },
    remove: {
      usage: '--email EMAIL',
      run: (administration, options) => administration.removeUser(need(options, 'email')),
    },
  },
  token: {
    add: {
      usage: '--user EMAIL [--token TOKEN]',
      run: (administration, options) =>
        administration.addToken(need(options, 'user'), text(options, 'token')),
    },
    list: {
      usage: '--user EMAIL',
      run: (administration, options) => administration.listTokens(need(options, 'user')),
    },
    remove: {
      usage: '--user EMAIL --id ID',
      run: (administration, options) =>
        administration.removeToken(need(options, 'user'), need(options, 'id')),
    },
  },
  flow: {
    add: {
      usage: '--org SLUG --name NAME [--slug SLUG]',
      run: (administration, options) =>
        administration.addFlow(need(options, 'org'), need(options, 'name'), text(options, 'slug')),
    },
    list: { usage: '', run: (administration) => administration.listFlows() },
    remove: {
      usage: '--flow ORG/FLOW',
      run: (administration, options) => administration.removeFlow(need(options, 'flow')),
    },
    'rotate-token': {
      usage: '--flow ORG/FLOW [--token TOKEN]',
      run: (administration, options) =>
        administration.rotatePushToken(need(options, 'flow'), text(options, 'token')),
    },
    join: {
      usage: '--flow ORG/FLOW --user EMAIL',
      run: (administration, options) =>
        administration.addFlowUser(need(options, 'flow'), need(options, 'user')),
    },
  },
  source: {
    add: {
      usage: '--flow ORG/FLOW --name NAME [--token TOKEN]',
      run: (administration, options) =>
        administration.addSource(need(options, 'flow'), need(options, 'name'), text(options, 'token')),
    },
    list: {
      usage: '--flow ORG/FLOW',
      run: (administration, options) => administration.listSources(need(options, 'flow')),
    },
    remove: {
      usage: '--id N',
      run: (administration, options) => administration.removeSource(number(options, 'id') ?? missing('id')),
    },
  },
  invite: {
    add: {
      usage: '--flow ORG/FLOW --email EMAIL',
      run: (administration, options) =>
        administration.addInvitation(need(options, 'flow'), need(options, 'email')),
    },
    list: {
      usage: '--flow ORG/FLOW',
      run: (administration, options) => administration.listInvitations(need(options, 'flow')),
    },
    remove: {
      usage: '--id N',
      run: (administration, options) =>
        administration.removeInvitation(number(options, 'id') ?? missing('id')),
    },
  },
  account: {
    add: {
      usage: '--name NAME [--token TOKEN]',
      run: (administration, options) =>
        administration.addAccount(need(options, 'name'), text(options, 'token')),
    },
    list: { usage: '', run: (administration) => administration.listAccounts() },
    token: {
      usage: '--name NAME [--token TOKEN]',
      run: (administration, options) =>
        administration.replaceMasterToken(need(options, 'name'), text(options, 'token')),
    },
  },
  app: {
    add: {
      usage: '--name NAME --redirect-uri URL --user EMAIL',
      run: (administration, options) =>
        administration.addApplication(
          need(options, 'name'),
          need(options, 'redirect-uri'),
          need(options, 'user'),
        ),
    },
    list: { usage: '', run: (administration) => administration.listApplications() },
    remove: {
      usage: '--id N',
      run: (administration, options) =>
        administration.removeApplication(number(options, 'id') ?? missing('id')),
    },
  },
}

const flags = {
  json: { type: 'boolean' },
  admin: { type: 'boolean' },
  'password-stdin': { type: 'boolean' },
  ...Object.fromEntries(
    ['name', 'slug', 'nick', 'email', 'id', 'org', 'user', 'flow', 'redirect-uri', 'token', 'avatar'].map(
      (name) => [name, { type: 'string' }],
    ),
  ),
} satisfies ParseArgsConfig['options']

/** The lines of the help for these commands. */
export function administrationUsage(): string {
  return Object.entries(nouns)
    .flatMap(([noun, verbs]) =>
      Object.entries(verbs).map(([verb, { usage }]) => `  ${noun} ${verb} ${usage}`.trimEnd()),
    )
    .join('\n')
}

/**
 * Runs `NOUN VERB --option …` on the data of the embedded backend.
 *
 * @throws CommandError when the command fails
 */
export async function administer(
  noun: string,
  [verb = '', ...args]: readonly string[],
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const action = nouns[noun]?.[verb]
  if (action === undefined)
    throw new CommandError(
      `Expected "${noun}" to be followed by ${Object.keys(nouns[noun] ?? {}).join(', ')}; got "${verb}"`,
    )
  if (args.some((arg) => arg === '--password' || arg.startsWith('--password=')))
    throw new CommandError(
      'A password on the command line is seen by other users of this machine and kept in the history of the shell; ' +
        'use --password-stdin, which reads it from a file or pipe, or asks for it on a terminal',
    )
  const options = readOptions(`${noun} ${verb} ${action.usage}`, args)
  const { upstream } = readConfig(environment)
  if (upstream.kind === 'remote')
    throw new CommandError('FLOWDOCK_API_URL names another backend; unset it to administer the embedded one')
  const administration = await openAdministration(dataLocation(upstream))
  try {
    const result = await action.run(administration, options, (prompt) =>
      readSecret(process.stdin, process.stderr, prompt),
    )
    print(options['json'] === true ? JSON.stringify(result) : describe(result))
    return 0
  } catch (error) {
    throw (error as Error).name === 'AdministrationError' ? new CommandError((error as Error).message) : error
  } finally {
    await administration.close()
  }
}

function readOptions(usage: string, args: readonly string[]): Options {
  try {
    return parseArgs({ args: [...args], options: flags }).values as Options
  } catch (error) {
    throw new CommandError(`${(error as Error).message}\nUsage: flowdock-gateway ${usage}`)
  }
}

/** A list as one line for each entry, an object as lines of `name: value`. */
function describe(result: Entry | Entry[]): string {
  if (!Array.isArray(result))
    return Object.entries(result)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n')
  const [first] = result
  if (first === undefined) return '(none)'
  const names = Object.keys(first)
  const rows = [names, ...result.map((entry) => names.map((name) => String(entry[name])))]
  const widths = names.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** @returns undefined for "none" */
async function readPicture(path: string): Promise<Uint8Array | undefined> {
  if (path === 'none') return undefined
  try {
    return await readFile(path)
  } catch (error) {
    throw new CommandError(`"${path}" cannot be read: ${(error as Error).message}`)
  }
}

function text(options: Options, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}

function need(options: Options, name: string): string {
  return text(options, name) ?? missing(name)
}

function missing(name: string): never {
  throw new CommandError(`--${name} is missing`)
}

function number(options: Options, name: string): number | undefined {
  const value = text(options, name)
  if (value === undefined) return undefined
  if (!/^[1-9]\d{0,14}$/.test(value))
    throw new CommandError(`Expected --${name} to be a number, got "${value}"`)
  return Number(value)
}
