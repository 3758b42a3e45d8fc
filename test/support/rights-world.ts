import { startApp } from '../../src/app.ts'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { makeToken } from '../../src/backend/flowdock/auth.ts'
import { lastEventSeq } from '../../src/backend/store/events.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { encodeInFlow } from '../../src/resolvers/global-id.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { post, type Result, testConfig } from './app.ts'
import { type Answer, basic, call, startTestBackend, type TestBackend } from './backend.ts'
import type { HeldRequest } from './held-request.ts'
import { type RequestFaults, startRequestFaults } from './request-faults.ts'
import {
  type Audience,
  type Credential,
  type Expectation,
  type FlowName,
  flowNames,
  hasScope,
  isPersonal,
  type Marker,
  type Organization,
  type Person,
  type Principal,
  people,
  principalNames,
  principals,
  type RightsModel,
} from './rights-model.ts'
import {
  type Delivery,
  openBackendStream,
  openOverSse,
  openOverWebSocket,
  type Transport,
} from './rights-readers.ts'

/** A backend, a gateway before it, and a proxy between them that fails requests. Several worlds are played on one. */
export interface Stage {
  readonly backend: TestBackend
  readonly gatewayUrl: string
  readonly faults: RequestFaults
  readonly administration: Administration
  /** Whether the gateway may answer from its response cache. */
  readonly hasResponseCache: boolean
  close(): Promise<void>
}

export async function startStage(hasResponseCache: boolean): Promise<Stage> {
  const backend = await startTestBackend({ keepAliveMs: 500 })
  const faults = await startRequestFaults(backend.url)
  const app = await startApp(
    testConfig(
      faults.url,
      hasResponseCache ? { RESPONSE_CACHE_SECONDS: '60' } : { RESPONSE_CACHE_SECONDS: '0' },
    ),
    { log: createLogger('silent') },
  )
  const administration = await openAdministration({ dataDir: backend.dataDir, databaseUrl: undefined })
  return {
    ...{ backend, gatewayUrl: app.url, faults, administration, hasResponseCache },
    async close() {
      await app.close()
      await faults.close()
      await administration.close()
      await backend.close()
    },
  }
}

const dayMs = 86_400_000
const markerPattern = /mk\d+z\d+k/g

export interface Topic {
  readonly flows: readonly FlowName[] | 'all'
  readonly isPrivate: boolean
}

/** Who listens, and what they have to hear. */
interface Reader {
  readonly slot: number
  readonly transport: Transport
  readonly topic: Topic
  credential: Credential
  /** Since when it listens with this credential. */
  openedAt: number
  /** The flows it receives, where it does not hear of those that are joined later. */
  readonly fixedFlows: readonly FlowName[] | undefined
  delivery: Delivery | undefined
  isEstablished: boolean
  ended: string | undefined
  /** Why it is allowed to end, or to miss messages, from now on. */
  excuse: string | undefined
  cursor: string | undefined
  readonly seen: Set<string>
  readonly owed: Set<string>
  /** The latest errors it was sent. */
  errors: string | undefined
}

export interface StoredMessage {
  readonly id: number
  readonly threadId: string | undefined
  readonly author: Person | undefined
  readonly marker: Marker
  /** The texts it was given later. */
  readonly edits: Marker[]
  isDeleted: boolean
}

interface FlowRecord {
  readonly id: string
  readonly path: string
  readonly messages: StoredMessage[]
  /** What lets people in, and what lets programs write, each with when it was read. */
  readonly joinCodes: { readonly value: string; readonly at: number }[]
  readonly pushTokens: { readonly value: string; readonly at: number }[]
}

/** A request that waits for the end of its body. */
export interface Held {
  readonly request: HeldRequest
  readonly label: string
  readonly before: Expectation
  readonly expected: () => Expectation
  readonly marker: Marker | undefined
  readonly credential: Credential
  readonly isGraphql: boolean
  readonly onSuccess: () => void
}

export const messageFields =
  '__typename databaseId ... on ChatMessage { content } ... on StatusMessage { content } ... on Comment { content } ... on FileMessage { file { name } } ... on Activity { title } ... on Discussion { title } ... on ActionMessage { action email details }'
