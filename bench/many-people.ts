import { manyFlows } from './many-flows.ts'
import { makePeople, type People, type Service, startService } from './people.ts'
import { openPeopleSockets, type PeopleSockets } from './people-sockets.ts'
import { cpuSeconds, memoryKiB } from './pinned-process.ts'

const peopleCount = Number(process.env['PEOPLE'] ?? 200)
/** What is run: messages at a steady rate, the same with a field that depends on the viewer, a return, a crowd, many flows. */
const scenes = (process.env['SCENES'] ?? 'steady').split(',')
const missedCount = Number(process.env['MISSED'] ?? 100)
const crowdCount = Number(process.env['CROWD'] ?? 2000)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const messagesEachSecond = 25
const messagesEachRound = 100
/** Nothing is waited for longer. */
const withinMs = 90_000
const content = 'something somebody had to say to everybody else in this flow. '.repeat(4)

const queryOf = (more: string) =>
  `subscription ($after: String) { messageAdded(input: { after: $after }) { __typename cursor ... on MessageAdded { message { id author { name } ${more} ... on ChatMessage { content } } } } }`

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.max(ms, 0)))
const at = (sorted: Float64Array, share: number) =>
  sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN
const median = (list: number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? Number.NaN

interface Contender {
  readonly name: string
  readonly tokenOf: (index: number) => string
}

/** Many people, each with a token of their own and the default subscription, beside as many sockets with one token. */
export async function manyPeople(): Promise<void> {
  for (const scene of scenes) {
    if (scene === 'steady') await steady('')
    else if (scene === 'viewer') await steady('viewerCanEdit')
    else if (scene === 'return') await comeBack()
    else if (scene === 'crowd') await crowd()
    else if (scene === 'flows') await manyFlows()
    else throw new Error(`There is no scene ${scene}; there are steady, viewer, return, crowd, flows`)
  }
}

function contendersOf({ tokens }: People): Contender[] {
  return [
    { name: 'one token', tokenOf: () => tokens[0] ?? '' },
    { name: 'own tokens', tokenOf: (index) => tokens[index % tokens.length] ?? '' },
  ]
}

interface Stage {
  readonly contender: Contender
  readonly people: People
  readonly service: Service
  readonly sockets: PeopleSockets
  /** When each message of the round was posted. */
  readonly postedAt: number[]
  /** How many events each subscription had before the round. */
  before: number
  delays: Float64Array
  delayCount: number
  readonly cpus: number[]
  readonly openMs: number
  readonly memoryKiB: number
  lost: number
}

async function steady(more: string): Promise<void> {
  console.log(
    `\n${peopleCount} people in a busy flow and 20 of them in each quiet one, ${messagesEachSecond} messages a second${more === '' ? '' : `, ${more} selected`}`,
  )
  const stages: Stage[] = []
  const setting = await makePeople(peopleCount)
  const copies = [setting, await makePeople(peopleCount)]
  for (const [index, { name }] of contendersOf(setting).entries()) {
    const people = copies[index] as People
    const contender = contendersOf(people)[index] as Contender
    const service = await startService(people)
    await service.post('so that there is a message')
    const idle = memoryKiB(service.pid)
    const begun = performance.now()
    const postedAt: number[] = []
    const stage: Stage = {
      ...{ contender: { ...contender, name }, people, service, postedAt },
      ...{ before: 0, delays: new Float64Array(peopleCount * messagesEachRound * rounds), delayCount: 0 },
      ...{ cpus: [], lost: 0 },
      sockets: openPeopleSockets({
        ...{ port: service.port, count: peopleCount, tokenOf: contender.tokenOf, query: queryOf(more) },
        atOnce: 50,
        onEvent(_, count) {
          const posted = postedAt[count - stage.before]
          if (posted === undefined || stage.delayCount === stage.delays.length) return
          stage.delays[stage.delayCount] = performance.now() - posted
          stage.delayCount += 1
        },
      }),
      openMs: 0,
      memoryKiB: 0,
    }
    await stage.sockets.until(() => stage.sockets.open + stage.sockets.failed === peopleCount, withinMs)
    const openMs = performance.now() - begun
    await pause(1000)
    stages.push(Object.assign(stage, { openMs, memoryKiB: memoryKiB(service.pid) - idle }))
  }
  for (const stage of stages) await playRound(stage, 20)
  for (const stage of stages) {
    stage.delayCount = 0
    stage.cpus.length = 0
  }
  for (let round = 0; round < rounds; round += 1)
    for (const stage of round % 2 === 0 ? stages : stages.toReversed())
      await playRound(stage, messagesEachRound)
  const [one] = stages
  for (const stage of stages) {
    const { contender, service, sockets, openMs, cpus } = stage
    const sorted = stage.delays.subarray(0, stage.delayCount).sort()
    const cpu = median(cpus)
    const streams = await service.metric('flowdock_gateway_upstream_streams')
    console.log(
      `  ${contender.name.padEnd(11)} ${cpu.toFixed(2).padStart(7)} µs of CPU each (${(cpu / median(one?.cpus ?? [])).toFixed(2)} ×)  p50 ${at(sorted, 0.5).toFixed(1)} ms, p99 ${at(sorted, 0.99).toFixed(1)} ms  open after ${openMs.toFixed(0)} ms`,
    )
    console.log(
      `              failed ${sockets.failed}, turned away ${sockets.turnedAway}, lost ${stage.lost}  ${(stage.memoryKiB / 1024).toFixed(0)} MiB more, ${(stage.memoryKiB / peopleCount).toFixed(1)} KiB each  ${streams} upstream streams`,
    )
  }
  for (const { sockets, service, people } of stages) {
    sockets.close()
    await service.close()
    people.remove()
  }
}

async function playRound(stage: Stage, count: number): Promise<void> {
  const { service, sockets, postedAt } = stage
  const open = sockets.people.filter(({ isOpen }) => isOpen)
  postedAt.length = 0
  stage.before = open[0]?.events ?? 0
  for (const person of open) person.events = stage.before
  const before = sockets.events
  const cpu = cpuSeconds(service.pid)
  const begun = performance.now()
  for (let index = 0; index < count; index += 1) {
    await pause(begun + (index * 1000) / messagesEachSecond - performance.now())
    postedAt.push(performance.now())
    await service.post(content)
  }
  const expected = before + count * open.length
  await sockets.until(() => sockets.events >= expected, 15_000)
  const delivered = sockets.events - before
  stage.lost += count * open.length - delivered
  stage.cpus.push(((cpuSeconds(service.pid) - cpu) * 1e6) / Math.max(delivered, 1))
}

/** Everybody comes back to a gateway that was started again, each having missed some messages. */
async function comeBack(): Promise<void> {
  console.log(`\n${peopleCount} people come back after a restart, each having missed ${missedCount} messages`)
  const people = await makePeople(peopleCount)
  for (const { name, tokenOf } of contendersOf(people)) {
    const before = await startService(people)
    await before.post('so that there is a message')
    const first = openPeopleSockets({ port: before.port, count: 1, tokenOf, query: queryOf(''), atOnce: 1 })
    await first.until(() => first.open === 1, withinMs)
    const cursor = first.people[0]?.cursor
    first.close()
    for (let index = 0; index < missedCount; index += 1) await before.post(`${content}${index}`)
    await before.close()
    const service = await startService(people)
    await pause(1000)
    const cpu = cpuSeconds(service.pid)
    const begun = performance.now()
    const sockets = openPeopleSockets({
      ...{ port: service.port, count: peopleCount, tokenOf, query: queryOf(''), atOnce: peopleCount },
      variablesOf: () => ({ after: cursor }),
    })
    const expected = peopleCount * missedCount
    const isWhole = await sockets.until(() => sockets.events >= expected, withinMs)
    const ms = performance.now() - begun
    const each = ((cpuSeconds(service.pid) - cpu) * 1e6) / Math.max(sockets.events, 1)
    const complete = sockets.people.filter(({ events }) => events === missedCount).length
    console.log(
      `  ${name.padEnd(11)} ${isWhole ? `all have all after ${(ms / 1000).toFixed(1)} s` : `after ${(ms / 1000).toFixed(0)} s ${sockets.events} of ${expected}`}, ${each.toFixed(1)} µs of CPU each  whole ${complete}, failed ${sockets.failed}, turned away ${sockets.turnedAway}`,
    )
    sockets.close()
    await service.close()
  }
  people.remove()
}

/** Sockets that connect and subscribe at once. */
async function crowd(): Promise<void> {
  console.log(`\n${crowdCount} sockets connect and subscribe at once, those of ${peopleCount} people`)
  const people = await makePeople(peopleCount)
  for (const { name, tokenOf } of contendersOf(people)) {
    const service = await startService(people)
    await service.post('so that there is a message')
    await pause(1000)
    const cpu = cpuSeconds(service.pid)
    const begun = performance.now()
    const sockets = openPeopleSockets({
      ...{ port: service.port, count: crowdCount, tokenOf, query: queryOf(''), atOnce: crowdCount },
    })
    await sockets.until(() => sockets.open + sockets.failed >= crowdCount, withinMs)
    const ms = performance.now() - begun
    console.log(
      `  ${name.padEnd(11)} ${sockets.open} open after ${(ms / 1000).toFixed(1)} s, ${(cpuSeconds(service.pid) - cpu).toFixed(1)} s of CPU  failed ${sockets.failed}, turned away ${sockets.turnedAway}`,
    )
    sockets.close()
    await service.close()
  }
  people.remove()
}
