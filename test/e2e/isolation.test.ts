import { expect, onTestFinished, test } from 'vitest'
import { eventually, hasServiceStream, isAtRest, liveMembers, startTestApp } from '../support/app.ts'
import type { Nick } from '../support/backend.ts'
import { type LiveClient, liveTransports } from '../support/live-client.ts'
import { createRandom } from '../support/query-generator.ts'

/*
 * Nobody receives more than they may, whatever the order of coming, going, talking and listening. A model keeps who was in
 * which flow when. `STEPS=10000` for a long run; `SEED` repeats one.
 */

const steps = Number(process.env['STEPS'] ?? 2000)
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

const people: readonly Nick[] = ['Ada', 'Ben', 'Cleo']
const userIds: Readonly<Record<Nick, number>> = { Ada: 1, Ben: 2, Cleo: 3 }
/** Who made a flow stays, and says who else is in it. */
const flows = [
  { slug: 'of-ada', owner: 'Ada' },
  { slug: 'of-ben', owner: 'Ben' },
  { slug: 'of-cleo', owner: 'Cleo' },
] as const

/** The same fields for everybody, and some that depend on who asks. */
const selections = [
  'cursor ... on MessageAdded { message { ... on ChatMessage { content } } }',
  'cursor ... on MessageAdded { message { viewerCanEdit ... on ChatMessage { content } } }',
]

interface Sent {
  readonly step: number
  /** Where it went: a flow, or two people. */
  readonly flow: string | undefined
  readonly to: readonly Nick[]
}

interface Listening {
  readonly nick: Nick
  readonly client: LiveClient
  readonly query: string
  cursor: string | undefined
}

test(`${steps} steps of joining, leaving, sending and subscribing: no user receives another user’s data (SEED=${seed})`, async () => {
  const random = createRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const app = await startTestApp()
  onTestFinished(app.close)
  /** For each flow and person: the steps at which they came in and went out, in turn. */
  const stays = new Map<string, number[]>()
  const staysOf = (flow: string, nick: Nick) => stays.get(`${flow} ${nick}`) ?? []
  const isIn = (flow: string, nick: Nick) => staysOf(flow, nick).length % 2 === 1
  const turn = (flow: string, nick: Nick, at: number) =>
    stays.set(`${flow} ${nick}`, [...staysOf(flow, nick), at])
  const wasInSince = (flow: string, nick: Nick, since: number) =>
    isIn(flow, nick) || (staysOf(flow, nick).at(-1) ?? -1) > since

  // Only an admin may shut somebody out.
  await app.backend.store.write((db) => db.updateTable('organization_members').set({ admin: 1 }).execute())
  for (const { slug, owner } of flows) {
    await app.backend.as(owner)('POST', '/flows/example', { name: slug })
    turn(slug, owner, 0)
  }
  const sent = new Map<string, Sent>()
  const leaks: string[] = []
  const open: Listening[] = []
  let heardCount = 0
  let guestSteps = 0
  /** Whose stream the others are borrowers at, to hear the host's flow; undefined when everybody listens to anything. */
  let host: Nick | undefined
  let step = 0

  async function listen(nick: Nick, query: string, after: string | undefined): Promise<void> {
    const listening: Listening = {
      ...{ nick, query, cursor: after },
      client: pick(liveTransports)[1]({
        ...{ url: app.url, token: await app.backend.token(nick), query },
        variables: { after },
        onResult({ data }) {
          const event = data?.flowEvents
          if (event == null) return
          listening.cursor = event.cursor || listening.cursor
          const content: string | undefined = event.message?.content
          const about = content === undefined ? undefined : sent.get(content)
          if (about === undefined) return
          heardCount += 1
          const may =
            about.flow === undefined ? about.to.includes(nick) : wasInSince(about.flow, nick, about.step)
          if (!may) leaks.push(`${nick} heard ${content} of step ${about.step} at step ${step}`)
        },
      }),
    }
    void listening.client.ended.then(() => {
      const at = open.indexOf(listening)
      if (at >= 0) open.splice(at, 1)
    })
    open.push(listening)
  }
  onTestFinished(() => {
    for (const { client } of [...open]) client.close()
  })

  /** Nobody listens any more. */
  async function quiet(): Promise<void> {
    for (const { client } of open.splice(0)) client.close()
    await eventually(() => liveMembers(app) === 0 && isAtRest(app))
  }

  const say = async () => {
    const flow = pick(flows).slug
    const nick = pick(people.filter((each) => isIn(flow, each)))
    const content = `said ${step}`
    sent.set(content, { step, flow, to: [] })
    await app.backend.as(nick)('POST', `/flows/example/${flow}/messages`, { event: 'message', content })
  }
  const whisper = async () => {
    const from = pick(people)
    const to = pick(people.filter((each) => each !== from))
    const content = `whispered ${step}`
    sent.set(content, { step, flow: undefined, to: [from, to] })
    await app.backend.as(from)('POST', `/private/${userIds[to]}/messages`, { event: 'message', content })
  }
  const comeOrGo = async () => {
    const { slug, owner } = pick(flows)
    const nick = pick(people.filter((each) => each !== owner))
    const path = `/flows/example/${slug}/users`
    const as = app.backend.as(owner)
    if (isIn(slug, nick)) {
      expect((await as('PUT', `${path}/${userIds[nick]}`, { disabled: true })).status).toBe(200)
      turn(slug, nick, step)
      return
    }
    turn(slug, nick, step)
    const { status } =
      staysOf(slug, nick).length === 1
        ? await as('POST', path, { id: userIds[nick] })
        : await as('PUT', `${path}/${userIds[nick]}`, { disabled: false })
    expect(status).toBe(200)
  }
  const beginToListen = async () => {
    if (open.length >= 12) return
    const nick = pick(people)
    const mine = flows
      .filter(({ slug, owner }) => isIn(slug, nick) && (host === undefined || owner === host))
      .map(({ slug }) => slug)
    if (mine.length === 0) return
    const named = `flows: [${pick([mine, [pick(mine)]]).map((slug) => `{ path: "example/${slug}" }`)}]`
    const inputs = [named, '', `${named}, includePrivate: true`, 'includePrivate: true']
    const input = host === undefined || host === nick ? pick(inputs) : named
    const query = `subscription ($after: String) { flowEvents(input: { ${input === '' ? '' : `${input}, `}after: $after }) { __typename ${pick(selections)} } }`
    await listen(nick, query, undefined)
  }
  const leaveOrGoOn = async () => {
    if (open.length === 0) return
    const listening = pick(open)
    open.splice(open.indexOf(listening), 1)
    listening.client.close()
    if (random() < 0.5) await listen(listening.nick, listening.query, listening.cursor)
  }

  for (step = 1; step <= steps; step += 1) {
    if (step % 200 === 0) {
      await quiet()
      host = pick([...people, undefined])
      if (host !== undefined)
        await listen(host, `subscription { flowEvents(input: {}) { __typename cursor } }`, undefined)
    }
    for (const { borrowers } of app.state().sources) guestSteps += borrowers
    const chance = random()
    if (chance < 0.5) await say()
    else if (chance < 0.6) await whisper()
    else if (chance < 0.72) await comeOrGo()
    else if (chance < 0.88) await beginToListen()
    else await leaveOrGoOn()
    if (leaks.length > 0) break
  }
  expect(leaks).toEqual([])
  // Whoever listens does hear.
  expect(heardCount).toBeGreaterThan(steps / 10)
  if (!hasServiceStream) expect(guestSteps).toBeGreaterThan(steps / 10)
  await quiet()
}, 600_000)
