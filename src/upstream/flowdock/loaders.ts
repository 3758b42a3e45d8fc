import DataLoader from 'dataloader'
import { UpstreamError } from '../../errors.ts'
import type { Conversations } from './conversations.ts'
import { andThen, type Directory, type MaybePromise } from './directory.ts'
import type { Entities } from './entities.ts'
import type { Flows } from './flows.ts'
import type { Invitations } from './invitations.ts'
import type { MessagePage, Messages } from './messages.ts'
import type {
  DetailedFlow,
  Flow,
  FlowDetails,
  FlowUser,
  Invitation,
  Message,
  Organization,
  OrganizationUser,
  PresenceState,
  PrivateConversation,
  Rule,
  Source,
  Thread,
  User,
} from './model.ts'
import type { Organizations } from './organizations.ts'
import type { Rules } from './rules.ts'
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
  readonly rules: Rules
  readonly invitations: Invitations
  readonly conversations: Conversations
}

/**
 * The reads of one operation. Each object is read once. Objects of lists, and objects inside other objects, are not read again.
 * Null means that the object does not exist, or that the user may not see it.
 */
export interface Loaders {
  user(id: number): MaybePromise<User | null>
  organization(id: number): MaybePromise<Organization | null>
  /** The same with its subscription. */
  detailedOrganization(id: number): Promise<Organization | null>
  flow(id: string): MaybePromise<Flow | null>
  flowByPath(path: string): MaybePromise<Flow | null>
  flows(scope: 'joined' | 'all'): Promise<readonly Flow[]>
  /** The same from the REST API. */
  detailedFlows(scope: 'joined' | 'all'): Promise<readonly DetailedFlow[]>
  /** Null when the user may not see the flow any more. */
  flowDetails(flow: Flow): MaybePromise<FlowDetails | null>
  flowUsers(flow: Flow): Promise<readonly FlowUser[]>
  thread(flowId: string, id: string): Promise<Thread | null>
  /** @param channel as in `Message.channel` */
  message(channel: string, id: number): Promise<Message | null>
  /**
   * Starts to read a page that will be needed soon. Only for queries, because the result is cached.
   *
   * @param hasAuthors whether the authors of its messages will be needed, too
   */
  expectMessages(channel: string, page: MessagePage, hasAuthors: () => boolean): void
  /** A page of messages, as `Messages.listAt` returns it. */
  messages(channel: string, threadId: string | undefined, page: MessagePage): ReturnType<Messages['listAt']>
  source(flowPath: string, id: number): Promise<Source | null>
  rule(flowPath: string, id: number): Promise<Rule | null>
  flowRules(flowPath: string): Promise<readonly Rule[]>
  invitation(flowId: string, id: number): Promise<Invitation | null>
  organizations(): Promise<readonly Organization[]>
  organizationUsers(slug: string): Promise<readonly OrganizationUser[]>
  sources(): Promise<Source[]>
  flowSources(flowPath: string): Promise<readonly Source[]>
  conversation(userId: number): Promise<PrivateConversation | null>
  viewer(): Promise<User>
  /** Something may have changed: users that were read before are read again. */
  changed(): void
  /** Null for a user with whom the viewer shares no flow. */
  presence(userId: number): Promise<PresenceState | null>
}

/** Flows and users that need no calls, because events keep them up to date. */
export interface KnownObjects {
  /** For an event. */
  readonly directory?: Directory | undefined
  /** For an operation. */
  readonly entities?: Entities | undefined
}

