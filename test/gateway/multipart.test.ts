import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

let app: TestApp
let token: string

beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
})
afterAll(() => app.close())

const uploaded = `__typename ... on UploadFilePayload { clientMutationId uploadedMessage { id tags
  ... on FileMessage { file { name contentType byteSize url } } } } ... on UserError { code message path }`
const uploadOne = `mutation ($input: UploadFileInput!) { uploadFile(input: $input) { ${uploaded} } }`
const main = { path: 'example/main' }

/** Sends a multipart request as its parts say. */
async function send(parts: [name: string, value: string | File][], headers: Record<string, string> = {}) {
  const body = new FormData()
  for (const [name, value] of parts) body.append(name, value)
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { authorization: basic(token), 'graphql-require-preflight': '1', ...headers },
    body,
  })
  return { status: response.status, json: await response.json() }
}

const operation = (query: string, variables: object): [string, string] => [
  'operations',
  JSON.stringify({ query, variables }),
]
const one = operation(uploadOne, { input: { flow: main, file: null } })
const map = (paths: object): [string, string] => ['map', JSON.stringify(paths)]
const file = (text: string, name = 'a.txt') => new File([text], name, { type: 'text/plain' })
const toInput = { 0: ['variables.input.file'] }

describe('a file comes with the operation', () => {
  test('and is there as it was', async () => {
    const bytes = new Uint8Array(randomBytes(300_000))
    const variables = { input: { flow: main, file: null, tags: ['#new'], clientMutationId: 'mine' } }
    const { status, json } = await send([
      operation(uploadOne, variables),
      map(toInput),
      ['0', new File([bytes], 'päck.bin', { type: 'application/zip' })],
    ])
    expect(status).toBe(200)
    const { clientMutationId, uploadedMessage } = json.data.uploadFile
    expect(clientMutationId).toBe('mine')
    expect(uploadedMessage).toMatchObject({
      tags: [':file', 'new'],
      file: { name: 'päck.bin', contentType: 'application/zip', byteSize: 300_000 },
    })
    const answer = await fetch(app.url + uploadedMessage.file.url)
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes)
  })

  test('several, each with its own answer, in the order of the document', async () => {
    const { json } = await send([
      operation(
        `mutation ($a: Upload!, $b: Upload!) {
          first: uploadFile(input: { flow: { path: "example/main" }, file: $a }) { ${uploaded} }
          second: uploadFile(input: { flow: { path: "example/main" }, file: $b, name: "renamed.txt" }) { ${uploaded} }
          third: uploadFile(input: { flow: { path: "example/nowhere" }, file: $b }) { ${uploaded} } }`,
        { a: null, b: null },
      ),
      map({ x: ['variables.b'], y: ['variables.a'] }),
      ['x', file('second')],
      ['y', file('first', 'first.txt')],
    ])
    expect(json.data.first.uploadedMessage.file.name).toBe('first.txt')
    expect(json.data.second.uploadedMessage.file.name).toBe('renamed.txt')
    expect(json.data.third).toMatchObject({ __typename: 'NotFound' })
    const read = await fetch(app.url + json.data.second.uploadedMessage.file.url)
    expect(await read.text()).toBe('second')
  })

  test('with what an integration presents, whose body refers to it', async () => {
    const created = await app.graphql(
      'Ada',
      'mutation { createSource(input: { flow: { path: "example/main" }, name: "Camera" }) { ... on CreateSourcePayload { flowToken } } }',
    )
    const input = {
      ...{ flowToken: created.data.createSource.flowToken, title: 'photographed', externalThreadId: 'P1' },
      ...{ author: { name: 'Marty' }, body: '<img src="cid:file1">', thread: { title: 'A picture' } },
      ...{ attachments: [null], tags: ['photo'] },
    }
    const { json } = await send([
      operation(
        `mutation ($input: PresentInput!) { present(input: $input) { ... on PresentPayload { presentedMessage {
          tags thread { title } ... on Discussion { body } attachments { name contentId url } } } ... on UserError { message } } }`,
        { input },
      ),
      map({ 0: ['variables.input.attachments.0'] }),
      ['0', file('pixels', 'photo.txt')],
    ])
    const { presentedMessage } = json.data.present
    expect(presentedMessage).toMatchObject({
      thread: { title: 'A picture' },
      body: '<img src="cid:file1">',
      attachments: [{ name: 'photo.txt', contentId: 'file1' }],
    })
    expect(presentedMessage.tags).toContain('photo')
    expect(await (await fetch(app.url + presentedMessage.attachments[0].url)).text()).toBe('pixels')
  })
})

