import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { openAdministration } from '../../src/backend/admin/administration.ts'
import {
  eventually,
  hasServiceStream,
  isAtRest,
  liveMembers,
  openSubscription,
  socketClient,
  startTestApp,
  streamsOf,
} from '../support/app.ts'
import { basic, type Nick, startTestBackend } from '../support/backend.ts'
import { startSelectiveProxy } from '../support/selective-proxy.ts'

/* Somebody who lost access to a flow, and whose upstream does not answer the question whether they have. */

const broken: Record<string, (response: ServerResponse) => void> = {
  'answers 500': (response) => response.writeHead(500).end(),
  'answers broken JSON': (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('[{"id":'),
  'never answers': () => undefined,
}

/**
 * Ada owns the stream, Ben is a borrower at it, where each principal has one. From `breakNow` on, what lists the flows of Ben alone
 * is broken; with a service stream, which says itself who may receive what, the audit that compares that.
 */
async function start(how: string) {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  let isBroken = false
  let asked = 0
  const bens = basic(await backend.token('Ben'))
  const listsFlows = ({ url, headers }: IncomingMessage) => {
    const { pathname } = new URL(url ?? '', 'http://x')
    if (hasServiceStream) return pathname === '/service/v1/audit'
    return headers.authorization === bens && pathname === '/flows'
  }
  const upstreamUrl = await startSelectiveProxy(backend.url, (request, response) => {
    if (!isBroken || !listsFlows(request)) return false
    asked += 1
    // A stream of one's own lists the flows with their users.
    if (request.url?.includes('users=')) return false
    broken[how]?.(response)
    return true
  })
  const app = await startTestApp({ upstreamUrl })
  onTestFinished(app.close)
  const query =
    'subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) { __typename ... on MessageAdded { message { ... on ChatMessage { content } } } } }'
  async function listen(nick: Nick) {
    const before = liveMembers(app)
    const subscription = openSubscription(socketClient(app.url, await backend.token(nick)), query)
    onTestFinished(subscription.close)
    const heard: string[] = []
    const errors: unknown[] = []
    const ended = (async () => {
      for (let next = await subscription.next(); next !== undefined; next = await subscription.next()) {
        errors.push(...(next.errors ?? []))
        const event = next.data?.flowEvents
        heard.push(event?.message?.content ?? event?.__typename)
      }
    })()
    await eventually(() => liveMembers(app) > before)
    return { heard, errors, ended }
  }
  const ada = await listen('Ada')
  const ben = await listen('Ben')
  expect(app.state().sources).toMatchObject([{ subscriptions: 2, borrowers: hasServiceStream ? 0 : 1 }])
  return {
    ...{ app, backend, ada, ben },
    askedFor: () => asked,
    breakNow() {
      isBroken = true
    },
    say: (content: string) =>
      backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content }),
  }
}

test.each(Object.keys(broken))(
  'somebody who is shut out receives nothing after that, also where the upstream %s to the question',
  async (how) => {
    const { backend, ada, ben, breakNow, say } = await start(how)
    await say('before')
    await eventually(() => ben.heard.includes('before'))
    breakNow()
    await backend.as('Ada')('PUT', '/flows/example/main/users/2', { disabled: true })
    await say('secret')
    await ben.ended
    await eventually(() => ada.heard.includes('secret'))
    expect(ben.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
    expect(ben.heard).not.toContain('secret')
  },
)

test('a user who loses access without an event receives nothing after ten seconds without a confirmation', async () => {
  const { app, backend, ben, breakNow, say, askedFor } = await start('never answers')
  // An audit that is never answered says nothing; access follows the log all the same.
  if (!hasServiceStream) {
    breakNow()
    await eventually(() => askedFor() > 0)
  }
  // No event tells of that.
  await backend.store.write((db) =>
    db.updateTable('users').set({ disabled: 1 }).where('id', '=', 2).execute(),
  )
  await expect.poll(() => liveMembers(app)).toBe(1)
  await say('secret')
  await ben.ended
  expect(ben.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
  expect(ben.heard).not.toContain('secret')
})

test('a user whose access cannot be confirmed for a while, and who still has it, misses nothing', async () => {
  const { app, ben, breakNow, say, askedFor } = await start('answers 500')
  breakNow()
  await expect.poll(askedFor).toBeGreaterThan(0)
  await say('one')
  await expect.poll(() => app.state().sources.length).toBe(streamsOf(2))
  await say('two')
  await eventually(() => ben.heard.length >= 2)
  expect(ben.heard).toEqual(['one', 'two'])
  expect(app.state().sources.map(({ borrowers }) => borrowers)).not.toContain(1)
})

/** Somebody who listens to every flow as Ben, each time from where they were; another subscription of Ben's keeps his stream open. */
async function startWithBen() {
  const app = await startTestApp()
  onTestFinished(app.close)
  const query = `subscription ($after: String) { flowEvents(input: { includeStatus: true, after: $after }) {
    __typename cursor ... on MessageAdded { message { flow { path } ... on ChatMessage { content } } } } }`
  const listen = async (after?: string) => {
    const subscription = await app.subscribe('Ben', query, { after })
    onTestFinished(subscription.close)
    const heard: string[] = []
    let cursor = ''
    return {
      ...{ heard, close: subscription.close, cursor: () => cursor },
      /** Reads until a message was heard. @throws the errors it ended with */
      async until(content: string) {
        while (!heard.includes(content)) {
          const result = await subscription.next()
          if (result === undefined || result.errors !== undefined) throw result?.errors
          const event = result.data?.flowEvents
          cursor = event?.cursor ?? cursor
          if (event?.message !== undefined) heard.push(event.message.content)
        }
      },
    }
  }
  const keeping = await app.subscribe('Ben', query)
  onTestFinished(keeping.close)
  await eventually(() => liveMembers(app) === 1)
  const say = (content: string, flow = 'main') =>
    app.backend.as('Ada')('POST', `/flows/example/${flow}/messages`, { event: 'message', content })
  return { app, listen, say }
}

test('a user who resumes after losing a flow receives nothing of it from the gateway’s memory', async () => {
  const { app, listen, say } = await startWithBen()
  const before = await listen()
  await eventually(() => liveMembers(app) === 2)
  await say('first')
  await before.until('first')
  await before.close()
  await say('secret')
  await say('elsewhere', 'engineering')
  await app.backend.as('Ada')('PUT', '/flows/example/main/users/2', { disabled: true })
  const after = await listen(before.cursor())
  await after.until('elsewhere')
  expect(after.heard).toEqual(['elsewhere'])
})

test('a revoked token ends its subscriptions, and those that begin while they end', async () => {
  const { app, listen } = await startWithBen()
  const { email } = (await app.backend.as('Ben')('GET', '/user')).json
  const administration = await openAdministration(app.backend.location)
  onTestFinished(administration.close)
  const [token] = await administration.listTokens(email)
  await administration.removeToken(email, String(token?.['id']))
  const late = await listen()
  await expect(late.until('anything')).rejects.toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
  await expect.poll(() => isAtRest(app)).toBe(true)
})
