import * as z from 'zod/mini'
import { Secret } from './secret.ts'

export interface Config {
  readonly host: string
  readonly port: number
  readonly logLevel: LogLevel
  /** The most calls to the upstream that one principal may cause in a minute; 0 for no limit. */
  readonly callsPerMinute: number
  /** The file with the trusted documents, if there is one. Other documents are refused. */
  readonly trustedDocuments?: string | undefined
  /** The greatest age of a cached response in milliseconds; 0 turns the response cache off. */
  readonly responseCacheMs: number
  readonly shutdown: Shutdown
  readonly exposure: Exposure
  readonly protection: Protection
  /** The URL that traces are sent to. Undefined when there are none. */
  readonly tracing: { readonly endpoint: string; readonly serviceName: string } | undefined
  /** Where other gateways of the same upstream reach this one; undefined where they do not. */
  readonly internalUrl?: string | undefined
  /** What tickets in URLs are sealed with: the first seals, all open. Empty: each process has a key of its own. */
  readonly ticketKeys: readonly Secret[]
  /** The flowthings upstream; undefined for the embedded one, if it runs. */
  readonly flowthings?:
    | {
        /** The URL of its REST API with its version. */
        readonly restUrl: string
        /** The URL that its WebSocket sessions are made at. */
        readonly sessionUrl: string
      }
    | undefined
  readonly upstream:
    | {
        readonly kind: 'embedded'
        readonly host: string
        readonly port: number
        readonly dataDir: string
        /** Whether an empty database gets the demo organization with its token; not in production. */
        readonly demoOrganization: boolean
        /** By default the first start makes a token and stores it. */
        readonly demoToken: string | undefined
        /** The server of the flowthings API; undefined where it does not run. */
        readonly things:
          | {
              readonly port: number
              /** The account that is added, with example data, if it is missing; not in production. */
              readonly demoAccount: string | undefined
              /** By default the first start makes a token and stores it. */
              readonly demoToken: string | undefined
              /** Runs tasks of MQTT. Undefined where none runs. */
              readonly tasks?: {
                /** Whether brokers may be at this machine and its network. */
                readonly anywhere: boolean
              }
            }
          | undefined
        /** The public URL of the backend. By default: the host of each request. */
        readonly publicUrl: string | undefined
        /** The URL of a PostgreSQL database in place of SQLite in `dataDir`. It contains a password. */
        readonly databaseUrl: Secret | undefined
        /** The URL of what carries messages between the backends of one database. It may contain a password. */
        readonly natsUrl?: Secret | undefined
        /** A storage of files beside `dataDir`; without credentials they are those of the machine. */
        readonly s3:
          | {
              readonly url: string
              /** Whether new files are stored there. Files in `dataDir` can be read in any case. */
              readonly isForNewFiles: boolean
              readonly region: string
              readonly credentials?:
                | { readonly accessKeyId: string; readonly secretAccessKey: Secret }
                | undefined
            }
          | undefined
        /** What the URLs of files are signed with. Empty: with a key in `dataDir`. */
        readonly signingSecrets: readonly Secret[]
        /** The number of days for which streams can be resumed. */
        readonly eventRetentionDays: number
        /** Whether actions of threads may be delivered to this machine and its network. */
        readonly privateActionTargets: boolean
        /** The number of proxies in front of the backend. */
        readonly trustedProxies: number
        /** The limits of one principal, and of one IP address without a valid credential; 0 for no limit. */
        readonly traffic: {
          readonly requestsPerMinute: number
          readonly strangerRequestsPerMinute: number
          readonly streamsPerPrincipal: number
        }
        /** What other gateways send to its service interface, besides the one of this process. */
        readonly serviceTokens: readonly Secret[]
      }
    | {
        readonly kind: 'remote'
        readonly restUrl: string
        readonly streamUrl: string
        /** Hosts in the gateway's own network to which downloads of files may be redirected. */
        readonly fileHosts: readonly string[]
        /** For its service interface, if it has one. */
        readonly serviceToken: Secret | undefined
      }
}

/** How a stop goes, in milliseconds. */
export interface Shutdown {
  /** How long requests and connections are accepted while `/health/ready` is 503 already. */
  readonly delayMs: number
  /** Over how long sockets and streams are ended after that. */
  readonly drainMs: number
}