export function createLoaders(resources: Resources, { directory, entities }: KnownObjects = {}): Loaders {
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
    // The list has no users. Reading them together with the messages saves a round trip.
    if (entities === undefined && authorChecks.some((hasAuthors) => hasAuthors())) readUsers()
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
  const details = new DataLoader<string, FlowDetails | null>(async (ids) => {
    const find = async (id: string) => (await resources.flows.find({ id }, false))?.details ?? null
    if (ids.length === 1) return [await find(ids[0] as string)]
    const listed = new Map((await lists('joined')).map((flow) => [flow.id, flow.details]))
    // Archived flows are not listed.
    return Promise.all(ids.map((id) => listed.get(id) ?? find(id)))
  })
  /** Flows that are not in the maps yet. */
  let received: Flow[] = []
  const people = new Map<number, User>()
  /** All users that the viewer may see, once they are read. */
  let visibleUsers: ReadonlyMap<number, User> | undefined
  let readingUsers: Promise<ReadonlyMap<number, User>> | undefined
  const byId = new Map<string, Flow>()
  const byPath = new Map<string, Flow>()
  const flowLists = new Map<'joined' | 'all', Promise<readonly DetailedFlow[]>>()
  const singles = new Map<string, Promise<unknown>>()
  const authorChecks: (() => boolean)[] = []
  const expected = new Map<string, ReturnType<Messages['listAt']>>()

  /** Remembers a flow and its members. */
  function remember<T extends Flow>(flow: T | null): T | null {
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

  /** There is no batch read, but one list has all visible users. A user that is not in it has left. */
  function visibleUser(id: number): MaybePromise<User | null> {
    if (visibleUsers !== undefined) return visibleUsers.get(id) ?? null
    return (readingUsers ?? readUsers()).then((users) => users.get(id) ?? null)
  }

  function readUsers(): Promise<ReadonlyMap<number, User>> {
    const reading = resources.users.list()
    reading.then(
      (users) => {
        // Otherwise a change has made it out of date.
        if (readingUsers === reading) visibleUsers = users
      },
      () => undefined,
    )
    readingUsers = reading
    return reading
  }

  /** Messages whose authors are being read wait for them: a promise for each author would take longer than the messages themselves. */
  async function withAuthors(reading: ReturnType<Messages['listAt']>): ReturnType<Messages['listAt']> {
    const page = await reading
    // The fields that use the users get the error.
    if (readingUsers !== undefined && visibleUsers === undefined) await readingUsers.catch(() => undefined)
    return page
  }

  function findFlow(map: ReadonlyMap<string, Flow>, key: string): Flow | undefined {
    if (received.length > 0) sortIn()
    return map.get(key)
  }

  function lists(scope: 'joined' | 'all'): Promise<readonly DetailedFlow[]> {
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

  async function listFlows(scope: 'joined' | 'all'): Promise<readonly DetailedFlow[]> {
    const flows = await lists(scope)
    for (const flow of flows) remember(flow)
    return flows
  }

  function flowById(id: string): MaybePromise<Flow | null> {
    return findFlow(byId, id) ?? orRead(entities?.flow(id), () => loadFlow(id))
  }

  /** Reads an object of a flow; null when the user may not see the flow. */
  async function inFlow<T>(flowId: string, read: (path: string) => Promise<T | null>): Promise<T | null> {
    const flow = await (findFlow(byId, flowId) ??
      orRead(entities?.flow(flowId), () => flowsById.load(flowId)))
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
      if (known !== undefined) return known
      // A flow that was read shows its members, also to users who are not in it.
      return findPerson(id) ?? orRead(entities?.user(id), () => findPerson(id) ?? visibleUser(id))
    },
    organization: (id) => orRead(entities?.organization(id), () => organizations.load(id)),
    detailedOrganization: (id) => organizations.load(id),
    flow(id) {
      const known = directory?.flow(id)
      return known === undefined ? flowById(id) : known
    },
    flowByPath: (path) =>
      findFlow(byPath, path) ?? orRead(entities?.flowByPath(path), () => flowsByPath.load(path)),
    flows: async (scope) =>
      orRead<readonly Flow[]>(scope === 'joined' ? entities?.joinedFlows() : undefined, () =>
        listFlows(scope),
      ),
    detailedFlows: listFlows,
    flowDetails: (flow) => flow.details ?? details.load(flow.id),
    flowUsers: async (flow) => flow.users ?? flowUsers.load(flow.path),
    thread: (flowId, id) =>
      once(`thread ${flowId} ${id}`, () => inFlow(flowId, (path) => resources.threads.find(path, id))),
    message: (channel, id) =>
      once(`message ${channel} ${id}`, () =>
        channel.startsWith('@')
          ? resources.messages.find(channel, id)
          : inFlow(channel, (path) => resources.messages.find(path, id)),
      ),
    expectMessages(channel, page, hasAuthors) {
      authorChecks.push(hasAuthors)
      const key = pageKey(channel, page)
      if (expected.has(key)) return
      const reading = resources.messages.listAt(channel, undefined, page)
      // The operation that uses the page gets the error. If none does, the error is ignored.
      reading.catch(() => undefined)
      expected.set(key, reading)
    },
    messages: (channel, threadId, page) =>
      withAuthors(
        (threadId === undefined ? expected.get(pageKey(channel, page)) : undefined) ??
          resources.messages.listAt(channel, threadId, page),
      ),
    conversation: (userId) => once(`conversation ${userId}`, () => resources.conversations.find(userId)),
    source: (flowPath, id) => once(`source ${flowPath} ${id}`, () => resources.sources.find(flowPath, id)),
    rule: (flowPath, id) => once(`rule ${flowPath} ${id}`, () => resources.rules.find(flowPath, id)),
    flowRules: (flowPath) => once(`rules ${flowPath}`, () => resources.rules.listOf(flowPath)),
    invitation: (flowId, id) =>
      once(`invitation ${flowId} ${id}`, () =>
        inFlow(flowId, (path) => resources.invitations.find(path, id)),
      ),
    organizations: async () => orRead<readonly Organization[]>(entities?.organizations(), organizationList),
    organizationUsers: (slug) =>
      once(`organization users ${slug}`, () => resources.organizations.users(slug)),
    sources,
    flowSources: (flowPath) => sourcesByFlow.load(flowPath),
    viewer: () => once('viewer', async () => orRead(entities?.viewer(), () => resources.users.viewer())),
    changed() {
      visibleUsers = undefined
      readingUsers = undefined
    },
    presence: async (userId) =>
      (await once('presences', () => resources.users.presences())).get(userId) ?? null,
  }
}

/** Reads what is not known. */
function orRead<T>(known: MaybePromise<T | undefined>, read: () => MaybePromise<T>): MaybePromise<T> {
  return andThen(known, (value) => (value === undefined ? read() : value))
}

function pageKey(channel: string, { after, before, from, limit, events }: MessagePage): string {
  return JSON.stringify([channel, after, before, from, limit, events])
}