const eventFields = `__typename cursor
  ... on MessageAdded { message { ${messageFields} } }
  ... on MessageDeleted { messageId }
  ... on MessageEdited { content editedMessage { ${messageFields} } }
  ... on UserTyping { user { nick } flow { path } }
  ... on PresenceChanged { user { nick } }
  ... on UserActive { user { nick } }
  ... on MemberBlocked { user { nick } }
  ... on FlowAdded { flow { name } }`

let worlds = 0

/** The people, flows and tokens of one history, on a stage; what they do, and what they are shown. */
export class World {
  readonly stage: Stage
  readonly model: RightsModel
  readonly passOver: RegExp | undefined
  readonly readers = new Map<number, Reader>()
  readonly held = new Map<number, Held>()
  /** The newest source of each flow. */
  readonly sourceTokens = new Map<
    FlowName,
    { readonly id: number; readonly token: string; readonly creator: Person; isRemoved: boolean }
  >()
  readonly fileAddresses: { readonly flow: FlowName; readonly path: string; readonly marker: Marker }[] = []
  readonly nodeIds = new Set<string>()
  readonly threadIds = new Map<FlowName, string>()
  readonly leaks: string[] = []
  /** Deletions, each by what says of it in an event: see `deletionIn`. */
  readonly #deletions = new Map<string, Marker>()
  /** How often somebody heard what they had to. */
  heard = 0
  /** The newest event before this world began. */
  firstEvent = 0
  readonly number: number
  readonly #userIds = new Map<Person, number>()
  readonly #flows = new Map<FlowName, FlowRecord>()
  #client = { id: '', secret: '' }
  readonly #patienceMs: number
  #markers = 0
  #isRacing = false
  #postponed: (() => void)[] = []
  readonly #waiting = new Set<() => void>()
  readonly #typedAt = new Map<FlowName, number[]>()

  /**
   * @param patienceMs how long something that has to happen may take
   * @param passOver leaks that are known, and not reported
   */
  constructor(stage: Stage, model: RightsModel, patienceMs: number, passOver: RegExp | undefined) {
    this.stage = stage
    this.#patienceMs = patienceMs
    this.passOver = passOver
    this.model = model
    worlds += 1
    this.number = worlds
  }

  async setUp(): Promise<void> {
    const { administration, backend } = this.stage
    const { model } = this
    this.firstEvent = await this.lastEvent()
    for (const organization of ['acme', 'other'] as const)
      await administration.addOrganization(organization, this.slug(organization))
    for (const person of people) {
      const organization = model.staff.acme.has(person) ? 'acme' : 'other'
      const { id } = await administration.addUser({
        ...{ nick: this.nick(person), name: person, email: this.email(person), password: undefined },
        ...{ id: undefined, organization: this.slug(organization) },
        admin: model.admins[organization].has(person),
      })
      this.#userIds.set(person, Number(id))
    }
    const application = await administration.addApplication(
      'App',
      'https://app.example/back',
      this.email('zoe'),
    )
    this.#client = { id: String(application['clientId']), secret: String(application['clientSecret']) }
    const applicationId = Number(application['id'])
    await backend.store.write(async (db) => {
      for (const principal of principalNames) {
        const { person, scopes } = principals[principal]
        const token = makeToken()
        const grant =
          scopes === undefined
            ? undefined
            : { applicationId, scope: scopes.join(' '), expiresAt: Date.now() + dayMs, codeHash: null }
        await insertToken(db, hashToken(token), this.userId(person), grant)
        model.credentials.set(principal, { principal, person, token, isRevoked: false })
      }
    })
    for (const [flow, owner, members] of [
      ['acme/general', 'zoe', ['max', 'eve', 'gus']],
      ['acme/secret', 'zoe', ['max']],
      ['other/theirs', 'oto', ['ivy']],
      ['other/quiet', 'oto', []],
    ] as const) {
      const [organization, slug] = flow.split('/') as [Organization, string]
      const made = await this.rest(owner, 'POST', `/flows/${this.slug(organization)}`, { name: slug })
      const path = `${this.slug(organization)}/${made.json.parameterized_name}`
      this.#flows.set(flow, { id: made.json.id, path, messages: [], joinCodes: [], pushTokens: [] })
      model.join(owner, flow)
      for (const member of members) {
        await this.rest(owner, 'POST', `/flows/${path}/users`, { id: this.userId(member) })
        model.join(member, flow)
      }
    }
    await this.rest('zoe', 'PUT', `/flows/${this.flow('acme/general').path}`, { access_mode: 'organization' })
    await this.readSecrets()
  }

