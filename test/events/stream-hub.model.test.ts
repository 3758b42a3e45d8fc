import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Audience, audiencesOf, type Topic } from '../../src/events/audience.ts'
import { accessOf } from '../../src/events/entitlement.ts'
import type { Reader } from '../../src/events/reader.ts'
import { type ConnectRequest, type Principal, StreamHub } from '../../src/events/stream-hub.ts'
import type { StreamEntry } from '../../src/events/stream-log.ts'
import { Receivers } from '../support/receivers.ts'
import { ServiceWorld, type WorldPrincipal } from '../support/service-world.ts'

/** `STEPS=10000` makes the runs longer, `SEED` makes others. */
const steps = Number(process.env['STEPS'] ?? 120)
const runs = Number(process.env['RUNS'] ?? 150)
const seed = Number(process.env['SEED'] ?? 20_261)

/** What the model knows of a reader. */
interface Followed {
  readonly principal: WorldPrincipal
  readonly topic: Topic
  reader: Reader | undefined
  /** The number after which it goes on, and the log of that number. */
  position: number | undefined
  log: string | undefined
  /** Where the backend's log ended when it came, and whether the hub was live then. */
  readonly cameAt: number
  readonly cameWhileLive: boolean
  /** Where the log in memory ended when its access was held last. */
  subscription: number
  isLive: boolean
  isEnded: boolean
  /** The numbers it received of each log. */
  readonly received: { log: string; number: number }[]
  gaps: number
}

/** The hub between a modelled backend and modelled readers. Every delivery is compared with rule D. */
class Model {
  readonly world: ServiceWorld
  readonly followed: Followed[] = []
  readonly hub: StreamHub<string>
  now = 0
  /** How many entries a reader is late with what it receives live. */
  lag = 0
  #pending: ConnectRequest | undefined
  /** The number of the last event that was sent; undefined while there is no connection. */
  #sent: number | undefined
  #connectedTo = ''
  readonly #proofs: { principal: Principal; snapshot?: ReturnType<ServiceWorld['snapshot']> }[] = []
  readonly #byReader = new Map<Reader, Followed>()
  readonly #receivers = new Receivers()
  /** How often events were left out. */
  #skips = 0
  /** The log in memory, as the model follows it. */
  #log = ''

