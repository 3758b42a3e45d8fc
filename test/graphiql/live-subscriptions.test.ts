import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLiveLog } from '../../scripts/graphiql/live-log.ts'
import { createLiveSubscriptions, type LiveSubscriptions } from '../../scripts/graphiql/live-subscriptions.ts'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const liveMain = {
  operationName: 'Live',
  query: `subscription Live { flowEvents(input: { flows: [{ path: "example/main" }] }) {
    __typename cursor ... on MessageAdded { message { author { name } ... on ChatMessage { content } } } } }`,
}

function makeSubscriptions() {
  const log = createLiveLog(100)
  const subscriptions = createLiveSubscriptions(`${app.url}/graphql`, log)
  const lines = () => log.get().entries.map(({ kind, summary }) => `${kind}: ${summary}`)
  return { log, subscriptions, lines }
}

/** Resolves once what is running satisfies the check. */
function until(
  subscriptions: LiveSubscriptions,
  check: (state: ReturnType<LiveSubscriptions['get']>) => boolean,
) {
  return new Promise<void>((resolve) => {
    const leave = subscriptions.subscribe(() => {
      if (!check(subscriptions.get())) return
      leave()
      resolve()
    })
  })
}

test('a subscription lists its events until it is stopped', async () => {
  const { subscriptions, lines } = makeSubscriptions()
  expect(subscriptions.get()).toEqual({ running: [], connection: 'idle' })
  const running = subscriptions.start(liveMain, basic(await app.backend.token('Ada')))
  expect(subscriptions.get()).toMatchObject({
    running: [{ name: 'Live', count: 0 }],
    connection: 'connecting',
  })
  await eventually(() => liveMembers(app) === 1)
  expect(subscriptions.get().connection).toBe('connected')
  const counted = until(subscriptions, ({ running: [each] }) => each?.count === 1)
  await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content: 'listed' })
  await counted
  running.stop()
  expect(await running.ended).toBeUndefined()
  expect(subscriptions.get()).toEqual({ running: [], connection: 'idle' })
  expect(lines()).toEqual([
    'note: Live was started.',
    'event: MessageAdded · Ben Okri · listed',
    'note: Live was stopped.',
  ])
})

test('what runs already is not started a second time, unless its variables or its credential differ', async () => {
  const { subscriptions } = makeSubscriptions()
  const [ada, ben] = [basic(await app.backend.token('Ada')), basic(await app.backend.token('Ben'))]
  const first = subscriptions.start(liveMain, ada)
  expect(subscriptions.start({ ...liveMain }, ada)).toBe(first)
  const others = [
    subscriptions.start(liveMain, ben),
    subscriptions.start({ ...liveMain, variables: { a: 1 } }, ada),
  ]
  expect(subscriptions.get().running).toHaveLength(3)
  for (const running of [first, ...others]) running.stop()
  await Promise.all([first, ...others].map(({ ended }) => ended))
  expect(subscriptions.get()).toEqual({ running: [], connection: 'idle' })
})

test('a subscription that is refused ends with the reason, in the log, too', async () => {
  const { subscriptions, lines } = makeSubscriptions()
  const query = 'subscription Live { flowEvents(input: { flows: [{ path: "example/nowhere" }] }) { cursor } }'
  const refused = subscriptions.start({ query }, basic(await app.backend.token('Ada')))
  expect(await refused.ended).toMatchObject({ code: 'NOT_FOUND' })
  expect(subscriptions.get()).toEqual({ running: [], connection: 'idle' })
  expect(lines()).toEqual([
    'note: Subscription was started.',
    expect.stringMatching(/^error: .*names a flow that does not exist/),
  ])
  const anonymous = subscriptions.start(liveMain, '')
  expect(await anonymous.ended).toMatchObject({ code: 'UNAUTHENTICATED' })
})
