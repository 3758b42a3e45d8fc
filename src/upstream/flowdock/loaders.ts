import DataLoader from 'dataloader'
import { UpstreamError } from '../../errors.ts'
import type { Conversations } from './conversations.ts'
import type { Directory, MaybePromise } from './directory.ts'
import type { Flows } from './flows.ts'
import type { Invitations } from './invitations.ts'
import type { MessagePage, Messages } from './messages.ts'
import type {
  Flow,
  FlowUser,
  Invitation,
  Message,
  Organization,
  OrganizationUser,
  PresenceState,
  PrivateConversation,
  Source,
  Thread,
  User,
} from './model.ts'
import type { Organizations } from './organizations.ts'
import type { Sources } from './sources.ts'
import type { Threads } from './threads.ts'
import type { Users } from './users.ts'

export interface Resources {
  readonly users: Users
  readonly organizations: Organizations
  readonly flows: Flows
  readonly messages: Messages
  readonly threads: Threads
  readonly sources: Sources
  readonly invitations: Invitations
  readonly conversations: Conversations
}

/**
 * The reads of one operation. Each object is read once. Objects of lists, and objects inside other objects, are not read again.
 * Null means that the object does not exist, or that the user may not see it.
 */
export interface Loaders {
  user(id: number): MaybePromise<User | null>
  organization(id: number): Promise<Organization | null>
  flow(id: string): MaybePromise<Flow | null>
  flowByPath(path: string): MaybePromise<Flow | null>
  flows(scope: 'joined' | 'all'): Promise<Flow[]>
  flowUsers(flow: Flow): Promise<readonly FlowUser[]>
  thread(flowId: string, id: string): Promise<Thread | null>
  /** @param channel as in `Message.channel` */
  message(channel: string, id: number): Promise<Message | null>
  /** Starts to read a page that will be needed soon. Only for queries, because the result is cached. */
  expectMessages(channel: string, page: MessagePage): void
  /** A page of messages, as `Messages.listAt` returns it. */
  messages(channel: string, threadId: string | undefined, page: MessagePage): ReturnType<Messages['listAt']>
  source(flowPath: string, id: number): Promise<Source | null>
  invitation(flowId: string, id: number): Promise<Invitation | null>
  organizations(): Promise<Organization[]>
  organizationUsers(slug: string): Promise<readonly OrganizationUser[]>
  sources(): Promise<Source[]>
  flowSources(flowPath: string): Promise<readonly Source[]>
  conversation(userId: number): Promise<PrivateConversation | null>
  viewer(): Promise<User>
  /** Null for a user with whom the viewer shares no flow. */
  presence(userId: number): Promise<PresenceState | null>
}