  slug(organization: Organization): string {
    return `${organization}-${this.number}`
  }

  nick(person: Person): string {
    return `${person}_${this.number}`
  }

  email(person: Person): string {
    return `${person}-${this.number}@example.com`
  }

  userId(person: Person): number {
    return this.#userIds.get(person) ?? 0
  }

  flow(name: FlowName): FlowRecord {
    const record = this.#flows.get(name)
    if (record === undefined) throw new Error(`There is no ${name}`)
    return record
  }

  async rest(principal: Principal, method: string, path: string, body?: unknown): Promise<Answer> {
    const { token } = this.model.credential(principal)
    return call(this.stage.backend.url + path, method, { authorization: basic(token) }, body)
  }

  async graphql(principal: Principal, query: string, variables?: Record<string, unknown>): Promise<Result> {
    return post(this.stage.gatewayUrl, { query, variables }, this.model.credential(principal).token)
  }

  /** A GraphQL mutation, answered as a REST route would: 200 when it was done. */
  async mutate(
    principal: Principal,
    field: string,
    type: string,
    input: Record<string, unknown>,
  ): Promise<{ status: number; text: string }> {
    const query = `mutation ($input: ${type}!) { result: ${field}(input: $input) { __typename } }`
    const { data, errors } = await this.graphql(principal, query, { input })
    const outcome = String(data?.result?.__typename)
    return { status: outcome.endsWith('Payload') ? 200 : 400, text: JSON.stringify(errors ?? data) }
  }

  mark(audience: Audience, origin: string): Marker {
    this.#markers += 1
    return this.model.mark(audience, origin, `mk${this.number}z${this.#markers}k`)
  }

  /** Notes the join codes, the push tokens and the access modes as they are. */
  async readSecrets(): Promise<void> {
    for (const name of flowNames) {
      const record = this.flow(name)
      const row = await this.stage.backend.store.reader
        .selectFrom('flows')
        .select(['join_code', 'push_token', 'access_mode'])
        .where('id', '=', record.id)
        .executeTakeFirstOrThrow()
      const at = this.model.now
      if (record.joinCodes.at(-1)?.value !== row.join_code)
        record.joinCodes.push({ value: row.join_code, at })
      if (record.pushTokens.at(-1)?.value !== row.push_token)
        record.pushTokens.push({ value: row.push_token, at })
      this.model.flows[name].mode = row.access_mode as 'invitation' | 'link' | 'organization'
    }
  }

  /** Holds an answer to what the rules say of it. @returns whether the request succeeded */
  judge(label: string, expected: Expectation, isSuccess: boolean, detail: string): boolean {
    if (isSuccess && expected === 'mustNot')
      this.leaks.push(`${label} succeeded and must be refused: ${detail}`)
    if (!isSuccess && expected === 'must') this.leaks.push(`${label} was refused and must succeed: ${detail}`)
    return isSuccess
  }

  /** The same for an answer of the REST API. */
  judgeAnswer(
    label: string,
    expected: Expectation,
    { status, text }: { status: number; text: string },
  ): boolean {
    if (status >= 500) this.leaks.push(`${label} failed: ${status} ${text}`)
    return this.judge(label, expected, status < 300, `${status} ${text.slice(0, 200)}`)
  }

