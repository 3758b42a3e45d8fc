import { describe, expect, test } from 'vitest'
import { dataLocation, readConfig } from '../src/config.ts'
import { bodyLimits } from '../src/traffic/body-memory.ts'

describe('settings', () => {
  test('have defaults that run the embedded backend on this machine', () => {
    expect(readConfig({})).toEqual({
      host: '127.0.0.1',
      port: 4000,
      logLevel: 'info',
      callsPerMinute: 6000,
      responseCacheMs: 0,
      shutdown: { delayMs: 0, drainMs: 0 },
      ticketKeys: [],
      exposure: {
        introspection: true,
        graphiql: true,
        allowedOrigins: [],
        localOrigins: true,
        allowedHeaders: [],
        allowedHosts: ['localhost', '127.0.0.1', '[::1]'],
        trustedProxies: 0,
        isDevelopment: true,
        metricsToken: undefined,
      },
      protection: {
        requestsPerMinute: 6000,
        addressRequestsPerMinute: 30_000,
        connectionsPerPrincipal: 100,
        connectionsPerIp: 3000,
        tcpConnections: 16_384,
        tcpConnectionsPerIp: 4096,
        transfersPerIp: 50,
        bodyBytes: bodyLimits.memory.total,
        bodyBytesPerIp: bodyLimits.memory.perAddress,
        requestsInFlight: 1000,
        loadShedding: true,
      },
      upstream: {
        kind: 'embedded',
        host: '127.0.0.1',
        port: 4001,
        publicUrl: undefined,
        dataDir: './data',
        demoOrganization: true,
        demoToken: undefined,
        databaseUrl: undefined,
        eventRetentionDays: 30,
        privateActionTargets: false,
        trustedProxies: 0,
        traffic: {
          requestsPerMinute: 6000,
          strangerRequestsPerMinute: 30_000,
          streamsPerPrincipal: 100,
        },
        serviceTokens: [],
        signingSecrets: [],
      },
    })
  })

  test('SERVICE_TOKEN is one token for a gateway, and one or two for a backend', () => {
    const tokens = ['a'.repeat(32), 'b'.repeat(32)]
    const remote = { FLOWDOCK_API_URL: 'http://127.0.0.1:1', SERVICE_TOKEN: tokens.join() }
    const { upstream } = readConfig(remote)
    expect(upstream.kind === 'remote' && upstream.serviceToken?.reveal()).toBe(tokens[0])
    const embedded = readConfig({ SERVICE_TOKEN: tokens.join() }).upstream
    expect(embedded.kind === 'embedded' && embedded.serviceTokens.map((each) => each.reveal())).toEqual(
      tokens,
    )
    for (const wrong of ['short', `${tokens[0]},`, `${tokens[0]} x`, [...tokens, 'c'.repeat(32)].join()])
      expect(() => readConfig({ SERVICE_TOKEN: wrong })).toThrow(/^(?!.*aaaa).*SERVICE_TOKEN: expected 32/s)
  })

  test.each([
    [
      'FLOWDOCK_API_URL',
      'https://ada:hunter2@api.team.example',
      'each request is sent with the credential of its client',
    ],
    [
      'FLOWDOCK_API_URL',
      'ftp://ada:hunter2@api.team.example',
      'each request is sent with the credential of its client',
    ],
    ['FLOWDOCK_API_URL', 'https://api.team.example?key=hunter2', 'without user name, password, query'],
    ['BACKEND_URL', 'https://:hunter2@api.team.example', 'without user name, password, query'],
    [
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'http://ada:hunter2@collector:4318',
      'without user name, password, query',
    ],
    ['ALLOWED_ORIGINS', 'https://ada:hunter2@team.example', 'expected origins'],
    ['METRICS_TOKEN', 'hunter2', 'expected 16 or more characters'],
    ['DATABASE_URL', 'mysql://ada:hunter2@db/chat', 'expected an address such as postgres://'],
    ['NATS_URL', 'http://ada:hunter2@nats', 'expected an address such as nats://'],
    ['NATS_URL', 'nats://one,', 'expected an address such as nats://'],
    ['NATS_URL', 'nats://', 'expected an address such as nats://'],
    ['S3_URL', 'https://ada:hunter2@s3.team.example/files', 'without user name, password, query'],
    ['FLOWTHINGS_API_URL', 'https://ada:hunter2@things.example', 'without user name and password'],
    ['FLOWTHINGS_WS_URL', 'https://ada:hunter2@things.example', 'without user name and password'],
    ['FLOWTHINGS_DEMO_TOKEN', 'hunter2', 'expected 32 letters and digits'],
    ['S3_SECRET_ACCESS_KEY', 'hunter2', 'one needs the other'],
    ['TICKET_KEY', 'hunter2', 'expected 32 or more characters'],
    ['TICKET_KEY', `${'x'.repeat(32)},hunter2`, 'expected 32 or more characters'],
  ])('that have a password in them are refused without showing it: %s=%s', (name, value, expected) => {
    const read = () => readConfig({ [name]: value })
    expect(read).toThrow(name)
    expect(read).toThrow(expected)
    expect(read).not.toThrow('hunter2')
  })

  test('that have a proper address are taken', () => {
    const { upstream } = readConfig({ FLOWDOCK_API_URL: 'https://api.team.example:8443/v1/' })
    expect(upstream).toMatchObject({
      restUrl: 'https://api.team.example:8443/v1',
      streamUrl: 'https://stream.team.example:8443/v1',
    })
    expect(readConfig({ METRICS_TOKEN: 'sixteen-letters.' }).exposure.metricsToken?.reveal()).toBe(
      'sixteen-letters.',
    )
  })

  test.each([
    [
      { S3_URL: 'https://s3.team.example' },
      'S3_URL="https://s3.team.example": expected the address of a bucket',
    ],
    [{ S3_URL: 'https://s3.team.example/files', S3_ACCESS_KEY_ID: 'id' }, 'one needs the other'],
    [{ S3_REGION: 'eu-central-1' }, 'S3_REGION: needs S3_URL'],
    [{ FILE_STORAGE: 'folder' }, 'FILE_STORAGE: needs S3_URL'],
    [
      { S3_URL: 'https://s3.team.example/files', FILE_STORAGE: 'disk' },
      'FILE_STORAGE="disk": expected "s3" or "folder"',
    ],
    [
      { S3_URL: 'https://s3.team.example/files', FLOWDOCK_API_URL: 'https://api.team.example' },
      'S3_URL: has no effect with FLOWDOCK_API_URL',
    ],
  ])('that say half of where files are, or twice, are refused: %j', (settings, expected) => {
    expect(() => readConfig(settings)).toThrow(expected)
  })

  test('that name a bucket and a key are taken, and the secret is revealed to the backend alone', () => {
    const { upstream } = readConfig({
      S3_URL: 'https://s3.team.example/files/chat/',
      S3_ACCESS_KEY_ID: 'id',
      S3_SECRET_ACCESS_KEY: 'hunter2',
    })
    if (upstream.kind !== 'embedded') throw new Error('Expected the embedded backend')
    expect(JSON.stringify(upstream)).not.toContain('hunter2')
    expect(dataLocation(upstream).s3).toEqual({
      url: 'https://s3.team.example/files/chat',
      isForNewFiles: true,
      region: 'us-east-1',
      credentials: { accessKeyId: 'id', secretAccessKey: 'hunter2' },
    })
    const byRole = readConfig({ S3_URL: 'https://s3.team.example/files' }).upstream
    if (byRole.kind !== 'embedded') throw new Error('Expected the embedded backend')
    expect(dataLocation(byRole).s3).toEqual({
      url: 'https://s3.team.example/files',
      isForNewFiles: true,
      region: 'us-east-1',
    })
  })

  test('tickets are sealed with TICKET_KEY, or else with SERVICE_TOKEN, and both are secrets', () => {
    const [SERVICE_TOKEN, TICKET_KEY] = ['s'.repeat(32), `${'a'.repeat(32)},${'b'.repeat(32)}`]
    const keys = (settings: Record<string, string>) => {
      const config = readConfig(settings)
      expect(JSON.stringify(config)).not.toMatch(/s{32}|a{32}|b{32}/)
      return config.ticketKeys.map((key) => key.reveal()[0])
    }
    expect(keys({})).toEqual([])
    expect(keys({ SERVICE_TOKEN })).toEqual(['s'])
    expect(keys({ SERVICE_TOKEN, TICKET_KEY })).toEqual(['a', 'b'])
    expect(keys({ FLOWDOCK_API_URL: 'https://api.team.example', TICKET_KEY })).toEqual(['a', 'b'])
  })

  test('INTERNAL_URL needs a key that other gateways have, too', () => {
    const INTERNAL_URL = 'http://10.0.0.7:4000/'
    expect(() => readConfig({ INTERNAL_URL })).toThrow('INTERNAL_URL: needs TICKET_KEY or SERVICE_TOKEN')
    const { internalUrl } = readConfig({ INTERNAL_URL, TICKET_KEY: 'k'.repeat(32) })
    expect(internalUrl).toBe('http://10.0.0.7:4000')
  })

  test('that are blank count as not given', () => {
    expect(readConfig({ PORT: '', FLOWDOCK_API_URL: '' })).toEqual(readConfig({}))
  })

  test.each([
    [
      { FLOWDOCK_API_URL: 'https://api.flowdock.example/' },
      'https://api.flowdock.example',
      'https://stream.flowdock.example',
    ],
    [{ FLOWDOCK_API_URL: 'http://localhost:4001' }, 'http://localhost:4001', 'http://localhost:4001/stream'],
    [
      { FLOWDOCK_API_URL: 'http://a.example', FLOWDOCK_STREAM_URL: 'http://b.example/flows/' },
      'http://a.example',
      'http://b.example',
    ],
  ])('%j name another upstream', (environment, restUrl, streamUrl) => {
    expect(readConfig(environment).upstream).toEqual({ kind: 'remote', restUrl, streamUrl, fileHosts: [] })
  })

  describe('of flowthings', () => {
    const thingsOf = (environment: Record<string, string>) => {
      const { upstream } = readConfig(environment)
      return upstream.kind === 'embedded' ? upstream.things : 'none'
    }
    const token = 'Ab3'.repeat(10).padEnd(32, 'x')

    test.each([
      [{}, undefined],
      [{ FLOWTHINGS_PORT: '0' }, { port: 0, demoAccount: 'demo', demoToken: undefined }],
      [{ FLOWTHINGS_PORT: '4010' }, { port: 4010, demoAccount: 'demo', demoToken: undefined }],
      [{ FLOWTHINGS_DEMO_ACCOUNT: 'lab' }, { port: 4002, demoAccount: 'lab', demoToken: undefined }],
      [{ FLOWTHINGS_DEMO_TOKEN: token }, { port: 4002, demoAccount: 'demo', demoToken: token }],
    ])('%j run its server, or not', (environment, expected) => {
      expect(thingsOf(environment)).toEqual(expected)
    })

    test('add no account in production, where the port alone starts the server', () => {
      const demo = { FLOWTHINGS_DEMO_ACCOUNT: 'lab', FLOWTHINGS_DEMO_TOKEN: token }
      const production = { NODE_ENV: 'production', ...demo }
      expect(thingsOf(production)).toBeUndefined()
      expect(thingsOf({ ...production, FLOWTHINGS_PORT: '4002' })).toEqual({
        port: 4002,
        demoAccount: undefined,
        demoToken: undefined,
      })
    })

    test.each([
      [{}, undefined],
      [
        { FLOWTHINGS_API_URL: 'https://api.things.example' },
        { restUrl: 'https://api.things.example/v0.1', sessionUrl: 'https://ws.things.example' },
      ],
      [
        { FLOWTHINGS_API_URL: 'https://api.things.example:8443/v4.0/' },
        { restUrl: 'https://api.things.example:8443/v4.0', sessionUrl: 'https://ws.things.example:8443' },
      ],
      [
        { FLOWTHINGS_API_URL: 'http://127.0.0.1:4002' },
        { restUrl: 'http://127.0.0.1:4002/v0.1', sessionUrl: 'http://127.0.0.1:4002' },
      ],
      [
        { FLOWTHINGS_API_URL: 'http://things/api/v1', FLOWTHINGS_WS_URL: 'http://sockets/' },
        { restUrl: 'http://things/api/v1', sessionUrl: 'http://sockets' },
      ],
    ])('%j name its upstream', (environment, expected) => {
      expect(readConfig(environment).flowthings).toEqual(expected)
    })
  })

  test('of production show no schema and no GraphiQL by default', () => {
    const of = (environment: Record<string, string>) => readConfig(environment).exposure
    expect(of({ NODE_ENV: 'production' })).toMatchObject({ introspection: false, graphiql: false })
    expect(of({ NODE_ENV: 'production', GRAPHIQL: 'on' })).toMatchObject({
      introspection: false,
      graphiql: true,
    })
    expect(of({ INTROSPECTION: 'off' })).toMatchObject({ introspection: false, graphiql: true })
  })

  test('name hosts of files and the age of cached responses', () => {
    const environment = {
      FLOWDOCK_API_URL: 'http://x',
      FILE_HOSTS: 'Minio, [::2]',
      RESPONSE_CACHE_SECONDS: '5',
    }
    expect(readConfig(environment)).toMatchObject({
      responseCacheMs: 5000,
      upstream: { fileHosts: ['minio', '[::2]'] },
    })
  })

  test.each([
    [{}, ['localhost', '127.0.0.1', '[::1]']],
    [{ HOST: '0.0.0.0' }, undefined],
    [{ ALLOWED_HOSTS: '*' }, undefined],
    [
      { HOST: '0.0.0.0', ALLOWED_HOSTS: 'Chat.team.example, [::2]' },
      ['localhost', '127.0.0.1', '[::1]', 'chat.team.example', '[::2]'],
    ],
  ])('%j answer to the names %j', (environment, names) => {
    expect(readConfig(environment).exposure.allowedHosts).toEqual(names)
  })

  test.each<[Record<string, string>, string[]]>([
    [
      {
        ALLOWED_ORIGINS: 'https://a.example/x',
        ALLOWED_HOSTS: 'a:80',
        MAX_CONCURRENT_REQUESTS: '0',
        GRAPHIQL: 'no',
      },
      [
        'ALLOWED_ORIGINS="https://a.example/x": expected origins such as',
        'ALLOWED_HOSTS="a:80": expected names without ports',
        'MAX_CONCURRENT_REQUESTS="0": expected a number of requests, 1 or more',
        'GRAPHIQL="no": expected "on" or "off"',
      ],
    ],
    [{ PORT: '70000' }, ['PORT="70000": expected a port from 0 to 65535']],
    [{ PORT: '4000', BACKEND_PORT: '4000' }, ['BACKEND_PORT=4000: is the same as PORT']],
    [{ FLOWDOCK_DEMO_TOKEN: 'ABC' }, ['FLOWDOCK_DEMO_TOKEN: expected 32 hexadecimal digits in lower case']],
    [
      { FLOWTHINGS_DEMO_ACCOUNT: 'Lab', FLOWTHINGS_DEMO_TOKEN: 'a'.repeat(31), FLOWTHINGS_PORT: '4002x' },
      [
        'FLOWTHINGS_DEMO_ACCOUNT="Lab": expected 2 to 63 lower-case letters, digits, dashes and underscores',
        'FLOWTHINGS_DEMO_TOKEN: expected 32 letters and digits',
        'FLOWTHINGS_PORT="4002x": expected a port from 0 to 65535',
      ],
    ],
    [{ FLOWTHINGS_PORT: '4001' }, ['FLOWTHINGS_PORT=4001: is the same as BACKEND_PORT']],
    [{ PORT: '4002', FLOWTHINGS_DEMO_ACCOUNT: 'lab' }, ['FLOWTHINGS_PORT=4002: is the same as PORT']],
    [{ FLOWTHINGS_WS_URL: 'http://x' }, ['FLOWTHINGS_WS_URL: needs FLOWTHINGS_API_URL']],
    [{ FLOWTHINGS_API_URL: 'ftp://x' }, ['FLOWTHINGS_API_URL="ftp://x": expected an http or https address']],
    [{ FLOWTHINGS_API_ULR: 'http://x' }, ['FLOWTHINGS_API_ULR: there is no such setting']],
    [
      {
        FLOWDOCK_API_URL: 'http://x',
        FLOWTHINGS_PORT: '1',
        FLOWTHINGS_DEMO_ACCOUNT: 'lab',
        FLOWTHINGS_DEMO_TOKEN: 'a'.repeat(32),
      },
      ['FLOWTHINGS_PORT', 'FLOWTHINGS_DEMO_ACCOUNT', 'FLOWTHINGS_DEMO_TOKEN'].map(
        (name) => `${name}: has no effect with FLOWDOCK_API_URL; unset one of the two`,
      ),
    ],
    [{ FLOWDOCK_API_URL: 'ftp://x' }, ['FLOWDOCK_API_URL="ftp://x": expected an http or https address']],
    [{ FLOWDOCK_STREAM_URL: 'http://x' }, ['FLOWDOCK_STREAM_URL: needs FLOWDOCK_API_URL']],
    [{ FILE_HOSTS: 'minio' }, ['FILE_HOSTS: needs FLOWDOCK_API_URL']],
    [
      { FLOWDOCK_API_URL: 'http://x', FILE_HOSTS: 'http://minio', RESPONSE_CACHE_SECONDS: '61' },
      [
        'FILE_HOSTS="http://minio": expected names without ports',
        'RESPONSE_CACHE_SECONDS="61": expected a number of seconds from 0 to 60',
      ],
    ],
    [{ FLOWDOCK_API_ULR: 'http://x' }, ['FLOWDOCK_API_ULR: there is no such setting']],
    [
      { FLOWDOCK_API_URL: 'http://x', DATA_DIR: '/x', BACKEND_PORT: '1' },
      [
        'BACKEND_PORT: has no effect with FLOWDOCK_API_URL; unset one of the two',
        'DATA_DIR: has no effect with FLOWDOCK_API_URL; unset one of the two',
      ],
    ],
    [{ NATS_URL: 'nats://u:hidden@x' }, ['NATS_URL: needs DATABASE_URL']],
    [
      { DATABASE_URL: 'mysql://u:hidden@x/y', REDIS_URL: 'redis://x' },
      ['DATABASE_URL: expected an address', 'REDIS_URL: not supported'],
    ],
    [
      {
        ADDRESS_REQUESTS_PER_MINUTE: '1',
        KEEP_ANSWERS_SECONDS: '5',
        LINES_PER_ADDRESS: '1',
        LINES_PER_CALLER: '1',
        REQUESTS_IN_FLIGHT: '1',
      },
      [
        'ADDRESS_REQUESTS_PER_MINUTE: is named REQUESTS_PER_MINUTE_PER_IP now',
        'KEEP_ANSWERS_SECONDS: is named RESPONSE_CACHE_SECONDS now',
        'LINES_PER_ADDRESS: is named MAX_CONNECTIONS_PER_IP now',
        'LINES_PER_CALLER: is named MAX_CONNECTIONS_PER_PRINCIPAL now',
        'REQUESTS_IN_FLIGHT: is named MAX_CONCURRENT_REQUESTS now',
      ],
    ],
    [
      { LOG_LEVEL: 'loud', PORT: 'x' },
      ['LOG_LEVEL="loud": expected one of silent', 'PORT="x": expected a port'],
    ],
  ])('%j are refused, each by name', (environment, problems) => {
    let message = ''
    try {
      readConfig(environment)
    } catch (error) {
      message = (error as Error).message
    }
    for (const problem of problems) expect(message).toContain(`\n  ${problem}`)
    expect(message.split('\n')).toHaveLength(1 + problems.length)
  })
})
