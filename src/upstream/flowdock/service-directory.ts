import { isRecord } from '../../json-values.ts'
import { Secret } from '../../secret.ts'
import type { Http } from '../http.ts'
import { BatchCache } from './batch-cache.ts'
import type { Credential } from './credentials.ts'
import { decodeFlow, decodeUser } from './decode.ts'
import type { Directory, MaybePromise } from './directory.ts'
import { channelOf } from './live-events.ts'
import type { Flow, FlowEvent, User } from './model.ts'
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

interface DirectoryUser {
  readonly user: User
  readonly organizations: ReadonlySet<number>
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
  /** An event came: what it may have changed is read again. */
  note(event: Pick<ServiceEvent, 'event' | 'change' | 'about'>): void
  /** Nothing is believed any more. */
  clear(): void
  readonly size: number
}

const maxUsers = 100_000
const maxFlows = 20_000
const maxBatch = 500

export function createServiceDirectory(options: ServiceDirectoryOptions): ServiceDirectory {
  const { http, restUrl, token, deadlineMs = 5000 } = options
  const credential = serviceCredential(token)

  const read = async (path: 'users' | 'flows', ids: readonly (number | string)[]): Promise<unknown[]> => {
    const signal = AbortSignal.timeout(deadlineMs)
    const calls = createCalls({ http: http as Http, base: restUrl, credential, signal })
    const query = { ids: ids.join() }
    const answer = await calls.get(['service', 'v1', path], { query, doing: `read ${path}` })
    const list = isRecord(answer) ? answer[path] : undefined
    return Array.isArray(list) ? list : []
  }

  const users = new BatchCache<number, DirectoryUser>({
    ...{ maxEntries: maxUsers, maxBatch },
    read: async (ids) => new Map((await read('users', ids)).map(decodeDirectoryUser)),
  })
  const flows = new BatchCache<string, Flow>({
    ...{ maxEntries: maxFlows, maxBatch },
    async read(ids) {
      const decoded = (await read('flows', ids)).map(decodeFlow)
      return new Map(decoded.map((flow) => [flow.id, flow]))
    },
  })

  /** Whom an event shows; undefined where that is not known. */
  function shownBy(
    { flowId }: FlowEvent,
    viewerId: number | undefined,
  ): MaybePromise<(user: DirectoryUser) => boolean> | undefined {
    if (flowId !== null)
      return then(
        flows.find(flowId),
        (flow) =>
          ({ organizations }) =>
            flow !== null && organizations.has(flow.organization.id),
      )
    if (viewerId === undefined) return undefined
    return then(
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
          return then(shown, (isShown) =>
            then(users.find(id), (found) => (found !== null && isShown(found) ? found.user : null)),
          )
        },
        // Other flows than the one that an event is sent to may not be for everybody who receives it.
        flow: (id) => (isOwn || id !== channelOf(event) ? undefined : flows.find(id)),
        lastKnownFlow: () => undefined,
      }
    },
    note({ event, change, about }) {
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
    },
    get size() {
      return users.size + flows.size
    },
  }
}

/** A credential of the service interface. @param userId the user whom a read is made as */
export function serviceCredential(token: Secret, userId?: number): Credential {
  const principal = userId === undefined ? 'service' : `service as ${userId}`
  return { authorization: new Secret(`Bearer ${token.reveal()}`), principal }
}

function decodeDirectoryUser(value: unknown): [number, DirectoryUser] {
  const user = decodeUser(value)
  const organizations = isRecord(value) && Array.isArray(value['organizations']) ? value['organizations'] : []
  return [user.id, { user, organizations: new Set(organizations.filter((id) => typeof id === 'number')) }]
}

function then<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value)
}