  constructor(users: number, flows: number) {
    this.world = new ServiceWorld(users, flows)
    this.hub = new StreamHub<string>({
      limits: { maxEvents: 8, maxBytes: 1_000_000 },
      effects: {
        connect: (request) => {
          this.#pending = request
        },
        disconnect: () => {
          this.#sent = undefined
          this.#pending = undefined
        },
        foreign: () => expect.unreachable(),
        prove: (principal) => {
          // One proof of a principal is under way at most.
          expect(this.#proofs.some((proof) => proof.principal === principal)).toBe(false)
          this.#proofs.push({ principal })
        },
        say: () => undefined,
        deliver: (entry) => this.#deliver(entry, this.#receivers.of(entry.audiences)),
        gap: (reader, after) => this.#gap(this.#find(reader), after),
        drain: (reader) => this.#begin(this.#find(reader)),
        replay: (reader) => {
          const followed = this.#find(reader)
          expect(reader.position).toBe(followed.position)
          expect(reader.position).toBeLessThan(this.hub.log.begin)
        },
        join: (reader, _, audiences) => {
          const followed = this.#find(reader)
          expect(followed.position).toBe(this.hub.log.end)
          followed.isLive = true
          this.#receivers.set(reader, audiences)
        },
        move: (reader, audiences) => {
          expect(this.#find(reader).isLive).toBe(true)
          this.#receivers.set(reader, audiences)
        },
        part: (reader) => {
          this.#receivers.delete(reader)
          return this.#part(this.#find(reader))
        },
        drop: ({ key }) => expect(this.hub.accessOf(key)).toBeUndefined(),
        end: (reader) => {
          const followed = this.#find(reader)
          expect(followed.isEnded).toBe(false)
          followed.isEnded = true
          followed.isLive = false
        },
      },
    })
  }

  /** Readers are made known by the first effect about them, which may come before `subscribe` returns. */
  #find(reader: Reader): Followed {
    let followed = this.#byReader.get(reader)
    if (followed === undefined) {
      followed = this.followed.find((each) => each.reader === undefined) as Followed
      followed.reader = reader
      this.#byReader.set(reader, followed)
    }
    return followed
  }

  subscribe(principal: WorldPrincipal, topic: Topic, after: number | undefined): void {
    const followed: Followed = {
      ...{ principal, topic, reader: undefined, position: after, subscription: 0 },
      log: after === undefined ? undefined : this.world.log,
      ...{ cameAt: this.world.end, cameWhileLive: this.hub.state === 'live' },
      ...{ isLive: false, isEnded: false, received: [], gaps: 0 },
    }
    this.followed.push(followed)
    const reader = this.hub.subscribe(principal.key, topic, after, this.now)
    this.#find(reader)
  }

  leave(followed: Followed): void {
    if (followed.isEnded || followed.reader === undefined) return
    followed.isEnded = true
    followed.isLive = false
    this.hub.leave(followed.reader, this.now)
  }

  #gap(followed: Followed, after: number | undefined): void {
    const { log, first } = { log: this.#log, first: this.world.epochs.get(this.#log)?.first ?? 0 }
    expect(after).toBe(followed.position)
    const isOfOther = followed.log !== log || this.world.log !== log
    const isPast = after !== undefined && after > Math.max(this.hub.log.end, followed.cameAt)
    const isOut = after === undefined || isPast || after < first - 1
    // The hub gives up events that the backend leaves out again and again.
    expect(isOfOther || isOut || this.#skips > 1).toBe(true)
    followed.position = this.hub.log.end
    followed.log = log
    followed.gaps += 1
  }

  /** Its access is held: it goes on where it was. */
  #begin(followed: Followed): void {
    followed.position ??= this.hub.log.end
    followed.log ??= this.#log
    expect(followed.log).toBe(this.#log)
    followed.subscription = this.hub.log.end
    expect(followed.reader?.position).toBe(followed.position)
  }

  #part(followed: Followed): number {
    followed.isLive = false
    const { log } = this.hub
    const joined = followed.received.length
    const number = Math.max(log.end - this.lag, log.begin, followed.subscription)
    // What was under way is not received; it comes again.
    while (followed.received.length > 0 && joined > 0) {
      const last = followed.received.at(-1)
      if (last === undefined || last.log !== this.#log || last.number <= number) break
      followed.received.pop()
    }
    followed.position = number
    return number === log.end ? log.seq : log.seqOf(number)
  }

  #names({ topic, principal }: Followed, audiences: ReadonlySet<Audience>): ReadonlySet<Audience> {
    const flows = [...audiences].filter((audience) => audience.startsWith('f:'))
    const access = accessOf({
      ...{ user: principal.user, grant: '', receivesFlows: true, isPrivate: true },
      flows: flows.map((audience) => audience.slice(2)),
    })
    return audiencesOf(topic, access)
  }

  /** Rule D: whether the event is for the reader, by the rights after an event. */
  #isFor(followed: Followed, audiences: readonly Audience[], rightsAfter: number): boolean {
    const rights = this.world.audiencesAfter(this.#log, rightsAfter, followed.principal.user)
    const names = this.#names(followed, rights)
    return audiences.some((audience) => names.has(audience))
  }

  #receive(followed: Followed, number: number): void {
    expect(followed.isEnded).toBe(false)
    expect(this.hub.accessOf(followed.principal.key)).toBeDefined()
    const last = followed.received.at(-1)
    if (last?.log === this.#log) expect(number).toBeGreaterThan(last.number)
    followed.received.push({ log: this.#log, number })
  }

  /** Every reader that is live, is in the audience and had the right before the event receives it, and no other does. */
  #deliver(entry: StreamEntry<string>, readers: readonly Reader[]): void {
    const { number, audiences, isSignal } = entry
    const rightsAfter = isSignal ? number : number - 1
    const expected = this.followed.filter(
      (each) => each.isLive && this.#isFor(each, audiences as readonly Audience[], rightsAfter),
    )
    expect(new Set(readers.map((reader) => this.#find(reader)))).toEqual(new Set(expected))
    expect(readers).toHaveLength(expected.length)
    if (!isSignal) for (const followed of expected) this.#receive(followed, number)
  }

  /** Sends the next events of the log. */
  send(count: number): void {
    for (let index = 0; index < count; index += 1) {
      if (this.#sent === undefined) return
      if (this.#sent === this.world.end) {
        this.hub.head(this.#sent)
        return
      }
      this.#frame(this.#sent + 1)
    }
  }

  #frame(number: number): void {
    const { event, bytes, audiences, change } = this.world.event(this.#connectedTo, number)
    const isNew = number === this.hub.log.end + 1
    const expected = this.followed.filter((each) => each.isLive).map((each) => each)
    this.#sent = Math.max(this.#sent ?? number, number)
    this.hub.frame(number, { event, bytes, audiences, change })
    if (!isNew) return
    // Whether it was for them or not: they are past it, unless the event took them out.
    for (const followed of expected) if (followed.isLive) followed.position = number
    // A reader whose access was held by this event begins after it.
  }

  /** Sends events again that were sent. */
  repeat(count: number): void {
    if (this.#sent === undefined) return
    const from = Math.max(this.world.first, this.#sent - count + 1)
    for (let number = from; number <= this.#sent; number += 1) this.#frame(number)
  }

  /** Leaves out events. */
  skip(count: number): void {
    if (this.#sent === undefined || this.#sent + count >= this.world.end) return
    this.#sent += count
    this.#skips += 1
    this.#frame(this.#sent + 1)
  }

  signal(flow: string): void {
    const audiences = [`f:${flow}`, `p:${flow}`] as const
    if (this.#sent !== undefined) this.hub.signal({ event: 'signal', bytes: 10, audiences })
  }

  cut(): void {
    if (this.#sent === undefined) return
    this.#sent = undefined
    this.hub.cut()
  }

  /** Makes the connection that the hub asked for. */
  connect(back: number): void {
    const request = this.#pending
    if (request === undefined) return
    this.#pending = undefined
    const { world } = this
    if (request.after !== undefined && (request.after < world.first - 1 || request.after > world.end))
      return this.hub.gone()
    const at = request.after ?? Math.max(world.first - 1, world.end - back)
    this.#connectedTo = world.log
    this.#sent = at
    // A log that goes on under the same id is the log in memory.
    this.#log = world.log
    this.hub.opened({ log: world.log, at, first: world.first })
  }

  failToConnect(how: 'cut' | 'refused'): void {
    if (this.#pending === undefined) return
    this.#pending = undefined
    this.hub[how]()
  }

  readProof(index: number): void {
    const proof = this.#proofs[index % this.#proofs.length]
    const principal = this.world.principals.find(({ key }) => key === proof?.principal.key)
    if (proof === undefined || principal === undefined) return
    if (this.world.isValid(principal)) proof.snapshot = this.world.snapshot(principal)
    else {
      this.#proofs.splice(this.#proofs.indexOf(proof), 1)
      this.hub.refuse(proof.principal, new Error('refused'))
    }
  }

  answerProof(index: number): void {
    const proof = this.#proofs[index % this.#proofs.length]
    if (proof?.snapshot === undefined) return
    this.#proofs.splice(this.#proofs.indexOf(proof), 1)
    this.hub.proved(proof.principal, proof.snapshot)
  }

  readProofs(): void {
    for (let index = this.#proofs.length; index > 0; index -= 1) this.readProof(index - 1)
  }

  answerProofs(): void {
    for (let index = this.#proofs.length; index > 0; index -= 1) this.answerProof(index - 1)
  }

  failProof(index: number): void {
    const [proof] = this.#proofs.splice(index % Math.max(this.#proofs.length, 1), 1)
    if (proof !== undefined) this.hub.unproved(proof.principal, new Error('unreachable'))
  }

  /** Lets a reader read what it has to catch up with. */
  read(followed: Followed, count: number): void {
    const { reader } = followed
    if (reader === undefined) return
    if (reader.state === 'replaying') return this.#replay(followed, reader)
    for (let index = 0; index < count && reader.state === 'draining'; index += 1) {
      const end = this.hub.log.end
      const fellBehind = (followed.position as number) < this.hub.log.begin
      const expected = fellBehind ? undefined : this.#nextFor(followed, end)
      const entry = this.hub.next(reader)
      if (entry?.isSignal === true) {
        expect(this.#isFor(followed, entry.audiences as readonly Audience[], entry.number)).toBe(true)
        followed.position = entry.number
        continue
      }
      expect(entry?.number).toBe(expected)
      if (entry === undefined) return
      followed.position = entry.number
      this.#receive(followed, entry.number)
    }
  }

  /** The number of the next event for a reader that drains, by rule D. */
  #nextFor(followed: Followed, end: number): number | undefined {
    for (let number = (followed.position as number) + 1; number <= end; number += 1) {
      const { audiences } = this.world.event(this.#log, number)
      if (this.#isFor(followed, audiences, number <= followed.subscription ? end : number - 1)) return number
    }
    if (followed.position !== undefined && followed.position >= this.hub.log.begin) followed.position = end
    return undefined
  }

  /** The backend sends what is older than the memory, by the rights that are there now. */
  #replay(followed: Followed, reader: Reader): void {
    const { world, hub } = this
    const position = followed.position as number
    if (position < world.first - 1 || world.log !== this.#log) return hub.replayGone(reader)
    const until = hub.log.begin
    for (let number = position + 1; number <= until; number += 1) {
      const { audiences } = world.event(world.log, number)
      if (this.#isFor(followed, audiences, world.end) && hub.mayHear(reader, audiences))
        this.#receive(followed, number)
    }
    followed.position = until
    hub.replayed(reader, until)
  }

  reset(base: number, toggle: string): void {
    this.world.reset(base, toggle)
    if (this.#sent === undefined) return
    this.#sent = undefined
    this.hub.cut()
  }

  audit(): void {
    for (const { key, access } of [...this.hub.held()]) {
      const { flows } = access
      const principal = this.world.principals.find((each) => each.key === key) as WorldPrincipal
      const now = new Set(this.world.snapshot(principal).flows.map((flow) => `f:${flow}`))
      if (
        !this.world.isValid(principal) ||
        now.size !== flows.size ||
        ![...now].every((flow) => flows.has(flow as Audience))
      )
        this.hub.auditFailed(key)
    }
  }

  tick(ms: number): void {
    this.now += ms
    this.hub.tick(this.now)
  }

  /** I4, I5: who is a member of what is what the rights of the log in memory say. */
  check(): void {
    const { hub } = this
    const live = this.followed.filter(({ isLive }) => isLive)
    expect(this.#receivers.size).toBe(live.length)
    for (const followed of this.followed) {
      const { reader, principal, isLive, isEnded } = followed
      if (reader === undefined) continue
      expect(reader.state === 'live').toBe(isLive)
      expect(reader.state === 'ended').toBe(isEnded)
      const audiences = this.#receivers.audiencesOf(reader)
      if (!isLive) {
        expect(audiences).toBeUndefined()
        continue
      }
      const rights = this.world.audiencesAfter(this.#log, hub.log.end, principal.user)
      const names = this.#names(followed, rights)
      // Comparing is dear: most of the time there is nothing to say.
      const isRight = audiences?.size === names.size && [...names].every((name) => audiences.has(name))
      if (!isRight) expect(audiences).toEqual(names)
    }
  }

  /** Lets what is under way go on. */
  catchUp(): void {
    this.connect(3)
    this.readProofs()
    this.answerProofs()
    this.send(1000)
    for (const followed of this.followed) this.read(followed, 1000)
    this.check()
  }

  /** Lets everything that is under way come to its end. */
  settle(): void {
    const isSettled = () =>
      this.hub.readerCount === 0 ||
      (this.hub.state === 'live' && this.followed.every(({ isEnded, isLive }) => isEnded || isLive))
    for (let round = 0; round < 3 || (round < 50 && !isSettled()); round += 1) this.catchUp()
    if (this.hub.readerCount === 0) return
    expect(this.hub.state).toBe('live')
    for (const { isEnded, isLive, position } of this.followed) {
      expect(isEnded || isLive).toBe(true)
      if (isLive) expect(position).toBe(this.world.end)
    }
    for (const { isEnded, principal } of this.followed)
      if (!this.world.isValid(principal)) expect(isEnded).toBe(true)
  }
}

type Step = readonly [name: string, run: (model: Model) => void]

class StepCommand implements fc.Command<object, Model> {
  readonly #name: string
  readonly #run: (model: Model) => void

  constructor([name, run]: Step) {
    this.#name = name
    this.#run = run
  }

  check(): boolean {
    return true
  }

  run(_: object, model: Model): void {
    this.#run(model)
    model.check()
  }

  toString(): string {
    return this.#name
  }
}

const number = fc.nat({ max: 1000 })

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(list.length, 1)]
}

/** Steps that name what they are about by number, so that one that comes to nothing can be left out. */
function stepsOf(build: (a: number, b: number, c: number) => Step, weight = 1) {
  return Array.from({ length: weight }, () =>
    fc.tuple(number, number, number).map(([a, b, c]) => new StepCommand(build(a, b, c))),
  )
}

const commands = [
  ...stepsOf((a) => [`post ${a}`, ({ world }) => world.post(`f:${pick(world.flows, a)}`)], 4),
  ...stepsOf((a) => [`post to user ${a}`, ({ world }) => world.post(`u:${pick(world.users, a) as number}`)]),
  ...stepsOf((a, b) => [
    `join ${a} ${b}`,
    ({ world }) => world.join(pick(world.users, a) as number, pick(world.flows, b) as string),
  ]),
  ...stepsOf((a, b) => [
    `block ${a} ${b}`,
    ({ world }) => world.block(pick(world.users, a) as number, pick(world.flows, b) as string),
  ]),
  ...stepsOf((a) => [`archive ${a}`, ({ world }) => world.archive(pick(world.flows, a) as string)]),
  ...stepsOf((a, b) => [
    `reach ${a} ${b}`,
    ({ world }) => world.reach(pick(world.users, a) as number, pick(world.flows, b) as string),
  ]),
  ...stepsOf((a, b) => [
    `revoke ${a} ${b}`,
    ({ world }) => {
      if (b < 200) world.revoke(pick(world.principals, a) as WorldPrincipal)
    },
  ]),
  ...stepsOf((a) => [`retain ${a}`, ({ world }) => world.retain(1 + (a % 15))]),
  ...stepsOf(
    (a, b, c) => [
      `subscribe ${a} ${b} ${c}`,
      (model) => {
        const { world } = model
        const principal = pick(world.principals, a) as WorldPrincipal
        const named = world.flows.filter((flow) => world.isMember(principal.user, flow))
        const topic: Topic = {
          flows: b % 3 === 0 && named.length > 0 ? named : 'all',
          isPrivate: b % 2 === 0,
        }
        const after =
          c % 4 === 0 ? Math.max(world.end - (c % 20), 0) : c % 31 === 0 ? world.end + 5 : undefined
        model.subscribe(principal, topic, after)
      },
    ],
    3,
  ),
  ...stepsOf((a) => [
    `leave ${a}`,
    (model) => {
      const followed = pick(model.followed, a)
      if (followed !== undefined) model.leave(followed)
    },
  ]),
  ...stepsOf((a) => [
    `resume ${a}`,
    (model) => {
      const followed = pick(model.followed, a)
      if (followed?.position === undefined || followed.log !== model.world.log) return
      model.leave(followed)
      model.subscribe(followed.principal, followed.topic, followed.position)
    },
  ]),
  ...stepsOf((a) => [`send ${a}`, (model) => model.send(1 + (a % 4))], 4),
  ...stepsOf((a) => [`repeat ${a}`, (model) => model.repeat(a % 5)]),
  ...stepsOf((a, b) => [
    `skip ${a}`,
    (model) => {
      if (b % 4 === 0) model.skip(1 + (a % 2))
    },
  ]),
  ...stepsOf((a) => [`signal ${a}`, (model) => model.signal(pick(model.world.flows, a) as string)]),
  ...stepsOf(() => ['cut', (model) => model.cut()]),
  ...stepsOf((a) => [`connect ${a}`, (model) => model.connect(a % 6)], 3),
  ...stepsOf((a) => [`fail to connect`, (model) => model.failToConnect(a % 2 === 0 ? 'cut' : 'refused')]),
  ...stepsOf((a) => [`read proof ${a}`, (model) => model.readProof(a)], 3),
  ...stepsOf((a) => [`answer proof ${a}`, (model) => model.answerProof(a)], 3),
  ...stepsOf((a, b) => [
    `fail proof ${a}`,
    (model) => {
      if (b % 3 === 0) model.failProof(a)
    },
  ]),
  ...stepsOf(
    (a, b) => [
      `read ${a} ${b}`,
      (model) => {
        const followed = pick(model.followed, a)
        if (followed !== undefined) model.read(followed, 1 + (b % 4))
      },
    ],
    4,
  ),
  // A proof that is overtaken by what it does not know.
  ...stepsOf(
    (a, b, c) => [
      `overtake ${a} ${b} ${c}`,
      (model) => {
        const { world } = model
        const principal = pick(world.principals, a) as WorldPrincipal
        const flow = pick(world.flows, b) as string
        if (model.hub.accessOf(principal.key) !== undefined) model.hub.auditFailed(principal.key)
        else model.subscribe(principal, { flows: 'all', isPrivate: true }, undefined)
        model.connect(3)
        model.send(100)
        model.readProofs()
        if (c % 4 === 0) world.reach(principal.user, flow)
        else if (c % 31 === 0) world.revoke(principal)
        else if (c % 17 === 0) model.reset(80 + (b % 40), flow)
        else if (c % 2 === 0) world.join(principal.user, flow)
        else world.block(principal.user, flow)
        world.post(`f:${flow}`)
        model.connect(c % 5)
        model.send(100)
        model.answerProofs()
      },
    ],
    3,
  ),
  ...stepsOf(() => ['catch up', (model) => model.catchUp()], 6),
  ...stepsOf(
    (a, b) => [
      `post and send ${a} ${b}`,
      (model) => {
        for (let index = 0; index <= b % 4; index += 1)
          model.world.post(`f:${pick(model.world.flows, a + index)}`)
        model.send(10)
      },
    ],
    6,
  ),
  ...stepsOf((a, b, c) => [
    `reset ${a} ${b}`,
    (model) => {
      if (c < 300) model.reset(80 + (a % 40), pick(model.world.flows, b) as string)
    },
  ]),
  ...stepsOf(() => ['audit', (model) => model.audit()]),
  ...stepsOf((a) => [`tick ${a}`, (model) => model.tick(a % 3 === 0 ? 9000 : 100)]),
  ...stepsOf((a) => [
    `lag ${a}`,
    (model) => {
      model.lag = a % 4
    },
  ]),
]

describe.each([
  [3, 3],
  [8, 6],
])('%i users and %i flows', (users, flows) => {
  test('under any interleaving of joins, blocks, revocations, proofs, cuts and resets each reader receives what rule D says', () => {
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: steps, size: 'max' }), (sequence) => {
        const model = new Model(users, flows)
        fc.modelRun(() => ({ model: {}, real: model }), sequence)
        model.settle()
      }),
      { numRuns: runs, seed, ...(steps > 1000 ? { endOnFailure: true } : {}) },
    )
  })
})