/** Which clients may use the gateway, and what it reveals. */
export interface Exposure {
  /** Whether clients may read the schema. */
  readonly introspection: boolean
  readonly graphiql: boolean
  /** The origins whose pages may use the gateway, as browsers write them. */
  readonly allowedOrigins: readonly string[]
  /** Whether pages of `localhost` on any port may use the gateway. */
  readonly localOrigins: boolean
  /** Further request headers that pages of these origins may send. */
  readonly allowedHeaders: readonly string[]
  /** The host names of the gateway, without ports. Undefined for any name. */
  readonly allowedHosts: readonly string[] | undefined
  /** The number of proxies in front of the gateway. */
  readonly trustedProxies: number
  /**
   * Whether only developers are expected as users. Not in production, and not where a setting says that users come through a
   * proxy or by another host name.
   */
  readonly isDevelopment: boolean
  /** The token of operators for `/metrics` and `/streams`. */
  readonly metricsToken: Secret | undefined
}

/** The limits of the gateway; 0 for no limit. */
export interface Protection {
  readonly requestsPerMinute: number
  readonly addressRequestsPerMinute: number
  readonly connectionsPerPrincipal: number
  readonly connectionsPerIp: number
  /** TCP connections of the gateway. */
  readonly tcpConnections: number
  readonly tcpConnectionsPerIp: number
  readonly transfersPerIp: number
  /** Bytes of incomplete bodies in memory; never 0. */
  readonly bodyBytes: number
  readonly bodyBytesPerIp: number
  /** Operations in flight; never 0. */
  readonly requestsInFlight: number
  /** Whether the number of operations in flight adapts to the load. */
  readonly loadShedding: boolean
}

export type LogLevel = (typeof logLevels)[number]

/** A setting as `docs/configuration.md` lists it. */
export interface Setting {
  readonly name: string
  /** The default as text; undefined when there is none. */
  readonly default: string | undefined
}

/** All problems of the settings, in one message. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'

  constructor(problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  }
}

const mebibyte = 1024 * 1024
const defaultThingsPort = 4002
const logLevels = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const

const text = z.string()

/** A text that `accepts` takes, as `read` reads it. */
function setting<T>(accepts: (text: string) => boolean, expected: string, read: (text: string) => T) {
  return z.pipe(text.check(z.refine(accepts, expected)), z.transform(read))
}

const filled = (expected: string) => text.check(z.minLength(1, expected))

const matching = (pattern: RegExp, expected: string) => text.check(z.regex(pattern, expected))