/** @param directory flows and users that need no calls, because events keep them up to date */
export function createLoaders(resources: Resources, directory?: Directory): Loaders {
  const users = new DataLoader<number, User | null>(async (ids) => {
    // There is no batch read, but one list has all visible users. A user that is not in it has left.
    const visible = new Map((await resources.users.list()).map((user) => [user.id, user]))
    return ids.map((id) => visible.get(id) ?? null)
  })
  const organizations = new DataLoader<number, Organization | null>(async (ids) => {
    const mine = new Map((await organizationList()).map((each) => [each.id, each]))
    return ids.map((id) => mine.get(id) ?? null)
  })
  const flowsById = new DataLoader<string, Flow | null>(async (ids) => {
    if (ids.length === 1) return [remember(await resources.flows.find({ id: ids[0] as string }))]
    const listed = new Map((await lists('all')).map((flow) => [flow.id, flow]))
    return Promise.all(ids.map((id) => listed.get(id) ?? resources.flows.find({ id }).then(remember)))
  })
  const flowsByPath = new DataLoader<string, Flow | null>(async (paths) => {
    if (paths.length === 1) return [remember(await resources.flows.find({ path: paths[0] as string }))]
    const listed = new Map((await lists('all')).map((flow) => [flow.path, flow]))
    return Promise.all(paths.map((path) => listed.get(path) ?? resources.flows.find({ path }).then(remember)))
  })
  const flowUsers = new DataLoader<string, readonly FlowUser[]>(async (paths) => {
    if (paths.length === 1) return [await resources.flows.users(paths[0] as string)]
    const listed = new Map((await resources.flows.list('all', true)).map((flow) => [flow.path, flow.users]))
    return Promise.all(paths.map((path) => listed.get(path) ?? resources.flows.users(path)))
  })
  const sourcesByFlow = new DataLoader<string, readonly Source[]>(async (paths) => {
    if (paths.length === 1) return [await resources.sources.listOf(paths[0] as string)]
    const byFlow = Map.groupBy(await sources(), ({ flowPath }) => flowPath)
    return paths.map((path) => byFlow.get(path) ?? [])
  })
  /** Flows that are not in the maps yet. */
  let received: Flow[] = []
  const people = new Map<number, User>()
  const byId = new Map<string, Flow>()
  const byPath = new Map<string, Flow>()
  const flowLists = new Map<'joined' | 'all', Promise<Flow[]>>()
  const singles = new Map<string, Promise<unknown>>()
  const expected = new Map<string, ReturnType<Messages['listAt']>>()

  /** Remembers a flow and its members. */
  function remember(flow: Flow | null): Flow | null {
    if (flow !== null) received.push(flow)
    return flow
  }

  /** Puts received flows into the maps. Few operations that list flows need that, so it is done when it is needed. */
  function sortIn(): void {
    for (const flow of received) {
      byId.set(flow.id, flow)
      byPath.set(flow.path, flow)
      for (const { user } of flow.users ?? []) people.set(user.id, user)
    }
    received = []
  }

  function findPerson(id: number): User | undefined {
    if (received.length > 0) sortIn()
    return people.get(id)
  }

  function findFlow(map: ReadonlyMap<string, Flow>, key: string): Flow | undefined {
    if (received.length > 0) sortIn()
    return map.get(key)
  }

  function lists(scope: 'joined' | 'all'): Promise<Flow[]> {
    let list = flowLists.get(scope)
    if (list === undefined) {
      list = resources.flows.list(scope, false)
      flowLists.set(scope, list)
    }
    return list
  }

  function once<T>(key: string, read: () => Promise<T>): Promise<T> {
    let reading = singles.get(key) as Promise<T> | undefined
    if (reading === undefined) {
      reading = read()
      singles.set(key, reading)
    }
    return reading
  }

  function organizationList(): Promise<Organization[]> {
    return once('organizations', () => resources.organizations.list())
  }

  function sources(): Promise<Source[]> {
    return once('sources', () => resources.sources.list())
  }

  /** Reads an object of a flow; null when the user may not see the flow. */
  async function inFlow<T>(flowId: string, read: (path: string) => Promise<T | null>): Promise<T | null> {
    const flow = findFlow(byId, flowId) ?? (await flowsById.load(flowId))
    return flow === null ? null : read(flow.path)
  }

  /** While the upstream fails, the flow as the stream knows it is used. */
  async function loadFlow(id: string): Promise<Flow | null> {
    try {
      return await flowsById.load(id)
    } catch (error) {
      const known =
        error instanceof UpstreamError && error.retryable ? directory?.lastKnownFlow(id) : undefined
      if (known !== undefined) return known
      throw error
    }
  }

  return {
    user(id) {
      const known = directory?.user(id)
      return known === undefined ? (findPerson(id) ?? users.load(id)) : known
    },
    organization: (id) => organizations.load(id),
    flow(id) {
      const known = directory?.flow(id)
      return known === undefined ? (findFlow(byId, id) ?? loadFlow(id)) : known
    },
    flowByPath: (path) => findFlow(byPath, path) ?? flowsByPath.load(path),
    async flows(scope) {
      const flows = await lists(scope)
      for (const flow of flows) remember(flow)
      return flows
    },
    flowUsers: async (flow) => flow.users ?? flowUsers.load(flow.path),
    thread: (flowId, id) =>
      once(`thread ${flowId} ${id}`, () => inFlow(flowId, (path) => resources.threads.find(path, id))),
    message: (channel, id) =>
      once(`message ${channel} ${id}`, () =>
        channel.startsWith('@')
          ? resources.messages.find(channel, id)
          : inFlow(channel, (path) => resources.messages.find(path, id)),
      ),
    expectMessages(channel, page) {
      const key = pageKey(channel, page)
      if (expected.has(key)) return
      const reading = resources.messages.listAt(channel, undefined, page)
      // The operation that uses the page gets the error. If none does, the error is ignored.
      reading.catch(() => undefined)
      expected.set(key, reading)
    },
    messages: (channel, threadId, page) =>
      (threadId === undefined ? expected.get(pageKey(channel, page)) : undefined) ??
      resources.messages.listAt(channel, threadId, page),
    conversation: (userId) => once(`conversation ${userId}`, () => resources.conversations.find(userId)),
    source: (flowPath, id) => once(`source ${flowPath} ${id}`, () => resources.sources.find(flowPath, id)),
    invitation: (flowId, id) =>
      once(`invitation ${flowId} ${id}`, () =>
        inFlow(flowId, (path) => resources.invitations.find(path, id)),
      ),
    organizations: organizationList,
    organizationUsers: (slug) =>
      once(`organization users ${slug}`, () => resources.organizations.users(slug)),
    sources,
    flowSources: (flowPath) => sourcesByFlow.load(flowPath),
    viewer: () => once('viewer', () => resources.users.viewer()),
    presence: async (userId) =>
      (await once('presences', () => resources.users.presences())).get(userId) ?? null,
  }
}

function pageKey(channel: string, { after, before, from, limit, events }: MessagePage): string {
  return JSON.stringify([channel, after, before, from, limit, events])
}
