import { makePeople, startService, teamFlow } from './people.ts'
import { openPeopleSockets } from './people-sockets.ts'
import { cpuSeconds, memoryKiB } from './pinned-process.ts'

const flowCount = Number(process.env['FLOWS'] ?? 100)
const perFlow = Number(process.env['PER_FLOW'] ?? 100)
const peopleCount = flowCount * perFlow
const messagesEachSecond = Number(process.env['MESSAGES_EACH_SECOND'] ?? 100)
const secondsEachRound = Number(process.env['SECONDS'] ?? 20)
const rounds = Number(process.env['ROUNDS'] ?? 3)
/** Nothing is waited for longer. */
const withinMs = 150_000
const content = 'something somebody had to say to everybody else in this flow. '.repeat(4)

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.max(ms, 0)))
const at = (sorted: Float64Array, share: number) =>
  sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN
const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN

interface Round {
  readonly p50: number
  readonly p99: number
  readonly longest: number
  /** Until the backend has stored a message and said so, p99. */
  readonly stored: number
  /** Of the gateway with its backend, and of the clients, as shares of a core. */
  readonly cpu: number
  readonly clients: number
  readonly deliveries: number
  readonly missing: number
  readonly unexpected: number
}

/**
 * Many people in as many flows as a company has, who all are connected, with a token each. Messages are posted over REST at a
 * steady rate, by a member of each flow in turn, and every delivery is counted for every person.
 */
export async function manyFlows(): Promise<void> {
  console.log(
    `\n${peopleCount} people in ${flowCount} flows of ${perFlow}, ${messagesEachSecond} messages a second in all, for ${secondsEachRound} s`,
  )
  const people = await makePeople(peopleCount, { teamSize: perFlow, hasBusyFlow: false })
  const service = await startService(people, '0-1023')
  const idle = memoryKiB(service.pid)
  /** When each message of the round was sent, by flow. */
  let sentAt: number[][] = []
  let delays = new Float64Array(0)
  let delayCount = 0
  let unexpected = 0
  const begun = performance.now()
  const sockets = openPeopleSockets({
    ...{ port: service.port, count: peopleCount, atOnce: 100 },
    tokenOf: (index) => people.tokens[index] ?? '',
    query:
      'subscription ($after: String) { messageAdded(input: { after: $after }) { __typename cursor ... on MessageAdded { message { id author { name } ... on ChatMessage { content } } } } }',
    onEvent(index, count) {
      const sent = sentAt[index % flowCount]?.[count]
      if (sent === undefined) unexpected += 1
      else {
        delays[delayCount] = performance.now() - sent
        delayCount += 1
      }
    },
  })
  await sockets.until(() => sockets.open + sockets.failed === peopleCount, withinMs)
  console.log(
    `  ${sockets.open} subscriptions open after ${((performance.now() - begun) / 1000).toFixed(1)} s, failed ${sockets.failed}, turned away ${sockets.turnedAway}`,
  )
  await pause(2000)
  console.log(`  ${((memoryKiB(service.pid) - idle) / peopleCount).toFixed(1)} KiB for each`)

  async function play(seconds: number): Promise<Round> {
    sentAt = Array.from({ length: flowCount }, () => [])
    for (const person of sockets.people) person.events = 0
    const count = messagesEachSecond * seconds
    delays = new Float64Array(count * perFlow)
    delayCount = 0
    unexpected = 0
    const before = sockets.events
    const expected = before + count * perFlow
    const cpu = cpuSeconds(service.pid)
    const clients = process.cpuUsage()
    const start = performance.now()
    const posts: Promise<number>[] = []
    const post = async (flow: number, token: string) => {
      const sent = performance.now()
      await service.postTo(teamFlow(flow), token, content)
      return performance.now() - sent
    }
    for (let index = 0; index < count; index += 1) {
      await pause(start + (index * 1000) / messagesEachSecond - performance.now())
      const flow = index % flowCount
      const author = flow + flowCount * (Math.floor(index / flowCount) % perFlow)
      sentAt[flow]?.push(performance.now())
      posts.push(post(flow, people.tokens[author] ?? ''))
    }
    const stored = Float64Array.from(await Promise.all(posts)).sort()
    await sockets.until(() => sockets.events >= expected, 15_000)
    const ms = performance.now() - start
    const used = process.cpuUsage(clients)
    // Those that have more than they should must not make up for those that have less.
    const missing = sockets.people.reduce(
      (sum, { index, events }) => sum + Math.max((sentAt[index % flowCount]?.length ?? 0) - events, 0),
      0,
    )
    const sorted = delays.subarray(0, delayCount).sort()
    return {
      ...{ p50: at(sorted, 0.5), p99: at(sorted, 0.99), longest: at(sorted, 1), missing, unexpected },
      stored: at(stored, 0.99),
      deliveries: sockets.events - before,
      cpu: ((cpuSeconds(service.pid) - cpu) * 1000) / ms,
      clients: (used.user + used.system) / 1000 / ms,
    }
  }

  await play(5)
  const results: Round[] = []
  for (let round = 0; round < rounds; round += 1) results.push(await play(secondsEachRound))
  const of = (key: keyof Round) => median(results.map((each) => each[key]))
  const sum = (key: keyof Round) => results.reduce((total, each) => total + each[key], 0)
  console.log(
    `  delay from sending a message: p50 ${of('p50').toFixed(1)} ms, p99 ${of('p99').toFixed(1)} ms (${results.map(({ p99 }) => p99.toFixed(1)).join(', ')}), longest ${of('longest').toFixed(0)} ms; stored and confirmed: p99 ${of('stored').toFixed(1)} ms`,
  )
  console.log(
    `  ${sum('deliveries')} deliveries, missing ${sum('missing')}, unexpected ${sum('unexpected')}  CPU of the service ${(of('cpu') * 100).toFixed(0)} % of a core, of its clients ${(of('clients') * 100).toFixed(0)} %  ${await service.metric('flowdock_gateway_upstream_streams')} upstream streams`,
  )
  sockets.close()
  await service.close()
  people.remove()
}
