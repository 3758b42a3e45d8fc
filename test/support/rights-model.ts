/*
 * Who may read what, and since when: the rules that test/hardening/rights.test.ts holds the servers to. Nothing here
 * knows how the servers decide.
 */

export const people = ['zoe', 'max', 'eve', 'gus', 'oto', 'ivy'] as const
export type Person = (typeof people)[number]

export const organizations = ['acme', 'other'] as const
export type Organization = (typeof organizations)[number]

export const flowNames = ['acme/general', 'acme/secret', 'other/theirs', 'other/quiet'] as const
export type FlowName = (typeof flowNames)[number]

/** What a credential may be used for; everything when it is the person's own. */
type Scope = 'flow' | 'private' | 'manage'

/** Credentials by name: personal tokens, and tokens that applications were given. */
export const principals = {
  zoe: { person: 'zoe', scopes: undefined },
  max: { person: 'max', scopes: undefined },
  eve: { person: 'eve', scopes: undefined },
  'eve-2': { person: 'eve', scopes: undefined },
  gus: { person: 'gus', scopes: undefined },
  oto: { person: 'oto', scopes: undefined },
  ivy: { person: 'ivy', scopes: undefined },
  'eve-app': { person: 'eve', scopes: ['flow'] },
  'max-app': { person: 'max', scopes: ['flow', 'private'] },
  'gus-private-app': { person: 'gus', scopes: ['private'] },
  'oto-app': { person: 'oto', scopes: ['flow', 'manage'] },
} as const satisfies Record<string, { person: Person; scopes: readonly Scope[] | undefined }>
export type Principal = keyof typeof principals
export const principalNames = Object.keys(principals) as Principal[]

export type AccessMode = 'invitation' | 'link' | 'organization'

/** One token. Another one of the same principal is another credential. */
export interface Credential {
  readonly principal: Principal
  readonly person: Person
  readonly token: string
  isRevoked: boolean
}

interface Flow {
  readonly organization: Organization
  mode: AccessMode
  isArchived: boolean
  readonly members: Map<Person, 'joined' | 'blocked'>
  /** When each person lost the flow last. */
  readonly leftAt: Map<Person, number>
  /** When somebody was shut out by another last: who leaves by themselves does not change the secrets of the flow. */
  shutOutAt: number
}

/** Whom a text is for: the members of a flow, or two people. */
export type Audience = { readonly flow: FlowName } | { readonly between: readonly [Person, Person] }

/** A text that stands for itself: whoever is shown it is shown this message and no other. */
export interface Marker {
  readonly text: string
  readonly audience: Audience
  /** What wrote it. */
  readonly origin: string
  /** When it was stored. */
  at: number
  /** Whether the server refused to store it, so that nobody may be shown it. */
  isRefused: boolean
}

/** What the rules say of a request: it has to succeed, has to be refused, or they do not say. */
export type Expectation = 'must' | 'mustNot' | 'may'

export function expectation(must: boolean, mustNot: boolean): Expectation {
  return mustNot ? 'mustNot' : must ? 'must' : 'may'
}

export class RightsModel {
  /** Counts what changed rights or was written: the order of things. */
  now = 0
  readonly flows: Readonly<Record<FlowName, Flow>>
  readonly admins: Readonly<Record<Organization, Set<Person>>> = {
    acme: new Set(['zoe']),
    other: new Set(['oto']),
  }
  readonly staff: Readonly<Record<Organization, Set<Person>>> = {
    acme: new Set(['zoe', 'max', 'eve', 'gus']),
    other: new Set(['oto', 'ivy']),
  }
  /** When people were taken out of an organization. */
  readonly removedAt = new Map<`${Organization} ${Person}`, number>()
  readonly disabled = new Set<Person>()
  readonly credentials = new Map<Principal, Credential>()
  readonly markers = new Map<string, Marker>()
  /** Pairs that were in one flow at the same time. */
  readonly acquainted = new Set<string>()

  // What steps can be taken depends on these.
  readonly openSlots = new Set<number>()
  readonly awaySlots = new Set<number>()
  readonly heldSlots = new Set<number>()
  fault: string | undefined
  readonly sources = new Set<FlowName>()

  constructor() {
    const flow = (organization: Organization): Flow => ({
      ...{ organization, mode: 'invitation', isArchived: false },
      ...{ members: new Map(), leftAt: new Map(), shutOutAt: -1 },
    })
    this.flows = {
      'acme/general': flow('acme'),
      'acme/secret': flow('acme'),
      'other/theirs': flow('other'),
      'other/quiet': flow('other'),
    }
  }