const port = setting(
  (text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535,
  'expected a port from 0 to 65535',
  Number,
)

const address = z.pipe(
  text.check(
    z.refine(
      (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
      'expected an http or https address',
    ),
    // URLs are printed and logged.
    z.refine((text) => {
      const { username, password, search, hash } = URL.parse(text) ?? {}
      return !username && !password && !search && !hash
    }, 'expected an address without user name, password, query and fragment'),
  ),
  z.transform((text: string) => text.replace(/(?<!\/)\/+$/, '')),
)

/** A URL of the upstream. With a user name, all clients would have its credential. */
const withoutCredential = z.pipe(
  text.check(
    z.refine(
      (text) => !/^[^/?#]*\/\/[^/?#]*@/.test(text),
      'expected an address without user name and password: each request is sent with the credential of its client',
    ),
  ),
  address,
)

/** Sessions are made with HTTP, and their sockets are opened at the same host. */
const socketUrl = z.pipe(
  z.pipe(
    text,
    z.transform((text: string) => text.replace(/^ws(s?):/, 'http$1:')),
  ),
  withoutCredential,
)

const amount = (of: string) =>
  setting((text) => /^\d{1,9}$/.test(text), `expected a number of ${of}, 0 for no limit`, Number)

const mebibytes = setting(
  (text) => /^\d{1,5}$/.test(text) && Number(text) > 0,
  'expected a number of MiB, 1 or more',
  Number,
)

const seconds = (most: number) =>
  z._default(
    setting(
      (text) => /^\d{1,3}$/.test(text) && Number(text) <= most,
      `expected a number of seconds from 0 to ${most}`,
      Number,
    ),
    0,
  )

const list = (isItem: (text: string) => boolean, expected: string) =>
  z
    .pipe(
      text,
      z.transform((text: string) => text.split(',').map((item) => item.trim())),
    )
    .check(z.refine((items) => items.every(isItem), expected))

const secret = z.transform((text: string) => new Secret(text))
const secrets = z.transform((text: string) => text.split(',').map((each) => new Secret(each)))

/** A host as in URLs: IPv6 addresses in brackets. */
const hostName = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/i

const onOrOff = z.enum(['on', 'off'], 'expected "on" or "off"')
const targets = z._default(z.enum(['public', 'any'], 'expected "public" or "any"'), 'public')

const settings = {
  HOST: z._default(filled('expected a host name or address'), '127.0.0.1'),
  PORT: z._default(port, 4000),
  BACKEND_PORT: z._default(port, 4001),
  BACKEND_URL: z.optional(address),
  DATA_DIR: z._default(filled('expected a folder'), './data'),
  FLOWDOCK_API_URL: z.optional(withoutCredential),
  FLOWDOCK_STREAM_URL: z.optional(withoutCredential),
  FILE_HOSTS: z.optional(
    list((item) => hostName.test(item), 'expected names without ports and with commas between them'),
  ),
  FLOWDOCK_DEMO_TOKEN: z.optional(matching(/^[0-9a-f]{32}$/, 'expected 32 hexadecimal digits in lower case')),
  FLOWTHINGS_API_URL: z.optional(withoutCredential),
  FLOWTHINGS_WS_URL: z.optional(socketUrl),
  FLOWTHINGS_PORT: z.optional(port),
  FLOWTHINGS_DEMO_ACCOUNT: z.optional(
    matching(
      /^[a-z0-9][a-z0-9_-]{1,62}$/,
      'expected 2 to 63 lower-case letters, digits, dashes and underscores',
    ),
  ),
  FLOWTHINGS_DEMO_TOKEN: z.optional(matching(/^[A-Za-z0-9]{32}$/, 'expected 32 letters and digits')),
  FLOWTHINGS_TASKS: z.optional(z.literal('mqtt', 'expected "mqtt"')),
  FLOWTHINGS_TASK_TARGETS: targets,
  DATABASE_URL: z.optional(
    setting(
      (text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text),
      'expected an address such as postgres://user:password@host/database',
      (text) => new Secret(text),
    ),
  ),
  NATS_URL: z.optional(
    setting(
      (text) => text.split(',').every((each) => /^(nats|tls):\/\/[^/]/.test(each) && URL.canParse(each)),
      'expected an address such as nats://user:password@host:4222, or several with commas between them',
      (text) => new Secret(text),
    ),
  ),
  SERVICE_TOKEN: z.optional(
    z.pipe(
      matching(
        /^[\x21-\x2b\x2d-\x7e]{32,}(,[\x21-\x2b\x2d-\x7e]{32,})?$/,
        'expected 32 or more characters without blanks, or two such tokens with a comma between them',
      ),
      secrets,
    ),
  ),
  TICKET_KEY: z.optional(
    z.pipe(
      matching(
        /^[\x21-\x2b\x2d-\x7e]{32,}(,[\x21-\x2b\x2d-\x7e]{32,})?$/,
        'expected 32 or more characters without blanks, or two such keys with a comma between them',
      ),
      secrets,
    ),
  ),
  INTERNAL_URL: z.optional(address),
  S3_URL: z.optional(
    address.check(
      z.refine(
        (text) => new URL(text).pathname !== '/',
        'expected the address of a bucket, such as https://s3.eu-central-1.amazonaws.com/bucket',
      ),
    ),
  ),
  S3_REGION: z._default(matching(/^[\w-]+$/, 'expected a region such as eu-central-1'), 'us-east-1'),
  S3_ACCESS_KEY_ID: z.optional(text),
  S3_SECRET_ACCESS_KEY: z.optional(z.pipe(text, secret)),
  FILE_STORAGE: z._default(z.enum(['s3', 'folder'], 'expected "s3" or "folder"'), 's3'),
  EVENT_RETENTION_DAYS: z._default(
    setting(
      (text) => /^\d{1,5}$/.test(text) && Number(text) > 0,
      'expected a number of days, 1 or more',
      Number,
    ),
    30,
  ),
  ACTION_TARGETS: targets,
  CALLS_PER_MINUTE: z._default(amount('calls'), 6000),
  REQUESTS_PER_MINUTE: z._default(amount('requests'), 6000),
  REQUESTS_PER_MINUTE_PER_IP: z._default(amount('requests'), 30_000),
  MAX_CONNECTIONS_PER_PRINCIPAL: z._default(amount('connections'), 100),
  MAX_CONNECTIONS_PER_IP: z._default(amount('connections'), 3000),
  MAX_TCP_CONNECTIONS: z._default(amount('connections'), 16_384),
  MAX_TCP_CONNECTIONS_PER_IP: z._default(amount('connections'), 4096),
  MAX_TRANSFERS_PER_IP: z._default(amount('files'), 50),
  BODY_MEMORY_MIB: z._default(mebibytes, 32),
  BODY_MEMORY_MIB_PER_IP: z._default(mebibytes, 8),
  MAX_CONCURRENT_REQUESTS: z._default(
    setting(
      (text) => /^\d{1,6}$/.test(text) && Number(text) > 0,
      'expected a number of requests, 1 or more',
      Number,
    ),
    1000,
  ),
  LOAD_SHEDDING: z._default(onOrOff, 'on'),
  TRUSTED_PROXIES: z._default(
    setting((text) => /^\d{1,2}$/.test(text), 'expected a number of proxies', Number),
    0,
  ),
  ALLOWED_HOSTS: z.optional(
    list(
      (item) => item === '*' || hostName.test(item),
      'expected names without ports and with commas between them, or *',
    ),
  ),
  ALLOWED_ORIGINS: z.optional(
    list(
      (item) => item === 'none' || (URL.canParse(item) && new URL(item).origin === item),
      'expected origins such as https://app.team.example, with commas between them, or none',
    ),
  ),
  ALLOWED_HEADERS: z._default(
    list(
      (item) => /^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/i.test(item),
      'expected names of headers, with commas between them',
    ),
    [],
  ),
  INTROSPECTION: z.optional(onOrOff),
  GRAPHIQL: z.optional(onOrOff),
  NODE_ENV: z.optional(text),
  RESPONSE_CACHE_SECONDS: z._default(
    setting(
      (text) => /^\d{1,2}$/.test(text) && Number(text) <= 60,
      'expected a number of seconds from 0 to 60',
      Number,
    ),
    0,
  ),
  SHUTDOWN_DELAY_SECONDS: seconds(300),
  SHUTDOWN_DRAIN_SECONDS: seconds(600),
  TRUSTED_DOCUMENTS: z.optional(filled('expected a file')),
  METRICS_TOKEN: z.optional(
    z.pipe(matching(/^[\x21-\x7e]{16,}$/, 'expected 16 or more characters without blanks'), secret),
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.optional(address),
  OTEL_SERVICE_NAME: z._default(filled('expected a name'), 'flowdock-gateway'),
  LOG_LEVEL: z._default(z.enum(logLevels, `expected one of ${logLevels.join(', ')}`), 'info'),
}
type Settings = z.infer<z.ZodMiniObject<typeof settings>>

/** All settings, in the order of the documentation. */
export function listSettings(): Setting[] {
  return Object.entries(settings).map(([name, schema]) => {
    const fallback: unknown = schema.safeParse(undefined).data
    return { name, default: fallback === undefined ? undefined : String(fallback) || undefined }
  })
}

/** Settings that only make sense with the embedded backend. */
const embeddedOnly = [
  'BACKEND_PORT',
  'BACKEND_URL',
  'DATA_DIR',
  'FLOWDOCK_DEMO_TOKEN',
  'FLOWTHINGS_PORT',
  'FLOWTHINGS_DEMO_ACCOUNT',
  'FLOWTHINGS_DEMO_TOKEN',
  'FLOWTHINGS_TASKS',
  'FLOWTHINGS_TASK_TARGETS',
  'DATABASE_URL',
  'NATS_URL',
  'S3_URL',
  'EVENT_RETENTION_DAYS',
  'ACTION_TARGETS',
] as const
/** Settings of features that this version does not have. Ignoring them would surprise. */
const unsupported = ['REDIS_URL'] as const
/** Earlier names of settings, refused so that no limit is lost without notice. */
const renamed: Readonly<Record<string, keyof typeof settings>> = {
  ADDRESS_REQUESTS_PER_MINUTE: 'REQUESTS_PER_MINUTE_PER_IP',
  KEEP_ANSWERS_SECONDS: 'RESPONSE_CACHE_SECONDS',
  LINES_PER_ADDRESS: 'MAX_CONNECTIONS_PER_IP',
  LINES_PER_CALLER: 'MAX_CONNECTIONS_PER_PRINCIPAL',
  REQUESTS_IN_FLIGHT: 'MAX_CONCURRENT_REQUESTS',
}
/** Settings whose values are not shown, because they are or contain secrets. */
const secretNames = /TOKEN$|KEY$|^(DATABASE|NATS)_URL$/
const mayHavePassword = /@|[?&#]/

function showValue(name: string, value: string | undefined): string {
  if (secretNames.test(name)) return ''
  return mayHavePassword.test(value ?? '') ? '=[not shown]' : `=${JSON.stringify(value)}`
}

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
  const parsed = z.object(settings).safeParse(given, { jitless: true })
  for (const { path, message } of parsed.error?.issues ?? []) {
    const name = String(path[0])
    problems.push(`${name}${showValue(name, given[name])}: ${message}`)
  }
  for (const name of Object.keys(given))
    if (/^(FLOWDOCK|FLOWTHINGS|BACKEND)_/.test(name) && !(name in settings))
      problems.push(`${name}: there is no such setting`)
  for (const name of unsupported)
    if (name in given) problems.push(`${name}: not supported by this version; unset it`)
  for (const [name, now] of Object.entries(renamed))
    if (name in given) problems.push(`${name}: is named ${now} now; rename it`)
  if ('FLOWDOCK_API_URL' in given) {
    for (const name of embeddedOnly)
      if (name in given) problems.push(`${name}: has no effect with FLOWDOCK_API_URL; unset one of the two`)
  } else if ('FLOWDOCK_STREAM_URL' in given || 'FILE_HOSTS' in given) {
    for (const name of ['FLOWDOCK_STREAM_URL', 'FILE_HOSTS'])
      if (name in given) problems.push(`${name}: needs FLOWDOCK_API_URL`)
  } else if (
    parsed.data !== undefined &&
    parsed.data.PORT === parsed.data.BACKEND_PORT &&
    parsed.data.PORT !== 0
  ) {
    problems.push(`BACKEND_PORT=${parsed.data.BACKEND_PORT}: is the same as PORT`)
  }
  if ('NATS_URL' in given && !('DATABASE_URL' in given))
    problems.push('NATS_URL: needs DATABASE_URL, since backends share a database of PostgreSQL')
  if ('S3_ACCESS_KEY_ID' in given !== 'S3_SECRET_ACCESS_KEY' in given)
    problems.push('S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY: one needs the other')
  if ('INTERNAL_URL' in given && !('TICKET_KEY' in given) && !('SERVICE_TOKEN' in given))
    problems.push('INTERNAL_URL: needs TICKET_KEY or SERVICE_TOKEN, the same at every gateway')
  for (const name of ['S3_REGION', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY', 'FILE_STORAGE'])
    if (name in given && !('S3_URL' in given)) problems.push(`${name}: needs S3_URL`)
  const thingsPort = (parsed.data && readThings(parsed.data)?.port) ?? 0
  for (const name of ['PORT', 'BACKEND_PORT'] as const)
    if (thingsPort !== 0 && thingsPort === parsed.data?.[name])
      problems.push(`FLOWTHINGS_PORT=${thingsPort}: is the same as ${name}`)
  const isEmbedded = parsed.data !== undefined && !('FLOWDOCK_API_URL' in given)
  if ('FLOWTHINGS_TASKS' in given && isEmbedded && readThings(parsed.data) === undefined)
    problems.push('FLOWTHINGS_TASKS: needs FLOWTHINGS_PORT')
  if ('FLOWTHINGS_TASK_TARGETS' in given && !('FLOWTHINGS_TASKS' in given))
    problems.push('FLOWTHINGS_TASK_TARGETS: needs FLOWTHINGS_TASKS')
  if ('FLOWTHINGS_WS_URL' in given && !('FLOWTHINGS_API_URL' in given))
    problems.push('FLOWTHINGS_WS_URL: needs FLOWTHINGS_API_URL')
  if (parsed.data !== undefined && parsed.data.BODY_MEMORY_MIB_PER_IP > parsed.data.BODY_MEMORY_MIB)
    problems.push(
      `BODY_MEMORY_MIB_PER_IP=${parsed.data.BODY_MEMORY_MIB_PER_IP}: is more than BODY_MEMORY_MIB=${parsed.data.BODY_MEMORY_MIB}`,
    )
  if (parsed.data === undefined || problems.length > 0) throw new ConfigError(problems)
  const { HOST, PORT, LOG_LEVEL, CALLS_PER_MINUTE, TRUSTED_DOCUMENTS, ...values } = parsed.data
  const isProduction = values.NODE_ENV === 'production'
  const isOpen = isProduction ? 'off' : 'on'
  return Object.freeze({
    host: HOST,
    port: PORT,
    logLevel: LOG_LEVEL,
    callsPerMinute: CALLS_PER_MINUTE,
    trustedDocuments: TRUSTED_DOCUMENTS,
    responseCacheMs: values.RESPONSE_CACHE_SECONDS * 1000,
    internalUrl: values.INTERNAL_URL,
    shutdown: {
      delayMs: values.SHUTDOWN_DELAY_SECONDS * 1000,
      drainMs: values.SHUTDOWN_DRAIN_SECONDS * 1000,
    },
    ticketKeys: values.TICKET_KEY ?? values.SERVICE_TOKEN ?? [],
    tracing:
      values.OTEL_EXPORTER_OTLP_ENDPOINT === undefined
        ? undefined
        : { endpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT, serviceName: values.OTEL_SERVICE_NAME },
    exposure: {
      introspection: (values.INTROSPECTION ?? isOpen) === 'on',
      graphiql: (values.GRAPHIQL ?? isOpen) === 'on',
      allowedOrigins: (values.ALLOWED_ORIGINS ?? []).filter((origin) => origin !== 'none'),
      localOrigins: values.ALLOWED_ORIGINS === undefined && values.NODE_ENV !== 'production',
      allowedHeaders: values.ALLOWED_HEADERS.map((name) => name.toLowerCase()),
      allowedHosts: readHosts(values.ALLOWED_HOSTS, HOST),
      trustedProxies: values.TRUSTED_PROXIES,
      isDevelopment:
        !isProduction &&
        values.TRUSTED_PROXIES === 0 &&
        values.ALLOWED_HOSTS === undefined &&
        values.BACKEND_URL === undefined,
      metricsToken: values.METRICS_TOKEN,
    },
    protection: {
      requestsPerMinute: values.REQUESTS_PER_MINUTE,
      addressRequestsPerMinute: values.REQUESTS_PER_MINUTE_PER_IP,
      connectionsPerPrincipal: values.MAX_CONNECTIONS_PER_PRINCIPAL,
      connectionsPerIp: values.MAX_CONNECTIONS_PER_IP,
      tcpConnections: values.MAX_TCP_CONNECTIONS,
      tcpConnectionsPerIp: values.MAX_TCP_CONNECTIONS_PER_IP,
      transfersPerIp: values.MAX_TRANSFERS_PER_IP,
      bodyBytes: values.BODY_MEMORY_MIB * mebibyte,
      bodyBytesPerIp: values.BODY_MEMORY_MIB_PER_IP * mebibyte,
      requestsInFlight: values.MAX_CONCURRENT_REQUESTS,
      loadShedding: values.LOAD_SHEDDING === 'on',
    },
    flowthings: readFlowthings(parsed.data),
    upstream: readUpstream(parsed.data),
  })
}

/** A gateway that listens on this machine only accepts local host names, so that DNS rebinding does not work. */
function readHosts(given: readonly string[] | undefined, host: string): readonly string[] | undefined {
  const local = ['localhost', '127.0.0.1', '[::1]']
  if (given === undefined)
    return /^(localhost|127\..*|::1)$/.test(host) ? [...new Set([...local, host])] : undefined
  return given.includes('*') ? undefined : [...local, ...given.map((name) => name.toLowerCase())]
}

function readFlowthings({
  FLOWTHINGS_API_URL: url,
  FLOWTHINGS_WS_URL: sessionUrl,
}: Settings): Config['flowthings'] {
  if (url === undefined) return undefined
  // Versions below 4 say the types of elements.
  const restUrl = /\/v\w[^/]*$/.test(url) ? url : `${url}/v0.1`
  return { restUrl, sessionUrl: sessionUrl ?? sessionUrlOf(restUrl) }
}

/** The service has the hosts `api.` and `ws.`; other servers have one host for both. Sessions have no path of a version. */
function sessionUrlOf(restUrl: string): string {
  const url = new URL(restUrl)
  url.hostname = url.hostname.replace(/^api\./, 'ws.')
  return url.origin
}

function readUpstream(values: Settings): Config['upstream'] {
  const { FLOWDOCK_API_URL: restUrl } = values
  if (restUrl === undefined)
    return {
      kind: 'embedded',
      host: values.HOST,
      port: values.BACKEND_PORT,
      publicUrl: values.BACKEND_URL,
      dataDir: values.DATA_DIR,
      demoOrganization: values.NODE_ENV !== 'production',
      demoToken: values.FLOWDOCK_DEMO_TOKEN,
      things: readThings(values),
      databaseUrl: values.DATABASE_URL,
      natsUrl: values.NATS_URL,
      s3: readS3(values),
      signingSecrets: values.TICKET_KEY ?? values.SERVICE_TOKEN ?? [],
      eventRetentionDays: values.EVENT_RETENTION_DAYS,
      privateActionTargets: values.ACTION_TARGETS === 'any',
      trustedProxies: values.TRUSTED_PROXIES,
      traffic: {
        requestsPerMinute: values.REQUESTS_PER_MINUTE,
        strangerRequestsPerMinute: values.REQUESTS_PER_MINUTE_PER_IP,
        streamsPerPrincipal: values.MAX_CONNECTIONS_PER_PRINCIPAL,
      },
      serviceTokens: values.SERVICE_TOKEN ?? [],
    }
  return {
    kind: 'remote',
    restUrl,
    fileHosts: (values.FILE_HOSTS ?? []).map((name) => name.toLowerCase()),
    // Clients write the URL with and without `/flows`, its only path.
    streamUrl: (values.FLOWDOCK_STREAM_URL ?? streamUrlOf(restUrl)).replace(/\/flows$/, ''),
    serviceToken: values.SERVICE_TOKEN?.[0],
  }
}

function readS3({
  S3_URL: url,
  S3_REGION: region,
  S3_ACCESS_KEY_ID: accessKeyId,
  S3_SECRET_ACCESS_KEY: secretAccessKey,
  FILE_STORAGE: storage,
}: Settings): EmbeddedBackendConfig['s3'] {
  if (url === undefined) return undefined
  const location = { url, region, isForNewFiles: storage === 's3' }
  if (accessKeyId === undefined || secretAccessKey === undefined) return location
  return { ...location, credentials: { accessKeyId, secretAccessKey } }
}

/** Where the data of the embedded backend are, with the secrets that open them. */
export function dataLocation({
  dataDir,
  databaseUrl,
  s3,
  signingSecrets,
}: EmbeddedBackendConfig): DataLocation {
  return {
    dataDir,
    databaseUrl: databaseUrl?.reveal(),
    signingSecrets: signingSecrets.map((secret) => secret.reveal()),
    s3: s3 && {
      ...s3,
      credentials: s3.credentials && {
        ...s3.credentials,
        secretAccessKey: s3.credentials.secretAccessKey.reveal(),
      },
    },
  }
}

/** What `dataLocation` returns: never printed or logged. */
export interface DataLocation {
  readonly dataDir: string
  readonly databaseUrl: string | undefined
  readonly signingSecrets: readonly string[]
  readonly s3:
    | {
        readonly url: string
        readonly isForNewFiles: boolean
        readonly region: string
        readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
      }
    | undefined
}

type EmbeddedBackendConfig = Extract<Config['upstream'], { kind: 'embedded' }>

/** The server of the flowthings API runs where its port is set, or its demo, which there is not in production. */
function readThings({
  NODE_ENV,
  FLOWTHINGS_PORT: port,
  FLOWTHINGS_DEMO_ACCOUNT: account,
  FLOWTHINGS_DEMO_TOKEN: demoToken,
  ...values
}: Settings) {
  const tasks =
    values.FLOWTHINGS_TASKS === undefined
      ? {}
      : { tasks: { anywhere: values.FLOWTHINGS_TASK_TARGETS === 'any' } }
  if (NODE_ENV === 'production')
    return port === undefined ? undefined : { port, demoAccount: undefined, demoToken: undefined, ...tasks }
  if (port === undefined && account === undefined && demoToken === undefined) return undefined
  return { port: port ?? defaultThingsPort, demoAccount: account ?? 'demo', demoToken, ...tasks }
}

/** The service has the hosts `api.` and `stream.`; other servers have one host for both. */
function streamUrlOf(restUrl: string): string {
  const url = new URL(restUrl)
  if (!url.hostname.startsWith('api.')) return `${restUrl}/stream`
  url.hostname = url.hostname.replace(/^api\./, 'stream.')
  return url.href.replace(/(?<!\/)\/+$/, '')
}
