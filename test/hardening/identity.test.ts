import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openAdministration } from '../../src/backend/admin/administration.ts'
import { eventually, isAtRest, liveMembers, openSubscription, post, socketClient } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { arrivingFiles } from '../support/files.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'

/* Whose data is whose, and until when. */

let fortress: Fortress
beforeAll(async () => {
  fortress = await startFortress()
})
afterAll(() => fortress.close())

describe('a token that is taken back', () => {
  const query = 'subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) { cursor } }'

  test.each([
    ['of whose stream it is', 'ada@example.com', 0],
    ['of a guest at the stream of somebody else', 'ben@example.com', 1],
  ])(
    'ends the subscription %s within seconds, and no other',
    async (_, email, taken) => {
      const { app } = fortress
      const administration = await openAdministration({
        dataDir: app.backend.dataDir,
        databaseUrl: undefined,
      })
      const tokens: string[] = []
      for (const each of ['ada@example.com', 'ben@example.com'])
        tokens.push(String((await administration.addToken(each))['token']))
      const subscriptions = []
      for (const [index, token] of tokens.entries()) {
        const subscription = openSubscription(socketClient(app.url, token), query)
        subscriptions.push({ subscription, result: subscription.next() })
        await eventually(() => liveMembers(app) === index + 1)
      }
      const before = await administration.listTokens(email)
      const begun = Date.now()
      await administration.removeToken(email, String(before.at(-1)?.['id']))
      const ended = await subscriptions[taken]?.result
      expect(ended?.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
      expect(Date.now() - begun).toBeLessThan(6000)
      // The other one goes on, over a stream of its own if need be.
      await eventually(() => liveMembers(app) === 1)
      await app.backend.as('Cleo')('POST', '/flows/example/main/messages', {
        event: 'message',
        content: 'on',
      })
      expect((await subscriptions[1 - taken]?.result)?.data).toBeDefined()
      for (const { subscription } of subscriptions) await subscription.close()
      await administration.close()
      await eventually(() => isAtRest(app))
    },
    20_000,
  )
})

test.each([true, false])(
  'a file that is arriving when its token is revoked (%s) is stored only otherwise',
  async (isRevoked) => {
    const { app } = fortress
    const { dataDir } = app.backend
    const administration = await openAdministration({ dataDir, databaseUrl: undefined })
    onTestFinished(() => administration.close())
    const token = String((await administration.addToken('ben@example.com'))['token'])
    const name = `arriving-${isRevoked}.txt`
    const { data } = await post(
      app.url,
      {
        query: `mutation { createUpload(input: { flow: { path: "example/main" }, name: "${name}", contentType: "text/plain" }) {
          ... on CreateUploadPayload { url } } }`,
      },
      token,
    )
    const sending = request(app.url + data.createUpload.url, {
      method: 'PUT',
      headers: { 'content-length': 200_000 },
    })
    const answer = once(sending, 'response') as Promise<[IncomingMessage]>
    sending.write('x'.repeat(100_000))
    // The backend has authenticated the request once it writes the file.
    await eventually(async () => (await arrivingFiles(dataDir)).length > 0)
    if (isRevoked) {
      const id = (await administration.listTokens('ben@example.com')).at(-1)?.['id']
      await administration.removeToken('ben@example.com', String(id))
    }
    sending.end('x'.repeat(100_000))
    const [response] = await answer
    response.resume()
    expect(response.statusCode).toBe(isRevoked ? 401 : 201)
    const messages = await app.backend.as('Ada')('GET', '/flows/example/main/messages?event=file&limit=1')
    expect(messages.json[0]?.content.file_name === name).toBe(!isRevoked)
    await eventually(async () => (await arrivingFiles(dataDir)).length === 0)
  },
)

test('an unknown e-mail address gets the response of a wrong password', async () => {
  const ask = async (email: string) => {
    const answer = await fetch(`${fortress.app.backend.url}/user`, {
      headers: { authorization: `Basic ${btoa(`${email}:wrong`)}` },
    })
    const headers = Object.fromEntries(answer.headers)
    return {
      status: answer.status,
      text: await answer.text(),
      headers: { ...headers, date: '', 'x-request-id': '' },
    }
  }
  const known = await ask('ada@example.com')
  expect(known.status).toBe(401)
  expect(await ask('nobody@example.com')).toEqual(known)
})

test('a thousand pairs of the same query at once get each their own', async () => {
  const { app } = fortress
  const tokens = await Promise.all((['Ada', 'Ben', 'Cleo'] as const).map((nick) => app.backend.token(nick)))
  const query =
    '{ viewer { nick email } flows { nodes { path } } privateConversations { nodes { user { nick } } } }'
  const alone = await Promise.all(tokens.map((token) => post(app.url, { query }, token)))
  for (let round = 0; round < 7; round += 1) {
    const all = await Promise.all(
      Array.from(
        { length: 150 },
        async (_, index) => [index % 3, await post(app.url, { query }, tokens[index % 3])] as const,
      ),
    )
    for (const [person, answer] of all) expect(answer).toEqual(alone[person])
  }
}, 120_000)

describe('what belongs to another organization', () => {
  /** Somebody of an organization of their own, with everything there is. */
  async function makeStranger() {
    const { app } = fortress
    const administration = await openAdministration({ dataDir: app.backend.dataDir, databaseUrl: undefined })
    await administration.addOrganization('Rival', 'rival')
    await administration.addUser({
      ...{
        organization: 'rival',
        nick: 'Eve',
        name: 'Eve',
        email: 'eve@rival.example',
        password: 'long enough',
      },
      ...{ id: undefined, admin: true },
    })
    const token = String((await administration.addToken('eve@rival.example'))['token'])
    await administration.close()
    return token
  }

  test('is not there by its id, path, address, cursor or search, and cannot be changed', async () => {
    const { app } = fortress
    const eve = await makeStranger()
    const ada = await app.backend.token('Ada')
    const theirs = await post(
      app.url,
      {
        query: `{ viewer { id } flow(by: { path: "example/main" }) { id databaseId webUrl organization { id }
          messages(last: 1) { edges { cursor node { id ... on ChatMessage { thread { id } } } } } sources { nodes { id } } invitations { nodes { id } } } }`,
      },
      ada,
    )
    expect(theirs.errors).toBeUndefined()
    const flow = theirs.data.flow
    const message = flow.messages.edges[0]
    const ids: string[] = [
      theirs.data.viewer.id,
      flow.id,
      flow.organization.id,
      message.node.id,
      message.node.thread?.id,
    ]
      .concat(flow.sources.nodes.map(({ id }: { id: string }) => id))
      .filter((id) => id != null)
    expect(ids.length).toBeGreaterThan(3)
    const seen = await post(
      app.url,
      { query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }', variables: { ids } },
      eve,
    )
    expect(seen.data.nodes).toEqual(ids.map(() => null))
    for (const by of [
      { path: 'example/main' },
      { id: flow.id },
      { databaseId: flow.databaseId },
      { url: flow.webUrl },
    ]) {
      const answer = await post(
        app.url,
        { query: 'query ($by: FlowBy!) { flow(by: $by) { name } }', variables: { by } },
        eve,
      )
      expect(answer.data?.flow ?? null).toBeNull()
    }
    const resource = await post(
      app.url,
      {
        query: 'query ($url: String!) { resource(url: $url) { __typename } }',
        variables: { url: flow.webUrl },
      },
      eve,
    )
    expect(resource.data?.resource ?? null).toBeNull()
    const search = await post(
      app.url,
      {
        query:
          '{ search(text: "release") { nodes { id } } flows(scope: ALL) { nodes { path } } organizations { nodes { slug } } }',
      },
      eve,
    )
    expect(search.data).toEqual({
      search: { nodes: [] },
      flows: { nodes: [] },
      organizations: { nodes: [{ slug: 'rival' }] },
    })
    const changes = [
      `editMessage(input: { messageId: "${message.node.id}", content: "x" })`,
      `deleteMessage(input: { messageId: "${message.node.id}" })`,
      `addTags(input: { messageId: "${message.node.id}", tags: ["x"] })`,
      'sendMessage(input: { flow: { path: "example/main" }, content: "x" })',
      'joinFlow(input: { flow: { path: "example/main" } })',
    ]
    for (const change of changes) {
      const { data, errors } = await post(
        app.url,
        { query: `mutation { result: ${change} { __typename } }` },
        eve,
      )
      const outcome = data?.result?.__typename ?? errors?.[0]?.extensions?.['code']
      expect(['NotFound', 'Forbidden', 'NOT_FOUND', 'FORBIDDEN']).toContain(outcome)
    }
    const live = openSubscription(
      socketClient(app.url, eve),
      'subscription ($by: FlowBy!, $after: String) { flowEvents(input: { flows: [$by], after: $after }) { cursor } }',
      {
        ...{ by: { path: 'example/main' }, after: message.cursor },
      },
    )
    const first = await live.next().catch((errors: unknown) => ({ errors }))
    expect(JSON.stringify(first)).toMatch(/NOT_FOUND|FORBIDDEN/)
    await live.close()
    // A file of theirs is read by nobody else, whoever knows where it is.
    const form = new FormData()
    form.append('event', 'file')
    form.append('content', new Blob(['secret plan']), 'plan.txt')
    const stored = await fetch(`${app.backend.url}/flows/example/main/messages`, {
      method: 'POST',
      headers: { authorization: basic(ada) },
      body: form,
    })
    const path = `${app.backend.url}/${(await stored.json()).content.path.replace(/^\/+/, '')}`
    expect((await fetch(path, { headers: { authorization: basic(ada) } })).status).toBe(200)
    const answer = await fetch(path, { headers: { authorization: basic(eve) } })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(await answer.text()).not.toContain('secret plan')
  })
})