  tick(): number {
    this.now += 1
    return this.now
  }

  credential(principal: Principal): Credential {
    const credential = this.credentials.get(principal)
    if (credential === undefined) throw new Error(`${principal} has no token`)
    return credential
  }

  isValid({ isRevoked, person }: Credential): boolean {
    return !isRevoked && !this.disabled.has(person)
  }

  /** Whether a credential is good, and for that. */
  may(credential: Credential, scope: Scope): boolean {
    return this.isValid(credential) && hasScope(credential, scope)
  }

  isJoined(person: Person, flow: FlowName): boolean {
    return this.flows[flow].members.get(person) === 'joined'
  }

  isBlocked(person: Person, flow: FlowName): boolean {
    return this.flows[flow].members.get(person) === 'blocked'
  }

  isAdmin(person: Person, flow: FlowName): boolean {
    return this.admins[this.flows[flow].organization].has(person)
  }

  isStaff(person: Person, flow: FlowName): boolean {
    return this.staff[this.flows[flow].organization].has(person)
  }

  /** Whether somebody may know that there is such a flow, without reading it. */
  isVisible(person: Person, flow: FlowName): boolean {
    const { mode } = this.flows[flow]
    if (this.isJoined(person, flow)) return true
    return this.isStaff(person, flow) && mode === 'organization' && !this.isBlocked(person, flow)
  }

  /** Whether somebody was a member at some moment since. */
  wasJoinedSince(person: Person, flow: FlowName, since: number): boolean {
    return this.isJoined(person, flow) || (this.flows[flow].leftAt.get(person) ?? -1) >= since
  }

  shareOrganization(one: Person, other: Person): boolean {
    return organizations.some((each) => this.staff[each].has(one) && this.staff[each].has(other))
  }

  join(person: Person, flow: FlowName): void {
    this.tick()
    this.flows[flow].members.set(person, 'joined')
    this.staff[this.flows[flow].organization].add(person)
    for (const [other, state] of this.flows[flow].members)
      if (state === 'joined') this.acquainted.add(pairOf(person, other))
  }

  block(person: Person, flow: FlowName, by: Person): void {
    const at = this.tick()
    this.flows[flow].members.set(person, 'blocked')
    this.flows[flow].leftAt.set(person, at)
    if (by !== person) this.flows[flow].shutOutAt = at
  }

  leaveOrganization(person: Person, organization: Organization): void {
    const at = this.tick()
    for (const name of flowNames) {
      const flow = this.flows[name]
      if (flow.organization !== organization) continue
      if (flow.members.get(person) === 'joined') {
        flow.leftAt.set(person, at)
        flow.shutOutAt = at
      }
      flow.members.delete(person)
    }
    this.staff[organization].delete(person)
    this.admins[organization].delete(person)
    this.removedAt.set(`${organization} ${person}`, at)
  }

  areAcquainted(one: Person, other: Person): boolean {
    return one === other || this.acquainted.has(pairOf(one, other))
  }

  /** Registers a text that is for an audience alone. */
  mark(audience: Audience, origin: string, text: string): Marker {
    const marker = { text, audience, origin, at: this.tick(), isRefused: false }
    this.markers.set(text, marker)
    return marker
  }

  /**
   * Whether a credential may be shown a marker.
   *
   * @param since a stream may deliver what its reader could read at some moment since; a request sees what holds now
   */
  mayRead(credential: Credential, { audience, isRefused }: Marker, since: number | undefined): boolean {
    if (isRefused) return false
    if (since === undefined && !this.isValid(credential)) return false
    const { person } = credential
    if ('between' in audience) return hasScope(credential, 'private') && audience.between.includes(person)
    if (!hasScope(credential, 'flow')) return false
    return since === undefined
      ? this.isJoined(person, audience.flow)
      : this.wasJoinedSince(person, audience.flow, since)
  }
}

export function hasScope({ principal }: Credential, scope: Scope): boolean {
  const scopes: readonly Scope[] | undefined = principals[principal].scopes
  return scopes === undefined || scopes.includes(scope)
}

/** Whether it is a person's own rather than one of an application. */
export function isPersonal({ principal }: Credential): boolean {
  return principals[principal].scopes === undefined
}

function pairOf(one: Person, other: Person): string {
  return [one, other].toSorted().join(' ')
}
