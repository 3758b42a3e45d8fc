import { z } from 'zod'
import { Secret } from './secret.ts'

export interface Config {
  readonly host: string
  readonly port: number
  readonly logLevel: LogLevel
  /** Calls to the upstream that one principal may cause in a minute; 0 for any number. */
  readonly callsPerMinute: number
  readonly upstream:
    | {
        readonly kind: 'embedded'
        readonly host: string
        readonly port: number
        readonly dataDir: string
        /** Undefined: one is made and kept on first start. */
        readonly demoToken: string | undefined
        /** The address people reach the backend at; undefined: the one each request named. */
        readonly publicUrl: string | undefined
        /** Where the database is if not in `dataDir`; it has a password in it. */
        readonly databaseUrl: Secret | undefined
        /** How long streams can be resumed for. */
        readonly eventRetentionDays: number
        /** Whether actions of threads may be delivered to addresses of this machine and its network. */
        readonly privateActionTargets: boolean
      }
    | { readonly kind: 'remote'; readonly restUrl: string; readonly streamUrl: string }
}

export type LogLevel = (typeof logLevels)[number]

/** A setting as `docs/configuration.md` lists it. */
export interface Setting {
  readonly name: string
  /** As it reads in the environment; undefined when there is none. */
  readonly default: string | undefined
}

/** Everything wrong with the settings, in one message that names each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'

  constructor(problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  }
}

const logLevels = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const

const port = z
  .string()
  .refine((text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535, 'expected a port from 0 to 65535')
  .transform(Number)

const address = z
  .string()
  .refine(
    (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
    'expected an http or https address',
  )
  .transform((text) => text.replace(/\/+$/, ''))

const settings = {
  HOST: z.string().min(1, 'expected a host name or address').default('127.0.0.1'),
  PORT: port.default(4000),
  BACKEND_PORT: port.default(4001),
  BACKEND_URL: address.optional(),
  DATA_DIR: z.string().min(1, 'expected a folder').default('./data'),
  FLOWDOCK_API_URL: address.optional(),
  FLOWDOCK_STREAM_URL: address.optional(),
  FLOWDOCK_DEMO_TOKEN: z
    .string()
    .regex(/^[0-9a-f]{32}$/, 'expected 32 hexadecimal digits in lower case')
    .optional(),
  DATABASE_URL: z
    .string()
    .refine(
      (text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text),
      'expected an address such as postgres://user:password@host/database',
    )
    .transform((text) => new Secret(text))
    .optional(),
  EVENT_RETENTION_DAYS: z
    .string()
    .refine((text) => /^\d{1,5}$/.test(text) && Number(text) > 0, 'expected a number of days, 1 or more')
    .transform(Number)
    .default(30),
  ACTION_TARGETS: z.enum(['public', 'any'], 'expected "public" or "any"').default('public'),
  CALLS_PER_MINUTE: z
    .string()
    .refine((text) => /^\d{1,7}$/.test(text), 'expected a number of calls, 0 for no limit')
    .transform(Number)
    .default(6000),
  LOG_LEVEL: z.enum(logLevels, `expected one of ${logLevels.join(', ')}`).default('info'),
}

/** The settings there are, in the order they are documented. */
export const settingList: readonly Setting[] = Object.entries(settings).map(([name, schema]) => {
  const fallback: unknown = schema.safeParse(undefined).data
  return { name, default: fallback === undefined ? undefined : String(fallback) }
})

/** Settings that only make sense with the embedded backend. */
const embeddedOnly = [
  'BACKEND_PORT',
  'BACKEND_URL',
  'DATA_DIR',
  'FLOWDOCK_DEMO_TOKEN',
  'DATABASE_URL',
  'EVENT_RETENTION_DAYS',
  'ACTION_TARGETS',
] as const
/** Settings of features this version does not have: going on without them would surprise. */
const unsupported = ['REDIS_URL'] as const
/** Settings whose values are not shown. */
const secret = /TOKEN$|^DATABASE_URL$/

/**
 * Reads the settings from an environment. Blank ones count as not given.
 *
 * @throws ConfigError naming everything that is wrong
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const problems: string[] = []
  const parsed = z.object(settings).safeParse(given)
  for (const { path, message } of parsed.error?.issues ?? []) {
    const name = String(path[0])
    problems.push(`${name}${secret.test(name) ? '' : `=${JSON.stringify(given[name])}`}: ${message}`)
  }
  for (const name of Object.keys(given))
    if (/^(FLOWDOCK|BACKEND)_/.test(name) && !(name in settings))
      problems.push(`${name}: there is no such setting`)
  for (const name of unsupported)
    if (name in given) problems.push(`${name}: not supported by this version; unset it`)
  if ('FLOWDOCK_API_URL' in given) {
    for (const name of embeddedOnly)
      if (name in given) problems.push(`${name}: has no effect with FLOWDOCK_API_URL; unset one of the two`)
  } else if ('FLOWDOCK_STREAM_URL' in given) {
    problems.push('FLOWDOCK_STREAM_URL: needs FLOWDOCK_API_URL')
  } else if (
    parsed.data !== undefined &&
    parsed.data.PORT === parsed.data.BACKEND_PORT &&
    parsed.data.PORT !== 0
  ) {
    problems.push(`BACKEND_PORT=${parsed.data.BACKEND_PORT}: is the same as PORT`)
  }
  if (parsed.data === undefined || problems.length > 0) throw new ConfigError(problems)
  const { HOST, PORT, LOG_LEVEL, CALLS_PER_MINUTE } = parsed.data
  return Object.freeze({
    host: HOST,
    port: PORT,
    logLevel: LOG_LEVEL,
    callsPerMinute: CALLS_PER_MINUTE,
    upstream: readUpstream(parsed.data),
  })
}

function readUpstream(values: z.infer<z.ZodObject<typeof settings>>): Config['upstream'] {
  const { FLOWDOCK_API_URL: restUrl } = values
  if (restUrl === undefined)
    return {
      kind: 'embedded',
      host: values.HOST,
      port: values.BACKEND_PORT,
      publicUrl: values.BACKEND_URL,
      dataDir: values.DATA_DIR,
      demoToken: values.FLOWDOCK_DEMO_TOKEN,
      databaseUrl: values.DATABASE_URL,
      eventRetentionDays: values.EVENT_RETENTION_DAYS,
      privateActionTargets: values.ACTION_TARGETS === 'any',
    }
  return {
    kind: 'remote',
    restUrl,
    // Clients write the address with and without the path of the one resource it has.
    streamUrl: (values.FLOWDOCK_STREAM_URL ?? streamUrlOf(restUrl)).replace(/\/flows$/, ''),
  }
}

/** `api.` and `stream.` are neighbours on the service; everything else serves both from one host. */
function streamUrlOf(restUrl: string): string {
  const url = new URL(restUrl)
  if (!url.hostname.startsWith('api.')) return `${restUrl}/stream`
  url.hostname = url.hostname.replace(/^api\./, 'stream.')
  return url.href.replace(/\/+$/, '')
}
