import { LRUCache } from 'lru-cache'
import { isRecord } from '../../json-values.ts'
import { Secret } from '../../secret.ts'
import type { Http } from '../http.ts'
import { BatchCache } from './batch-cache.ts'
import type { Credential } from './credentials.ts'
import { decodeFlow, decodeOrganization, decodeUser } from './decode.ts'
import { andThen, type Directory, type MaybePromise } from './directory.ts'
import { channelOf } from './live-events.ts'
import type { Flow, FlowEvent, Organization, User } from './model.ts'
import { createCalls } from './request.ts'
import type { ServiceEvent } from './service-frames.ts'

export interface ServiceDirectoryOptions {
  readonly http: Pick<Http, 'request'>
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  readonly token: Secret
  /** Ends one read; 5 s unless given. */
  readonly deadlineMs?: number
}

/** A user, and what decides whom and what they see. */
export interface DirectoryUser {
  readonly user: User
  readonly organizations: ReadonlySet<number>
  /** Undefined where the backend is of a version that does not say. */
  readonly memberships: Memberships | undefined
}

/** What a user is to organizations and flows. Most users are never viewers, so the sets of a viewer are made when they are needed. */
export class Memberships {
  readonly isDisabled: boolean
  /** The ids of the organizations that the user administers. */
  readonly administers: ReadonlySet<number>
  /** The ids of the flows that the user left, or was blocked in. */
  readonly left: readonly string[]
  readonly #joined: readonly string[]
  readonly #open: readonly string[]
  #joinedSet: ReadonlySet<string> | undefined
  #openSet: ReadonlySet<string> | undefined

  constructor(of: {
    readonly isDisabled: boolean
    readonly administers: ReadonlySet<number>
    readonly joined: readonly string[]
    readonly open: readonly string[]
    readonly left: readonly string[]
  }) {
    this.isDisabled = of.isDisabled
    this.administers = of.administers
    this.left = of.left
    this.#joined = of.joined
    // Most users have all of their flows open.
    this.#open = of.open.length === of.joined.length ? of.joined : of.open
  }

  /** The ids of the flows that the user has joined, archived ones included. */
  get joined(): readonly string[] {
    return this.#joined
  }

  hasJoined(flowId: string): boolean {
    this.#joinedSet ??= new Set(this.#joined)
    return this.#joinedSet.has(flowId)
  }

  /** Whether the user has joined the flow, and has it open. */
  hasOpen(flowId: string): boolean {
    this.#openSet ??= new Set(this.#open)
    return this.#openSet.has(flowId)
  }
}

/** What was read by id; a read that fails rejects. Null for what does not exist. At most ten seconds old. */
export interface DirectoryReads {
  user(id: number): MaybePromise<DirectoryUser | null>
  /** A flow without what depends on its viewer, and with its organization as it was when the flow was read. */
  flow(id: string): MaybePromise<Flow | null>
  organization(id: number): MaybePromise<Organization | null>
  /** The id of the flow with this path, as far as flows were read. It may have another path since. */
  flowIdAt(path: string): string | undefined
}

/** Flows and users of the whole upstream, by id, which the service stream keeps true. */
export interface ServiceDirectory {
  /**
   * Those that an event may show. A user is shown if they are in the organization of the event's flow or, for an event without
   * a flow, in an organization of the viewer.
   *
   * @param viewerId the user whom a private event is sent to; undefined where that is not known
   * @param isOwn whether the event is executed for the viewer alone: what a flow is to its viewer is not in here
   */
  viewOf(event: FlowEvent, viewerId: number | undefined, isOwn: boolean): Directory
  /** By id, for every principal: the caller checks what a principal may see. */
  readonly reads: DirectoryReads
  /** An event came: what it may have changed is read again. */
  note(event: Pick<ServiceEvent, 'event' | 'change' | 'about' | 'organization'>): void
  /** Nothing is believed any more. */
  clear(): void
  readonly size: number
}

const maxUsers = 100_000
const maxFlows = 20_000
const maxOrganizations = 20_000
const maxBatch = 500

