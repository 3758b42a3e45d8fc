import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import {
  eventually,
  liveMembers,
  type Result,
  type Subscription,
  startTestApp,
  streamsOf,
} from '../support/app.ts'

const people = ['Ada', 'Ben', 'Cleo'] as const
/** Fields of a message whose results are shared by all members of the flow, or by those with the same answers. */
const selections = [
  ...['id', 'databaseId', 'sentAt', 'tags', 'url', 'webUrl', 'viewerCanEdit', 'viewerCanDelete'],
  ...[
    'author { __typename name avatarUrl }',
    'flow { id name path description }',
    'thread { id title status { value } }',
  ],
  ...['mentions { user { nick } group }', '... on ChatMessage { content }', 'reactions { emoji count }'],
  'attachments { name contentType path }',
]

test('what members of a group share is what each of them would get alone, byte for byte', async () => {
  let delivered = 0
  const app = await startTestApp()
  onTestFinished(app.close)
  let round = 0
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(selections, { minLength: 1 }),
      fc.array(fc.constantFrom(...people), { minLength: 1, maxLength: 4 }),
      async (fields, authors) => {
        round += 1
        const query = (name: string) =>
          `subscription ${name} { messageAdded(input: {}) { __typename cursor ... on MessageAdded { message { ${fields.join(' ')} } } } }`
        const open: { person: string; isAlone: boolean; subscription: Subscription; results: Result[] }[] = []
        for (const person of people)
          for (const isAlone of [false, true]) {
            // An operation of another name is another group.
            const name = isAlone ? `${person}${round}` : `Together${round}`
            const subscription = await app.subscribe(person, query(name))
            open.push({ person, isAlone, subscription, results: [] })
          }
        const reading = open.map(async ({ subscription, results }) => {
          for (const _ of authors) {
            const result = await subscription.next()
            if (result !== undefined) results.push(result)
          }
        })
        await eventually(() => liveMembers(app) === open.length)
        expect(
          app
            .state()
            .live.groups.map(({ members }) => members)
            .sort(),
        ).toEqual([1, 1, 1, 3])
        for (const author of authors)
          await app.backend.as(author)('POST', '/flows/example/main/messages', {
            ...{ event: 'message', content: `for all, @Ben #${author}` },
          })
        await Promise.all(reading)
        for (const person of people) {
          const [together, alone] = [false, true].map((isAlone) =>
            open.find((each) => each.person === person && each.isAlone === isAlone),
          )
          expect(together?.results).toHaveLength(authors.length)
          expect(JSON.stringify(together?.results)).toBe(JSON.stringify(alone?.results))
          delivered += authors.length
        }
        await Promise.all(open.map(({ subscription }) => subscription.close()))
        await eventually(() => app.state().live.operations === 0)
      },
    ),
    { numRuns: 15 },
  )
  expect(delivered).toBeGreaterThan(0)
}, 120_000)

test('an event for three users with a token each is executed once', async () => {
  const app = await startTestApp()
  onTestFinished(app.close)
  const query =
    'subscription { messageAdded(input: {}) { cursor ... on MessageAdded { message { databaseId editedBy: viewerCanEdit ... on ChatMessage { content } } } } }'
  const subscriptions = await Promise.all(people.map((person) => app.subscribe(person, query)))
  const firsts = subscriptions.map((each) => each.next())
  await eventually(() => liveMembers(app) === 3)
  expect(app.openStreams).toBe(streamsOf(3))
  expect(app.state().live.groups).toHaveLength(1)
  app.calls.length = 0
  await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content: 'once' })
  const results = await Promise.all(firsts)
  expect(results.map((result) => result?.data.messageAdded.message.editedBy)).toEqual([false, true, false])
  expect(new Set(results.map((result) => result?.data.messageAdded.cursor)).size).toBe(1)
  // Everything is known from the stream.
  expect(app.calls.filter(({ kind }) => kind !== 'stream')).toEqual([])
  await Promise.all(subscriptions.map((each) => each.close()))
})

test('one execution says to each viewer whether they administer the organization', async () => {
  const app = await startTestApp()
  onTestFinished(app.close)
  const query = `subscription { messageAdded(input: {}) {
    ... on MessageAdded { message { flow { organization { viewerIsAdmin } } } } } }`
  const subscriptions = await Promise.all(people.map((person) => app.subscribe(person, query)))
  onTestFinished(async () => void (await Promise.all(subscriptions.map((each) => each.close()))))
  const firsts = subscriptions.map((each) => each.next())
  await eventually(() => liveMembers(app) === 3)
  expect(app.state().live.groups).toMatchObject([{ members: 3, isShared: true }])
  app.calls.length = 0
  await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content: 'x' })
  const results = await Promise.all(firsts)
  expect(results.map((result) => result?.data.messageAdded.message.flow.organization)).toEqual([
    { viewerIsAdmin: true },
    { viewerIsAdmin: false },
    { viewerIsAdmin: false },
  ])
  // Those with the other answer need an execution of their own; equal answers share one.
  const reads = app.calls.filter(({ url }) => url.endsWith('/organizations/example/users'))
  expect(reads).toHaveLength(2)
})
