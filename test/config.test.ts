import { describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'

describe('settings', () => {
  test('have defaults that run the embedded backend on this machine', () => {
    expect(readConfig({})).toEqual({
      host: '127.0.0.1',
      port: 4000,
      logLevel: 'info',
      callsPerMinute: 6000,
      upstream: {
        kind: 'embedded',
        host: '127.0.0.1',
        port: 4001,
        publicUrl: undefined,
        dataDir: './data',
        demoToken: undefined,
        databaseUrl: undefined,
        eventRetentionDays: 30,
        privateActionTargets: false,
      },
    })
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
    expect(readConfig(environment).upstream).toEqual({ kind: 'remote', restUrl, streamUrl })
  })

  test.each<[Record<string, string>, string[]]>([
    [{ PORT: '70000' }, ['PORT="70000": expected a port from 0 to 65535']],
    [{ PORT: '4000', BACKEND_PORT: '4000' }, ['BACKEND_PORT=4000: is the same as PORT']],
    [{ FLOWDOCK_DEMO_TOKEN: 'ABC' }, ['FLOWDOCK_DEMO_TOKEN: expected 32 hexadecimal digits in lower case']],
    [{ FLOWDOCK_API_URL: 'ftp://x' }, ['FLOWDOCK_API_URL="ftp://x": expected an http or https address']],
    [{ FLOWDOCK_STREAM_URL: 'http://x' }, ['FLOWDOCK_STREAM_URL: needs FLOWDOCK_API_URL']],
    [{ FLOWDOCK_API_ULR: 'http://x' }, ['FLOWDOCK_API_ULR: there is no such setting']],
    [
      { FLOWDOCK_API_URL: 'http://x', DATA_DIR: '/x', BACKEND_PORT: '1' },
      [
        'BACKEND_PORT: has no effect with FLOWDOCK_API_URL; unset one of the two',
        'DATA_DIR: has no effect with FLOWDOCK_API_URL; unset one of the two',
      ],
    ],
    [
      { DATABASE_URL: 'mysql://u:hidden@x/y', REDIS_URL: 'redis://x' },
      ['DATABASE_URL: expected an address', 'REDIS_URL: not supported'],
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
