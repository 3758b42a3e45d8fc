import { readFile } from 'node:fs/promises'
import { getOperationAST, parse } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

/*
 * Every operation of the migration page is run as it stands: `F` is a flow of its own for each, and `…` what belongs
 * there.
 */

const page = await readFile(new URL('../../docs/migration.md', import.meta.url), 'utf8')
const rows = [...page.matchAll(/^\| (?!REST|---)(.*) \|$/gm)].map(([, row = '']) => row)
const operations = rows.map((row) => {
  const cell = row.slice(row.lastIndexOf(' | ') + 3)
  return /^`((?:\{|mutation|subscription) .*?)`/.exec(cell)?.[1] ?? `no operation in: ${row}`
})

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
  await app.backend.as('Ada')('POST', '/private/2/messages', { event: 'message', content: 'in private' })
})
afterAll(() => app.close())

const globalId = (type: string, key: string | number) => Buffer.from(`${type}:${key}`).toString('base64url')

/** A flow with something of everything in it. */
async function makeFlow(name: string) {
  const ada = app.backend.as('Ada')
  const { json: flow } = await ada('POST', '/flows/example', { name })
  const path = `example/${flow.parameterized_name}`
  const post = async (to: string, body: object) => (await ada('POST', `/flows/${path}/${to}`, body)).json
  const first = await post('messages', { event: 'message', content: 'words #a' })
  const second = await post('messages', { event: 'message', content: 'more' })
  const content = { data: btoa('x'), content_type: 'text/plain', file_name: 'a.txt' }
  const file = await post('messages', { event: 'file', content })
  const source = await post('sources', { name: 'Source' })
  const invitation = await post('invitations', { email: `${flow.parameterized_name}@example.com` })
  await post('users', { id: 2 })
  return { flow, path, first, second, file, source, invitation }
}

/** The operation with everything in it that it names, in the order it stands there. */
function fill(operation: string, made: Awaited<ReturnType<typeof makeFlow>>): string {
  const { flow, path, first, second, file, source, invitation } = made
  const message = globalId('Message', `${flow.id}:${first.id}`)
  const things: Readonly<Record<string, string>> = {
    databaseId: flow.id,
    messageId: message,
    sinceMessageId: message,
    untilMessageId: globalId('Message', `${flow.id}:${file.id}`),
    threadId: globalId('Thread', `${flow.id}:${second.thread_id}`),
    userId: globalId('User', /addFlowMember|removeOrganizationMember/.test(operation) ? 3 : 2),
    organizationId: globalId('Organization', 1),
    flowToken: source.flow_token,
    sourceId: globalId('Source', `${path}:${source.id}`),
    invitationId: globalId('Invitation', `${flow.id}:${invitation.id}`),
    after: operation.startsWith('subscription')
      ? '1'
      : Buffer.from(`message:${first.id}`).toString('base64url'),
    'id ChatMessage': message,
    'id FileMessage': globalId('Message', `${flow.id}:${file.id}`),
    'id Thread': globalId('Thread', `${flow.id}:${first.thread_id}`),
    'id User': globalId('User', 2),
  }
  return operation
    .replace(/\bF\b/g, `{ path: "${path}" }`)
    .replace(/(\w+): "…"(?:\) \{ \.\.\. on (\w+))?/g, (text, name: string, type?: string) => {
      const thing = things[type === undefined ? name : `${name} ${type}`]
      if (thing === undefined) throw new Error(`Nothing is known for ${text}`)
      return text.replace('…', thing)
    })
}

test('every row has an operation', () => {
  expect(operations.length).toBeGreaterThan(50)
  expect(operations.filter((operation) => operation.startsWith('no operation'))).toEqual([])
})

test.each(operations.map((operation, index) => [index, operation] as const))(
  '%i: %s',
  async (index, operation) => {
    const made = await makeFlow(`Migration ${index}`)
    const document = fill(operation, made)
    const kind = getOperationAST(parse(document))?.operation
    if (kind === 'subscription') {
      app.calls.length = 0
      const live = await app.subscribe('Ada', document)
      const next = live.next()
      await eventually(() => liveMembers(app) === 1)
      await app.backend.as('Ben')('POST', `/flows/${made.path}/messages`, {
        event: 'message',
        content: 'heard',
      })
      expect((await next)?.data.flowEvents.cursor).toMatch(/^\d+~/)
      await live.close()
      return
    }
    const { data, errors } = document.includes('Upload!')
      ? await sendFile(document)
      : await app.graphql('Ada', document)
    expect(errors).toBeUndefined()
    const [answer] = Object.values(data as Record<string, unknown>)
    expect(answer).not.toBeNull()
    // What a list should show is there.
    expect(JSON.stringify(answer)).not.toContain('"nodes":[]')
    if (kind === 'mutation' && document.includes('__typename'))
      expect(answer).toEqual({ __typename: expect.stringMatching(/Payload$/) })
  },
)

async function sendFile(query: string) {
  const body = new FormData()
  body.append('operations', JSON.stringify({ query, variables: { file: null } }))
  body.append('map', '{"0":["variables.file"]}')
  body.append('0', new File(['x'], 'a.txt'))
  const headers = { authorization: basic(await app.backend.token('Ada')), 'graphql-require-preflight': '1' }
  return (await fetch(`${app.url}/graphql`, { method: 'POST', headers, body })).json()
}
