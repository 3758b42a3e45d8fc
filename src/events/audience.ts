/**
 * The receivers of an event: the members of a flow, by its id, or one user, by their id. A third kind is for events about a user
 * to the members of a flow, such as presence. Subscriptions with private events receive it.
 */
export type Audience = `f:${string}` | `u:${number}` | `p:${string}`

/** The receivers of an event; `all` for events of the gateway about the stream. */
export type Audiences = readonly Audience[] | 'all'

/** What a subscription requests. */
export interface Topic {
  /** The ids of the flows, or all flows that its user has joined, also later ones. */
  readonly flows: readonly string[] | 'all'
  /** Whether it requests private events of its user. */
  readonly isPrivate: boolean
}

/** What a principal may receive. */
export interface Access {
  /** The audiences of the flows. */
  readonly flows: ReadonlySet<Audience>
  /** The audiences of a subscription to all events: the flows, users of the flows and, if the credential allows it, the user. */
  readonly all: ReadonlySet<Audience>
}

export function flowAudience(id: string): Audience {
  return `f:${id}`
}

export function userAudience(user: number): Audience {
  return `u:${user}`
}

/** The audience of events about a user to the members of a flow. */
export function presenceAudience(flow: string): Audience {
  return `p:${flow}`
}

/** The audiences of a subscription: those of its topic that the access has. */
export function audiencesOf(topic: Topic, access: Access): ReadonlySet<Audience> {
  if (topic.flows === 'all') return topic.isPrivate ? access.all : access.flows
  const named = new Set(topic.flows.map(flowAudience).filter((audience) => access.flows.has(audience)))
  if (!topic.isPrivate) return named
  for (const audience of [...named]) named.add(presenceAudience(audience.slice(2)))
  for (const audience of access.all) if (audience.startsWith('u:')) named.add(audience)
  return named
}

/** Whether a subscription receives events of an audience. */
export function receives(topic: Topic, access: Access, audience: Audience): boolean {
  const isOfFlow = audience.startsWith('f:')
  if (!isOfFlow && !topic.isPrivate) return false
  if (!(isOfFlow ? access.flows : access.all).has(audience)) return false
  return topic.flows === 'all' || audience.startsWith('u:') || topic.flows.includes(audience.slice(2))
}

/** Whether an access has every flow that a topic names. */
export function hasNamedFlows(topic: Topic, access: Access): boolean {
  return topic.flows === 'all' || topic.flows.every((id) => access.flows.has(flowAudience(id)))
}
