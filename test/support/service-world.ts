import type { Audience } from '../../src/events/audience.ts'
import type { AccessChange, Snapshot } from '../../src/events/entitlement.ts'
import type { Frame } from '../../src/events/stream-hub.ts'

/** An event of the log of a modelled backend. */
export interface WorldEvent extends Frame<string> {
  readonly number: number
  readonly audiences: readonly Audience[]
}

export interface WorldPrincipal {
  readonly key: string
  readonly user: number
  readonly grant: string
}

type Rights = ReadonlyMap<number, ReadonlySet<string>>

/** One log, and what every user could receive after each of its events: `rights[0]` is from before the first. */
interface Epoch {
  readonly id: string
  readonly base: number
  readonly events: WorldEvent[]
  readonly rights: Rights[]
  /** The number of the oldest event. */
  first: number
}

/** A backend as the hub sees it, and the whole truth of who may receive what. */
export class ServiceWorld {
  readonly flows: readonly string[]
  readonly principals: readonly WorldPrincipal[]
  readonly epochs = new Map<string, Epoch>()
  readonly #valid = new Set<string>()
  #epoch: Epoch

  constructor(users: number, flows: number) {
    this.flows = Array.from({ length: flows }, (_, index) => `flow-${index}`)
    this.principals = Array.from({ length: users + 1 }, (_, index) => ({
      key: `principal-${index}`,
      // The first user has two credentials.
      user: index % users,
      grant: `grant-${index}`,
    }))
    for (const { grant } of this.principals) this.#valid.add(grant)
    const rights: Rights = new Map(
      Array.from({ length: users }, (_, user) => [
        user,
        new Set(this.flows.filter((_, index) => (index + user) % 3 !== 0)),
      ]),
    )
    this.#epoch = this.#begin(1, 100, rights)
  }

  get log(): string {
    return this.#epoch.id
  }

  get first(): number {
    return this.#epoch.first
  }

  get end(): number {
    return this.#epoch.base + this.#epoch.events.length
  }

  get users(): number[] {
    return [...this.#now().keys()]
  }

  #now(): Rights {
    return this.#epoch.rights.at(-1) as Rights
  }

  isValid({ grant }: WorldPrincipal): boolean {
    return this.#valid.has(grant)
  }

  isMember(user: number, flow: string): boolean {
    return this.#now().get(user)?.has(flow) === true
  }

  /** E(number − 1) or, with the number of the event before, E(number): what a user could receive after an event. */
  audiencesAfter(log: string, number: number, user: number): ReadonlySet<Audience> {
    const { base, rights } = this.epochs.get(log) as Epoch
    const flows = (rights[number - base] as Rights).get(user) ?? new Set()
    return new Set<Audience>([...[...flows].map((flow): Audience => `f:${flow}`), `u:${user}`])
  }

  event(log: string, number: number): WorldEvent {
    const { base, events } = this.epochs.get(log) as Epoch
    return events[number - base - 1] as WorldEvent
  }

  snapshot({ user, grant }: WorldPrincipal): Snapshot {
    const flows = [...(this.#now().get(user) ?? [])]
    return {
      log: this.log,
      at: this.end,
      user,
      grant,
      flows,
      receivesFlows: true,
      isPrivate: true,
      expiresAt: undefined,
    }
  }

  post(audience: Audience): void {
    this.#append([audience], undefined)
  }

  join(user: number, flow: string): void {
    if (this.isMember(user, flow)) return
    this.#append([`f:${flow}`], undefined)
    this.#append([`u:${user}`], { kind: 'joined', user, flow })
  }

  block(user: number, flow: string): void {
    if (!this.isMember(user, flow)) return
    this.#append([`f:${flow}`], { kind: 'left', user, flow })
    this.#append([`u:${user}`], { kind: 'left', user, flow })
  }

  archive(flow: string): void {
    for (const user of this.users)
      if (this.isMember(user, flow)) this.#append([`u:${user}`], { kind: 'left', user, flow })
  }

  /** The flows of a user change, and the log says only that they did. */
  reach(user: number, flow: string): void {
    this.#append([], { kind: 'userChanged', user }, (flows) => toggled(flows, flow))
  }

  revoke({ grant }: WorldPrincipal): void {
    if (!this.#valid.delete(grant)) return
    this.#append([], { kind: 'grantEnded', grant })
  }

  /** Forgets the oldest events, but never the newest. */
  retain(events: number): void {
    this.#epoch.first = Math.max(this.#epoch.first, this.end - events + 1)
  }

  /** A backup is restored: another log, and whatever rights it has. */
  reset(base: number, toggle: string): void {
    const rights = new Map([...this.#now()].map(([user, flows]) => [user, toggled(flows, toggle)]))
    this.#epoch = this.#begin(this.epochs.size + 1, base, rights)
  }

  #begin(index: number, base: number, rights: Rights): Epoch {
    const epoch: Epoch = { id: `log-${index}`, base, events: [], rights: [rights], first: base + 1 }
    this.epochs.set(epoch.id, epoch)
    return epoch
  }

  #append(
    audiences: readonly Audience[],
    change: AccessChange | undefined,
    silently?: (flows: ReadonlySet<string>) => ReadonlySet<string>,
  ): void {
    const { events, rights } = this.#epoch
    const number = this.end + 1
    const next = new Map(this.#now())
    if (change !== undefined && 'user' in change) {
      const flows = new Set(next.get(change.user))
      if (change.kind === 'joined') flows.add(change.flow)
      if (change.kind === 'left') flows.delete(change.flow)
      next.set(change.user, silently?.(flows) ?? flows)
    }
    events.push({ number, event: `${this.log} ${number}`, bytes: 100, audiences, change })
    rights.push(next)
  }
}

function toggled(flows: ReadonlySet<string>, flow: string): ReadonlySet<string> {
  const next = new Set(flows)
  if (!next.delete(flow)) next.add(flow)
  return next
}