export function createServiceDirectory(options: ServiceDirectoryOptions): ServiceDirectory {
  const { http, restUrl, token, deadlineMs = 5000 } = options
  const credential = serviceCredential(token)

  const read = async (
    path: 'users' | 'flows' | 'organizations',
    ids: readonly (number | string)[],
  ): Promise<unknown[]> => {
    const signal = AbortSignal.timeout(deadlineMs)
    const calls = createCalls({ http: http as Http, base: restUrl, credential, signal })
    const query = { ids: ids.join() }
    const answer = await calls.get(['service', 'v1', path], { query, doing: `read ${path}` })
    const list = isRecord(answer) ? answer[path] : undefined
    return Array.isArray(list) ? list : []
  }

  const users = new BatchCache<number, DirectoryUser>({
    ...{ maxEntries: maxUsers, maxBatch },
    read: async (ids) => new Map((await read('users', ids)).map((user) => decodeDirectoryUser(user, intern))),
  })
  const organizations = new BatchCache<number, Organization>({
    ...{ maxEntries: maxOrganizations, maxBatch },
    async read(ids) {
      const decoded = (await read('organizations', ids)).map(decodeOrganization)
      return new Map(decoded.map((organization) => [organization.id, organization]))
    },
  })
  const flowIds = new LRUCache<string, string>({ maxSize: maxFlows, sizeCalculation: () => 1 })
  const internedIds = new LRUCache<string, string>({ maxSize: maxFlows, sizeCalculation: () => 1 })

  function intern(id: string): string {
    const known = internedIds.get(id)
    if (known === undefined) internedIds.set(id, id)
    return known ?? id
  }
  const flows = new BatchCache<string, Flow>({
    ...{ maxEntries: maxFlows, maxBatch },
    async read(ids) {
      // Backends of earlier versions send details, which a message changes later. They are read when they are needed.
      const decoded = (await read('flows', ids)).map((each): Flow => ({ ...decodeFlow(each), details: null }))
      for (const { path, id } of decoded) flowIds.set(path, id)
      return new Map(decoded.map((flow) => [flow.id, flow]))
    },
  })

  /** Whom an event shows; undefined where that is not known. */
  function shownBy(
    { flowId }: FlowEvent,
    viewerId: number | undefined,
  ): MaybePromise<(user: DirectoryUser) => boolean> | undefined {
    if (flowId !== null)
      return andThen(
        flows.find(flowId),
        (flow) =>
          ({ organizations }) =>
            flow !== null && organizations.has(flow.organization.id),
      )
    if (viewerId === undefined) return undefined
    return andThen(
      users.find(viewerId),
      (viewer) =>
        ({ user, organizations }) =>
          user.id === viewerId ||
          (viewer !== null && [...organizations].some((id) => viewer.organizations.has(id))),
    )
  }

  return {
    viewOf(event, viewerId, isOwn) {
      return {
        user(id) {
          const shown = shownBy(event, viewerId)
          if (shown === undefined) return undefined
          return andThen(shown, (isShown) =>
            andThen(users.find(id), (found) => (found !== null && isShown(found) ? found.user : null)),
          )
        },
        // Other flows than the one that an event is sent to may not be for everybody who receives it.
        flow: (id) => (isOwn || id !== channelOf(event) ? undefined : flows.find(id)),
        lastKnownFlow: () => undefined,
      }
    },
    reads: {
      user: (id) => users.findRecent(id),
      flow: (id) => flows.findRecent(id),
      organization: (id) => organizations.findRecent(id),
      flowIdAt: (path) => flowIds.get(path),
    },
    note({ event, change, about, organization }) {
      if (organization !== undefined) organizations.forget(organization)
      if (about !== undefined) {
        if (about.startsWith('f:')) flows.forget(about.slice(2))
        else users.forget(Number(about.slice(2)))
      }
      if (change !== undefined && 'user' in change) users.forget(change.user)
      if (event.type !== 'change') return
      const { kind } = event.change
      if (kind === 'UserEdited' || kind === 'MemberJoined') users.forget(event.userId)
    },
    clear() {
      users.clear()
      flows.clear()
      organizations.clear()
      flowIds.clear()
      internedIds.clear()
    },
    get size() {
      return users.size + flows.size + organizations.size
    },
  }
}

/** A credential of the service interface. @param userId the user whom a read is made as */
export function serviceCredential(token: Secret, userId?: number): Credential {
  const principal = userId === undefined ? 'service' : `service as ${userId}`
  return { authorization: new Secret(`Bearer ${token.reveal()}`), principal }
}

/** @param intern the same object for the same id: many users have the same flows */
function decodeDirectoryUser(value: unknown, intern: (id: string) => string): [number, DirectoryUser] {
  const user = decodeUser(value)
  const row = isRecord(value) ? value : {}
  const [administers, joined, open, left] = ['administers', 'joined', 'open', 'left'].map((name) => row[name])
  const texts = (list: unknown): readonly string[] =>
    Array.isArray(list) && list.length > 0 ? list.filter((id) => typeof id === 'string').map(intern) : none
  const isWhole = [administers, joined, open, left].every(Array.isArray)
  const memberships = isWhole
    ? new Memberships({
        isDisabled: row['disabled'] !== false,
        administers: numbersOf(administers),
        ...{ joined: texts(joined), open: texts(open), left: texts(left) },
      })
    : undefined
  return [user.id, { user, organizations: numbersOf(row['organizations']), memberships }]
}

const none: readonly never[] = []
const noNumbers: ReadonlySet<number> = new Set()

function numbersOf(list: unknown): ReadonlySet<number> {
  if (!Array.isArray(list) || list.length === 0) return noNumbers
  return new Set(list.filter((id) => typeof id === 'number'))
}