describe('it is refused, and nothing is sent or left over', () => {
  test.each<[string, number, string, [string, string | File][]]>([
    ['no map', 400, 'Expected the field "map" to be a JSON object', [one]],
    [
      'no operations',
      400,
      'Expected the field "operations" to be a JSON object',
      [map(toInput), ['0', file('x')]],
    ],
    [
      'operations that are no JSON',
      400,
      `Expected the field "operations" to be a JSON object: Expected property name or '}' in line 1, column 2`,
      [['operations', '{'], map(toInput), ['0', file('x')]],
    ],
    [
      'a batch',
      400,
      'Batches are not supported: send each operation in a request of its own',
      [['operations', '[]'], map(toInput), ['0', file('x')]],
    ],
    ['a file the map does not name', 400, 'The file "0" is not in the map', [one, map({}), ['0', file('x')]]],
    ['a file that is missing', 400, 'The map names a file "0" that is not there', [one, map(toInput)]],
    [
      'a path outside the variables',
      400,
      'Expected the map\'s path "query" to lead to a variable that is null',
      [one, map({ 0: ['query'] }), ['0', file('x')]],
    ],
    [
      'a path to what is not null',
      400,
      'Expected the map\'s path "variables.input.flow" to lead to a variable that is null',
      [one, map({ 0: ['variables.input.flow'] }), ['0', file('x')]],
    ],
    [
      'a path through a prototype',
      400,
      'Expected the map\'s path "variables.__proto__.file" to lead to a variable that is null',
      [one, map({ 0: ['variables.__proto__.file'] }), ['0', file('x')]],
    ],
    [
      'more files than five',
      413,
      'There are more than 5 files',
      [one, map(toInput), ...[0, 1, 2, 3, 4, 5].map((name): [string, File] => [String(name), file('x')])],
    ],
    [
      'a file of more than 50 MB',
      413,
      'A file is longer than 52428800 bytes',
      [one, map(toInput), ['0', new File([new Uint8Array(50 * 1024 * 1024 + 1)], 'big.bin')]],
    ],
  ])('%s', async (_, status, message, parts) => {
    app.calls.length = 0
    const answer = await send(parts)
    expect(answer).toMatchObject({ status, json: { errors: [{ message }] } })
    // The credential may be confirmed; nothing else is sent.
    expect(app.calls.filter(({ url }) => !url.endsWith('/user'))).toEqual([])
    // Others in this folder have theirs for as long as it takes to make a file without a name.
    await expect
      .poll(async () =>
        (await readdir(tmpdir())).filter((name) => /^flowdock-gateway-[0-9a-f]{24}$/.test(name)),
      )
      .toEqual([])
  })

  test('from a page without a preflight', async () => {
    const { status, json } = await send([one, map(toInput), ['0', file('x')]], {
      'graphql-require-preflight': '',
    })
    expect(status).toBe(415)
    expect(json.errors[0].message).toContain('graphql-require-preflight')
  })

  test('a file that JSON pretends to be', async () => {
    const answer = await app.graphql('Ada', uploadOne, {
      input: { flow: main, file: { name: 'a', contentType: 'text/plain', read: 'x' } },
    })
    expect(answer.errors?.[0]?.message).toContain('Expected a file of a multipart request')
    const literal = await app.graphql(
      'Ada',
      'mutation { uploadFile(input: { flow: { path: "example/main" }, file: "x" }) { __typename } }',
    )
    expect(literal.errors?.[0]?.extensions?.['code']).toBe('GRAPHQL_VALIDATION_FAILED')
  })

  test('a client that leaves half-way, and others go on', async () => {
    const { hostname, port } = new URL(app.url)
    const socket = connect(Number(port), hostname)
    const head =
      `POST /graphql HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: multipart/form-data; boundary=x\r\n` +
      `graphql-require-preflight: 1\r\nContent-Length: 100000\r\n\r\n` +
      `--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}\r\n` +
      `--x\r\nContent-Disposition: form-data; name="0"; filename="a"\r\n\r\nhalf of it`
    socket.write(head, () => socket.resetAndDestroy())
    await new Promise((resolve) => socket.on('close', resolve))
    await eventually(async () => {
      const { json } = await send([one, map(toInput), ['0', file('after')]])
      return json.data.uploadFile.uploadedMessage.file.byteSize === 5
    })
  })
})
