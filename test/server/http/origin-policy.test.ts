import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { Secret } from '../../../src/secret.ts'
import {
  createOperatorCheck,
  createOriginPolicy,
  createPageKey,
  type OriginPolicyOptions,
} from '../../../src/server/http/origin-policy.ts'

const warnings: object[] = []
const policy = (options: Partial<OriginPolicyOptions> = {}) =>
  createOriginPolicy({
    ...{ allowedHosts: undefined, allowedOrigins: [], localOrigins: false, allowedHeaders: [] },
    log: { warn: (entry: object) => void warnings.push(entry) } as unknown as OriginPolicyOptions['log'],
    ...options,
  })
const request = (headers: Record<string, string>, url = '/graphql') =>
  ({ headers, url }) as unknown as IncomingMessage

test.each<[string, string | undefined, string, number | undefined]>([
  ['a name', 'example.com', '/', undefined],
  ['a name and a port', 'example.com:8080', '/', undefined],
  ['an IPv6 address', '[::1]:80', '/', undefined],
  ['no host', undefined, '/', 400],
  ['a broken IPv6 address', '[::::', '/', 400],
  ['a host with a path', 'example.com/x', '/', 400],
  ['a target that is a URL', 'example.com', 'http://other/', 400],
  ['a target with two slashes', 'example.com', '//other/', 400],
])('%s in a request has its status', (_, host, url, status) => {
  expect(policy().problem(request(host === undefined ? {} : { host }, url))?.status).toBe(status)
})

test('a host that is not listed is refused, whatever was accepted before', () => {
  const { problem } = policy({ allowedHosts: ['gateway.example'] })
  expect(problem(request({ host: 'Gateway.example:443' }))).toBeUndefined()
  expect(problem(request({ host: 'other.example' }))?.status).toBe(421)
  expect(problem(request({ host: 'Gateway.example:443' }))).toBeUndefined()
})

test('pages of the same origin, of listed origins, and programs may use the gateway; other pages may not', () => {
  const { isAllowedOrigin } = policy({ allowedOrigins: ['https://app.example'] })
  const from = (headers: Record<string, string>) =>
    isAllowedOrigin(request({ host: 'g.example', ...headers }))
  expect(from({})).toBe(true)
  expect(from({ origin: 'https://g.example' })).toBe(true)
  expect(from({ origin: 'https://app.example' })).toBe(true)
  expect(from({ 'sec-fetch-site': 'same-origin' })).toBe(true)
  expect(from({ origin: 'https://app.example.evil' })).toBe(false)
  expect(from({ origin: 'null' })).toBe(false)
  expect(from({ 'sec-fetch-site': 'cross-site' })).toBe(false)
})

test('pages of localhost are allowed by a setting, on any port, and no page whose name only begins so', () => {
  const open = policy({ localOrigins: true })
  const from = (origin: string) => open.isAllowedOrigin(request({ host: 'g.example', origin }))
  expect(from('http://localhost:3000')).toBe(true)
  expect(from('http://app.localhost')).toBe(true)
  expect(from('http://localhost.evil.example')).toBe(false)
  expect(policy().isAllowedOrigin(request({ host: 'g.example', origin: 'http://localhost' }))).toBe(false)
})

test('a listed origin gets CORS headers; any other response says only that it depends on the origin', () => {
  const { corsHeaders } = policy({ allowedOrigins: ['https://app.example'], allowedHeaders: ['x-mine'] })
  const headersFor = (origin: string) => Object.fromEntries(corsHeaders(request({ origin }))?.fields() ?? [])
  const headers = headersFor('https://app.example')
  expect(headers).toMatchObject({ 'Access-Control-Allow-Origin': 'https://app.example', Vary: 'Origin' })
  expect(headers['Access-Control-Allow-Headers']).toContain('x-mine')
  expect(headersFor('https://other.example')).toEqual({ Vary: 'Origin' })
  expect(policy().corsHeaders(request({ origin: 'https://other.example' }))).toBeUndefined()
})

test('a refused origin is named with the setting that allows it, and logged once', () => {
  warnings.length = 0
  const { describeRefusal } = policy()
  for (let count = 0; count < 3; count += 1)
    expect(describeRefusal(request({ origin: 'https://x.example' }))).toMatch(
      /"https:\/\/x\.example".*ALLOWED_ORIGINS/,
    )
  expect(warnings).toHaveLength(1)
})

test('an operator is recognized by the token as Bearer, and by nothing without a token', () => {
  const isOperator = createOperatorCheck(new Secret('abc'))
  expect(isOperator(request({ authorization: 'bearer abc' }))).toBe(true)
  expect(isOperator(request({ authorization: 'Bearer abcd' }))).toBe(false)
  expect(isOperator(request({ authorization: 'Basic abc' }))).toBe(false)
  expect(isOperator(request({}))).toBe(false)
  expect(createOperatorCheck(undefined)(request({ authorization: 'Bearer undefined' }))).toBe(false)
})

test('a page key works for a minute after its first use', () => {
  let now = 0
  const key = createPageKey(() => now)
  now = 1_000_000
  expect(key.accepts('x')).toBe(false)
  expect(key.accepts(key.text)).toBe(true)
  now += 60_000
  expect(key.accepts(key.text)).toBe(true)
  now += 1
  expect(key.accepts(key.text)).toBe(false)
})