  /** A message was stored: whoever listens and may hear it has to. */
  stored(marker: Marker): void {
    for (const reader of this.readers.values())
      if (this.#mustHear(reader, marker.audience) && !reader.seen.has(marker.text))
        reader.owed.add(marker.text)
  }

  /**
   * A message was deleted. A reader that has not got its texts yet must not get them, when it reads them from what is stored
   * or remembered; each reader has to get the deletion.
   */
  deleted(flow: FlowName, message: StoredMessage, origin: string): void {
    message.isDeleted = true
    for (const { owed } of this.readers.values())
      for (const { text } of [message.marker, ...message.edits]) owed.delete(text)
    const text = encodeInFlow('Message', this.flow(flow).id, message.id)
    const deletion = { text, audience: { flow }, origin, at: this.model.tick(), isRefused: false }
    this.#deletions.set(text, deletion)
    this.stored(deletion)
  }

  #markerOf(text: string): Marker | undefined {
    return this.model.markers.get(text) ?? this.#deletions.get(text)
  }

  #mustHear(
    { credential, topic, isEstablished, ended, excuse, fixedFlows }: Reader,
    audience: Audience,
  ): boolean {
    const { model } = this
    if (!isEstablished || ended !== undefined || excuse !== undefined || !model.isValid(credential))
      return false
    if ('between' in audience)
      return (
        topic.isPrivate && hasScope(credential, 'private') && audience.between.includes(credential.person)
      )
    const { flow } = audience
    if (topic.flows !== 'all' && !topic.flows.includes(flow)) return false
    if (fixedFlows !== undefined && !fixedFlows.includes(flow)) return false
    return hasScope(credential, 'flow') && model.isJoined(credential.person, flow)
  }

  /** Somebody lost a flow, or it was archived: what they were to hear of it they need not, and named ones may end. */
  lost(person: Person, flow: FlowName, why: string): void {
    for (const reader of this.readers.values()) {
      if (reader.credential.person !== person) continue
      for (const text of reader.owed) {
        const { audience } = this.#markerOf(text) as Marker
        if ('flow' in audience && audience.flow === flow) reader.owed.delete(text)
      }
      if (reader.topic.flows !== 'all' && reader.topic.flows.includes(flow)) reader.excuse ??= why
    }
  }

  excuseAll(why: string): void {
    for (const reader of this.readers.values()) {
      if (!reader.isEstablished) reader.excuse ??= why
      this.#faulted.add(reader)
    }
  }

  /** Readers that an upstream failure may have ended. */
  readonly #faulted = new Set<Reader>()

  async setAdmin(person: Person, organization: Organization, isAdmin: boolean): Promise<void> {
    await this.stage.backend.store.write(async (db) => {
      const { id } = await db
        .selectFrom('organizations')
        .select('id')
        .where('slug', '=', this.slug(organization))
        .executeTakeFirstOrThrow()
      await db
        .updateTable('organization_members')
        .set({ admin: Number(isAdmin) })
        .where('organization_id', '=', id)
        .where('user_id', '=', this.userId(person))
        .execute()
    })
  }

  /** The number of the newest event of the log. */
  async lastEvent(): Promise<number> {
    return lastEventSeq(this.stage.backend.store.reader)
  }

  /** The events behind a number, in the order of the log. */
  async eventsAfter(seq: number): Promise<readonly { flow_id: string | null; payload: string }[]> {
    return this.stage.backend.store.reader
      .selectFrom('events')
      .select(['flow_id', 'payload'])
      .where('seq', '>', seq)
      .orderBy('seq')
      .execute()
  }

  /** The text that was written to a flow last. */
  newest(flow: FlowName): Marker | undefined {
    return [...this.model.markers.values()].findLast(
      ({ audience, isRefused }) => !isRefused && 'flow' in audience && audience.flow === flow,
    )
  }

  /** Runs changes at the same time; what is delivered meanwhile is judged once `order` has told what came first. */
  async race(changes: () => Promise<void>, order: () => Promise<void>): Promise<void> {
    this.#isRacing = true
    try {
      await changes()
      await order()
    } finally {
      this.#isRacing = false
      for (const judge of this.#postponed.splice(0)) judge()
    }
  }

  // Readers

  async open(slot: number, principal: Principal, topic: Topic, transport: Transport): Promise<void> {
    await this.#begin(slot, this.model.credential(principal), topic, transport, undefined, new Set())
  }

  /** Stops listening; what happens meanwhile is owed once `resume` was called. */
  leave(slot: number): void {
    const reader = this.readers.get(slot)
    if (reader === undefined) return
    reader.delivery?.close()
    reader.delivery = undefined
  }

  async resume(slot: number): Promise<void> {
    const reader = this.readers.get(slot)
    if (reader === undefined) return
    const { credential, topic, transport, cursor, owed, seen, ended, excuse } = reader
    this.readers.delete(slot)
    const isOwed = cursor !== undefined && ended === undefined && excuse === undefined
    await this.#begin(slot, credential, topic, transport, cursor, isOwed ? owed : new Set(), seen)
  }

  close(slot: number): void {
    this.readers.get(slot)?.delivery?.close()
    this.readers.delete(slot)
    this.model.openSlots.delete(slot)
    this.model.awaySlots.delete(slot)
  }

  async #begin(
    slot: number,
    credential: Credential,
    topic: Topic,
    transport: Transport,
    after: string | undefined,
    owed: Set<string>,
    seen = new Set<string>(),
  ): Promise<void> {
    const { model, stage } = this
    const follows = transport === 'backend' ? topic.flows === 'all' : hasScope(credential, 'private')
    const reader: Reader = {
      ...{ slot, transport, topic, credential, openedAt: model.tick(), delivery: undefined },
      fixedFlows: follows
        ? undefined
        : flowNames.filter(
            (each) => model.isJoined(credential.person, each) && !model.flows[each].isArchived,
          ),
      ...{ isEstablished: false, ended: undefined, excuse: undefined, cursor: after, errors: undefined },
      ...{ seen: new Set(after === undefined ? [] : seen), owed },
    }
    this.readers.set(slot, reader)
    if (model.fault !== undefined && transport !== 'backend') {
      reader.excuse = 'opened while the upstream failed'
      this.#faulted.add(reader)
    }
    const label = this.describe(reader)
    const expected = this.#mayOpen(reader)
    if (transport === 'backend') {
      const filter = topic.flows === 'all' ? '*' : topic.flows.map((each) => this.flow(each).path).join(',')
      const url = `${stage.backend.url}/stream/flows?filter=${filter}${topic.isPrivate ? '&user=1' : ''}`
      const delivery = await openBackendStream(url, credential.token, after, (json, id) => {
        reader.cursor = id ?? reader.cursor
        this.#receive(reader, json)
      })
      reader.delivery = delivery
      this.#watch(reader)
      reader.isEstablished = delivery.status === 200
      if (!reader.isEstablished) reader.ended = `status ${delivery.status}`
      this.judge(`open ${label}`, expected, reader.isEstablished, `status ${delivery.status}`)
    } else {
      const named =
        topic.flows === 'all'
          ? ''
          : `flows: [${topic.flows.map((each) => `{ path: "${this.flow(each).path}" }`).join(' ')}], `
      const query = `subscription ($after: String) { flowEvents(input: { ${named}includePrivate: ${topic.isPrivate}, includeStatus: true, after: $after }) { ${eventFields} } }`
      const open = transport === 'WebSocket' ? openOverWebSocket : openOverSse
      reader.delivery = open({
        ...{ url: stage.gatewayUrl, token: credential.token, query, after },
        onText: (json) => this.#receive(reader, json),
      })
      this.#watch(reader)
      if (model.fault === undefined) {
        const isSettled = await this.#waitFor(() => reader.isEstablished || reader.ended !== undefined)
        if (!isSettled) this.leaks.push(`open ${label}: neither opened nor refused`)
        this.judge(`open ${label}`, expected, reader.isEstablished, `${reader.ended} ${reader.errors ?? ''}`)
      }
    }
  }

  #watch(reader: Reader): void {
    const { delivery } = reader
    void delivery?.ended.then((reason) => {
      // A reader that left by itself may come back.
      if (reader.delivery !== delivery) return
      reader.ended ??= reason
      this.#wake()
    })
  }

  #mayOpen({ credential, topic, transport }: Reader): Expectation {
    const { model } = this
    const flows = topic.flows === 'all' ? [] : topic.flows
    // A stream that the gateway has open for that token may be joined until the backend ends it: `settle` sees to that.
    if (!model.isValid(credential))
      return transport !== 'backend' && topic.flows === 'all' ? 'may' : 'mustNot'
    if (!hasScope(credential, 'flow')) return topic.flows === 'all' ? 'may' : 'mustNot'
    if (flows.some((flow) => !model.isJoined(credential.person, flow))) return 'mustNot'
    if (topic.isPrivate && !hasScope(credential, 'private'))
      return transport === 'backend' ? 'mustNot' : 'may'
    if (flows.some((flow) => model.flows[flow].isArchived)) return 'may'
    return 'must'
  }

  async renew(slot: number, principal: Principal): Promise<void> {
    const reader = this.readers.get(slot)
    if (reader?.delivery === undefined || reader.ended !== undefined) return
    const credential = this.model.credential(principal)
    const isSame =
      credential.person === reader.credential.person &&
      isPersonal(credential) &&
      isPersonal(reader.credential)
    await reader.delivery.renew(credential.token, () => {
      if (!isSame) reader.isEstablished = false
    })
    if (reader.ended !== undefined) return
    reader.credential = credential
    reader.openedAt = this.model.tick()
    if (isSame && this.model.isValid(credential)) return
    reader.owed.clear()
    reader.excuse ??= 'was given the credential of another'
    if (this.model.fault !== undefined) return
    const expected = this.#mayOpen(reader)
    const isSettled = await this.#waitFor(() => reader.isEstablished || reader.ended !== undefined)
    if (!isSettled && expected === 'must')
      this.leaks.push(`renew ${this.describe(reader)}: nothing came of it`)
    if (expected === 'mustNot' && reader.isEstablished)
      this.leaks.push(`renew ${this.describe(reader)} succeeded and must be refused`)
  }

  #receive(reader: Reader, json: string): void {
    if (this.#isRacing) {
      this.#postponed.push(() => this.#judgeDelivery(reader, json))
      return
    }
    this.#judgeDelivery(reader, json)
  }

  #judgeDelivery(reader: Reader, json: string): void {
    const { model } = this
    const { credential, topic } = reader
    const label = this.describe(reader)
    const texts = [...json.matchAll(markerPattern)].map(([text]) => text)
    const deletion = deletionIn(JSON.parse(json))
    if (deletion !== undefined && this.#deletions.has(deletion)) texts.push(deletion)
    for (const text of texts) {
      const marker = this.#markerOf(text)
      if (marker !== undefined && !reader.seen.has(text) && this.#mustHear(reader, marker.audience))
        this.heard += 1
      reader.seen.add(text)
      reader.owed.delete(text)
      if (marker === undefined) {
        this.leaks.push(`${label} heard ${text} of another world`)
        continue
      }
      const { audience } = marker
      const isAbout =
        'between' in audience ? topic.isPrivate : topic.flows === 'all' || topic.flows.includes(audience.flow)
      if (!isAbout || !model.mayRead(credential, marker, Math.max(marker.at, reader.openedAt)))
        this.leaks.push(`${label} heard ${describeMarker(marker)}: ${json.slice(0, 300)}`)
    }
    if (reader.transport !== 'backend') this.#judgeEvent(reader, JSON.parse(json), label)
    this.#wake()
  }

  // biome-ignore lint/suspicious/noExplicitAny: results of every shape
  #judgeEvent(reader: Reader, result: any, label: string): void {
    if (result.errors !== undefined) reader.errors = JSON.stringify(result.errors)
    const event = result.data?.flowEvents
    if (event == null) return
    if (event.cursor !== '') reader.cursor = event.cursor
    if (event.__typename === 'StreamStatus') reader.isEstablished = true
    if (event.__typename === 'Gap') reader.owed.clear()
    const nick: string | undefined = event.user?.nick
    if (nick === undefined || event.__typename === 'MemberBlocked') return
    const person = people.find((each) => this.nick(each) === nick)
    if (person === undefined || !this.model.areAcquainted(reader.credential.person, person))
      this.leaks.push(`${label} heard of the presence of ${nick}, a stranger`)
    const flow =
      event.__typename === 'UserTyping' && flowNames.find((each) => this.flow(each).path === event.flow?.path)
    if (!flow) return
    const since = Math.max((this.#typedAt.get(flow) ?? []).at(-3) ?? 0, reader.openedAt)
    if (!this.model.wasJoinedSince(reader.credential.person, flow, since))
      this.leaks.push(`${label} heard ${nick} typing in ${flow}`)
  }

  typed(flow: FlowName): void {
    this.#typedAt.set(flow, [...(this.#typedAt.get(flow) ?? []), this.model.now])
  }

  describe({ slot, credential, transport, topic }: Reader): string {
    const flows = topic.flows === 'all' ? 'all flows' : topic.flows.join(' and ')
    return `#${slot} (${credential.principal}, ${transport}, ${flows}${topic.isPrivate ? ', private' : ''})`
  }

  /** Holds what somebody was shown in an answer to what they may read at this moment. */
  scan(principal: Principal, what: string, text: string, isCached = false): void {
    const { model } = this
    const credential = model.credential(principal)
    for (const [found] of text.matchAll(markerPattern)) {
      const marker = model.markers.get(found)
      if (marker === undefined || !model.mayRead(credential, marker, isCached ? marker.at : undefined))
        this.leaks.push(
          `${principal} read ${marker === undefined ? found : describeMarker(marker)} by ${what}`,
        )
    }
    const mayKnow = (flow: FlowName) =>
      model.isValid(credential) &&
      model.isJoined(credential.person, flow) &&
      (isPersonal(credential) || hasScope(credential, 'manage'))
    if (isCached) return
    for (const name of flowNames) {
      if (mayKnow(name)) continue
      const { joinCodes, pushTokens } = this.flow(name)
      const isVisible =
        isPersonal(credential) && model.isValid(credential) && model.isVisible(credential.person, name)
      for (const { value } of joinCodes)
        if (!isVisible && text.includes(value))
          this.leaks.push(`${principal} read the join code of ${name} by ${what}`)
      for (const { value } of pushTokens)
        if (text.includes(value)) this.leaks.push(`${principal} read the push token of ${name} by ${what}`)
    }
  }

  // Credentials and people

  async revoke(credential: Credential): Promise<void> {
    const hash = hashToken(credential.token)
    if (isPersonal(credential)) {
      const id = Buffer.from(hash, 'base64url').toString('hex').slice(0, 12)
      await this.stage.administration.removeToken(this.email(credential.person), id)
    } else {
      const body = { client_id: this.#client.id, client_secret: this.#client.secret, token: credential.token }
      await call(`${this.stage.backend.url}/oauth/revoke`, 'POST', {}, body)
    }
    credential.isRevoked = true
    this.model.tick()
  }

  async issue(principal: Principal): Promise<void> {
    const { person } = principals[principal]
    const added = await this.stage.administration.addToken(this.email(person))
    this.model.credentials.set(principal, {
      principal,
      person,
      token: String(added['token']),
      isRevoked: false,
    })
  }

  // The upstream

  fail(label: string, fault: Parameters<RequestFaults['setFault']>[0]): void {
    this.model.fault = label
    this.stage.faults.setFault(fault)
    this.excuseAll('the upstream failed')
  }

  cutStreams(): void {
    this.stage.faults.cutStreams()
    this.excuseAll('its stream was cut')
  }

  /** Resolves once the gateway answers again. */
  async heal(): Promise<void> {
    this.stage.faults.setFault(undefined)
    this.model.fault = undefined
    const principal = principalNames.find((each) => this.model.may(this.model.credential(each), 'flow'))
    if (principal === undefined) return
    const isWell = await this.#poll(async () => {
      const { errors } = await this.graphql(principal, '{ viewer { nick } flows { nodes { name } } }')
      return errors === undefined
    })
    if (!isWell) this.leaks.push('The gateway does not answer after the upstream came back')
  }

  // The other half: what has to happen does

  /** Waits until everybody has heard what they have to, and those who must not listen any more do not. */
  async settle(): Promise<void> {
    for (const reader of [...this.readers.values()]) {
      const reason = this.#mustEnd(reader)
      if (reason === undefined || reader.delivery === undefined) continue
      if (!(await this.#waitFor(() => reader.ended !== undefined)))
        this.leaks.push(
          `${this.describe(reader)} is still open after ${this.#patienceMs} ms, although ${reason}`,
        )
    }
    if (this.model.fault !== undefined) return
    for (const reader of [...this.readers.values()]) {
      const label = this.describe(reader)
      const isExcused = () =>
        reader.excuse !== undefined || this.#faulted.has(reader) || !this.model.isValid(reader.credential)
      if (reader.delivery === undefined) continue
      await this.#waitFor(() => reader.owed.size === 0 || reader.ended !== undefined)
      if (reader.ended !== undefined) {
        if (reader.isEstablished && !isExcused())
          this.leaks.push(`${label} ended without a cause: ${reader.ended} ${reader.errors ?? ''}`)
        continue
      }
      for (const text of reader.owed)
        this.leaks.push(`${label} did not hear ${describeMarker(this.#markerOf(text) as Marker)}`)
      reader.owed.clear()
    }
  }

  #mustEnd({ credential, topic, transport, isEstablished }: Reader): string | undefined {
    const { model } = this
    if (!isEstablished) return undefined
    // Whether it ends cannot be known while the stream that would say so is not answered.
    if (model.fault !== undefined && !model.fault.includes('flow lists')) return undefined
    if (credential.isRevoked) return 'its token was revoked'
    if (model.disabled.has(credential.person)) return 'its user was disabled'
    if (transport === 'backend' || topic.flows === 'all') return undefined
    const missing = topic.flows.find((flow) => !model.isJoined(credential.person, flow))
    return missing === undefined ? undefined : `${credential.person} lost ${missing}`
  }

  async tearDown(): Promise<void> {
    if (this.model.fault !== undefined) await this.heal()
    await this.settle()
    for (const slot of [...this.readers.keys()]) this.close(slot)
    for (const { request } of this.held.values()) await request.complete()
  }

  /** @throws Error naming everything that was wrong so far */
  check(): void {
    const { passOver } = this
    if (passOver !== undefined)
      this.leaks.push(...this.leaks.splice(0).filter((each) => !passOver.test(each)))
    if (this.leaks.length > 0) throw new Error(this.leaks.join('\n'))
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  /** Resolves with true once it holds, looking whenever something was delivered. */
  async #waitFor(check: () => boolean): Promise<boolean> {
    if (check()) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const look = () => {
      if (check()) resolve(true)
    }
    const bound = setTimeout(() => resolve(false), this.#patienceMs)
    this.#waiting.add(look)
    try {
      return await promise
    } finally {
      clearTimeout(bound)
      this.#waiting.delete(look)
    }
  }

  async #poll(check: () => Promise<boolean>): Promise<boolean> {
    const deadline = Date.now() + this.#patienceMs
    while (!(await check())) {
      if (Date.now() > deadline) return false
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return true
  }
}

function describeMarker({ text, audience, origin, isRefused }: Marker): string {
  const whom = 'flow' in audience ? `members of ${audience.flow}` : audience.between.join(' and ')
  return `${text} (${origin}${isRefused ? ', which was refused' : ''}), for ${whom} alone`
}

/** The message whose deletion an event of either server says, by its global id. */
// biome-ignore lint/suspicious/noExplicitAny: results and events of every shape
function deletionIn({ data, event, flow, content }: any): string | undefined {
  if (data?.flowEvents?.__typename === 'MessageDeleted') return data.flowEvents.messageId
  const edited = event === 'message-edit' ? content.updated_content : undefined
  // That of a comment has a title, which is the text of another message.
  const isEmptied = edited === '' || edited?.text === ''
  if (event !== 'message-delete' && !isEmptied) return undefined
  return flow === undefined ? undefined : encodeInFlow('Message', flow, content.message)
}
