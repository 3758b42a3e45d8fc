import { describe, expect, onTestFinished, test } from 'vitest'
import { describeInvalidJson, hasTooManyValues, isExact } from '../src/json-values.ts'
import { basic, startTestBackend } from './support/backend.ts'
import { cpuMs } from './support/cpu.ts'
import { type Fortress, startFortress } from './support/fortress.ts'

const members = (count: number) => Array.from({ length: count }, (_, index) => `"member${index}":1`).join()
const elements = (count: number) => `[${Array.from({ length: count }, () => '{}').join()}]`
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const padding = ' '.repeat(64 * 1024)

test.each([
  ['', 'it is empty'],
  ['\n', 'it is empty'],
  ['{"query":', 'it ends too early'],
  ['{"query":"{ a }",}', 'Expected double-quoted property name in line 1, column 18'],
  ["{\n  'query': 1}", "Expected property name or '}' in line 2, column 3"],
  ['{"query":"{\n a }"}', 'Bad control character in string literal in line 1, column 12'],
  ['{"query":secret}', "Unexpected token 's'"],
  ['{"query":"\\x"}', 'Bad escaped character in line 1, column 12'],
])('of %j, an error says what is wrong and shows no more than one character', (text, problem) => {
  expect(() => JSON.parse(text)).toThrow(SyntaxError)
  try {
    JSON.parse(text)
  } catch (error) {
    expect(describeInvalidJson(text, error)).toBe(problem)
  }
})

describe('JSON with too many values', () => {
  test.each([
    ['members', `{${members(10_001)}}`, `{${members(10_000)}}`],
    ['elements', elements(6000), elements(5000)],
    ['lists inside of lists', nested(10_001), nested(10_000)],
    ['values behind a string that ends in a backslash', `["\\\\",${elements(6000)}]`, '["\\\\","[,{[,{"]'],
    [
      'signs that are text',
      `["x",${elements(6000)}]`,
      JSON.stringify([',[{'.repeat(50_000), '",[{'.repeat(50_000)]),
    ],
  ])('is recognised by its %s', (_, many, few) => {
    expect(() => JSON.parse(many + padding)).not.toThrow()
    expect([hasTooManyValues(many + padding), hasTooManyValues(few + padding)]).toEqual([true, false])
  })

  test('is recognised in time that grows as its length does', async () => {
    for (const run of ['"', '\\', '"\\', '\\"', 'x']) {
      const best = async (length: number) => {
        const text = `["${run.repeat(length)}`
        const times: number[] = []
        for (let turn = 0; turn < 5; turn += 1) times.push(await cpuMs(() => hasTooManyValues(text)))
        return Math.max(Math.min(...times), 0.5)
      }
      // Sixteen times the length; quadratic time would be 256 times as much.
      expect((await best(800_000)) / (await best(50_000)), JSON.stringify(run)).toBeLessThan(64)
    }
  })
})

const text = (value: string) => JSON.stringify({ event: 'message', content: value })

test('a body of the backend with too many values is refused, and a long text is read', async () => {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  const authorization = basic(await backend.token('Ada'))
  const post = (body: string) =>
    fetch(`${backend.url}/flows/example/main/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body,
    })
  const refused = await post(`{"event":"message","content":"x",${members(100_000)}}`)
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { message: 'Body has more than 100000 values' },
  ])
  expect(await (await post(text(',[{'.repeat(50_000)))).json()).toMatchObject({
    errors: { content: [expect.stringContaining('is too long')] },
  })
})

describe('an operation with too many values', () => {
  const query = '{ __typename }'
  const withVariables = (variables: string) => `{"query":${JSON.stringify(query)},"variables":${variables}}`
  const post = (fortress: Fortress, body: string | FormData, headers: Record<string, string>) =>
    fetch(`${fortress.url}/graphql`, {
      method: 'POST',
      headers: { authorization: basic(fortress.token), ...headers },
      body,
    })
  const message = /at most 10000 values/

  test('is refused over HTTP, with files and over a socket', async () => {
    const fortress = await startFortress()
    onTestFinished(() => fortress.close())
    const json = { 'content-type': 'application/json' }
    const refused = await post(fortress, withVariables(`{${members(10_000)}}`), json)
    expect(refused.status).toBe(413)
    expect((await refused.json()).errors[0]).toMatchObject({
      message: expect.stringMatching(message),
      extensions: { code: 'LIMIT_EXCEEDED' },
    })
    const long = await post(fortress, withVariables(JSON.stringify({ text: ',[{'.repeat(50_000) })), json)
    expect(await long.json()).toEqual({ data: { __typename: 'Query' } })

    const form = new FormData()
    form.set('operations', withVariables(`{${members(10_000)}}`))
    form.set('map', '{}')
    const withFiles = await post(fortress, form, { 'x-requested-with': 'x' })
    expect((await withFiles.json()).errors[0].message).toMatch(message)

    const socket = new WebSocket(`${fortress.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    const closed = new Promise<CloseEvent>((resolve) => {
      socket.onclose = resolve
    })
    socket.onopen = () =>
      socket.send(`{"type":"connection_init","payload":{"Authorization":"${basic(fortress.token)}"}}`)
    socket.onmessage = () =>
      socket.send(`{"id":"1","type":"subscribe","payload":${withVariables(`{${members(10_000)}}`)}}`)
    expect((await closed).code).toBe(4400)
  })
})

test.each([
  ['0', true],
  ['-9007199254740991', true],
  ['9007199254740992', true],
  ['9007199254740993', false],
  ['-9007199254740993', false],
  ['9223372036854775808', true],
  ['9223372036854775807', false],
  // What a JavaScript program writes for 2 ** 63.
  ['9223372036854776000', true],
  ['1e308', true],
  ['1e400', false],
  ['-1E+400', false],
  ['0.12345678901234567890123', true],
  [`1${'0'.repeat(22)}`, true],
  [`1${'0'.repeat(23)}`, false],
  ['9'.repeat(400), false],
])('the number %s is kept as a double: %s', (source, exact) => {
  expect(isExact(source)).toBe(exact)
})
