/** Who receives an event: the members of a flow, by its id, or one user, by their number. */
export type Audience = `f:${string}` | `u:${number}`

/** Who receives an event; `all` for what the gateway says of the stream itself. */
export type Audiences = readonly Audience[] | 'all'

/** What a subscription asks for. */
export interface Topic {
  /** The ids of the flows, or all flows that its user has joined, now and later. */
  readonly flows: readonly string[] | 'all'
  /** Whether it asks for the events that are sent to its user alone, too. */
  readonly isPrivate: boolean
}

/** What a principal may receive, as audiences. */
export interface Access {
  /** The audiences of the flows. */
  readonly flows: ReadonlySet<Audience>
  /** The same with the audience of the user, if the credential allows that. */
  readonly all: ReadonlySet<Audience>
}

export function flowAudience(id: string): Audience {
  return `f:${id}`
}

export function userAudience(user: number): Audience {
  return `u:${user}`
}

/** What a subscription receives with an access: the audiences of its topic that the access has. */
export function audiencesOf(topic: Topic, access: Access): ReadonlySet<Audience> {
  if (topic.flows === 'all') return topic.isPrivate ? access.all : access.flows
  const named = new Set(topic.flows.map(flowAudience).filter((audience) => access.flows.has(audience)))
  if (topic.isPrivate) for (const audience of access.all) if (!access.flows.has(audience)) named.add(audience)
  return named
}

/** Whether a subscription receives what is sent to an audience: whether `audiencesOf` has it. */
export function receives(topic: Topic, access: Access, audience: Audience): boolean {
  if (!audience.startsWith('f:')) return topic.isPrivate && access.all.has(audience)
  return access.flows.has(audience) && (topic.flows === 'all' || topic.flows.includes(audience.slice(2)))
}

/** Whether an access has every flow that a topic names. */
export function hasNamedFlows(topic: Topic, access: Access): boolean {
  return topic.flows === 'all' || topic.flows.every((id) => access.flows.has(flowAudience(id)))
}

const none: readonly never[] = Object.freeze([])

/**
 * Finds the members of an audience. Reading it copies nothing: the list of an audience is made when it is first read after
 * a change, and is never changed afterwards. An event that is still being executed keeps the list that it was delivered to.
 */
export class AudienceIndex<Member> {
  readonly #audiences = new Map<Member, ReadonlySet<Audience>>()
  readonly #members = new Map<Audience, Set<Member>>()
  readonly #lists = new Map<Audience, readonly Member[]>()

  get size(): number {
    return this.#audiences.size
  }

  /** Gives a member these audiences in place of those it had. @param audiences is not changed afterwards */
  set(member: Member, audiences: ReadonlySet<Audience>): void {
    const before = this.#audiences.get(member)
    if (before === audiences) return
    this.#audiences.set(member, audiences)
    if (before !== undefined)
      for (const audience of before) if (!audiences.has(audience)) this.#remove(member, audience)
    for (const audience of audiences) {
      if (before?.has(audience) === true) continue
      const members = this.#members.get(audience)
      if (members === undefined) this.#members.set(audience, new Set([member]))
      else members.add(member)
      this.#lists.delete(audience)
    }
  }

  delete(member: Member): void {
    const audiences = this.#audiences.get(member)
    if (audiences === undefined) return
    this.#audiences.delete(member)
    for (const audience of audiences) this.#remove(member, audience)
  }

  /** The audiences of a member; undefined for one that is not in the index. */
  audiencesOf(member: Member): ReadonlySet<Audience> | undefined {
    return this.#audiences.get(member)
  }

  /** The members of one or several audiences, each once. */
  membersOf(audiences: Audiences): readonly Member[] {
    if (audiences === 'all') return Object.freeze([...this.#audiences.keys()])
    const [first, ...others] = audiences
    if (first === undefined) return none
    if (others.length === 0) return this.#listOf(first)
    const lists = audiences.map((audience) => this.#listOf(audience)).filter(({ length }) => length > 0)
    if (lists.length < 2) return lists[0] ?? none
    return Object.freeze([...new Set(lists.flat())])
  }

  #listOf(audience: Audience): readonly Member[] {
    const members = this.#members.get(audience)
    if (members === undefined) return none
    let list = this.#lists.get(audience)
    if (list === undefined) {
      list = Object.freeze([...members])
      this.#lists.set(audience, list)
    }
    return list
  }

  #remove(member: Member, audience: Audience): void {
    const members = this.#members.get(audience)
    members?.delete(member)
    if (members?.size === 0) this.#members.delete(audience)
    this.#lists.delete(audience)
  }
}
