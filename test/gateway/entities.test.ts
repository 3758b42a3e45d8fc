import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import { ensureApplication } from '../../src/backend/store/applications.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import type { UpstreamCall } from '../../src/upstream/http.ts'
import { eventually, post, testConfig } from '../support/app.ts'
import { type Answer, basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { createRandom, type Random } from '../support/query-generator.ts'
import { openSelectiveProxy, startSelectiveProxy } from '../support/selective-proxy.ts'
import { serviceToken } from '../support/service-token.ts'

/*
 * Users, flows and organizations come from the directory of the gateway where it has a service stream. Whatever happens, a query
 * has the response that it has without one, from the first request after a change was answered. Histories are random lists of
 * changes; `STEPS` and `SEED` are as in rights.test.ts.
 */

const { STEPS: stepsSetting, SEED: seedSetting } = process.env
const steps = Number(stepsSetting ?? 30)
const histories = 3
const firstSeed = seedSetting === 'random' ? Date.now() % 1_000_000_000 : Number(seedSetting ?? 1)

/** Two gateways over one backend: one hears the service stream, one asks for everything. */
interface Stage {
  readonly backend: TestBackend
  readonly administration: Administration
  readonly hearing: App
  readonly asking: App
  /** What the second one takes for the URL of the backend. */
  readonly askingUrl: string
  readonly calls: UpstreamCall[]
  /** The statuses of all calls. */
  readonly statuses: (number | undefined)[]
  close(): Promise<void>
}

async function startStage(): Promise<Stage> {
  const backend = await startTestBackend({ serviceTokens: [serviceToken] })
  const calls: UpstreamCall[] = []
  const statuses: (number | undefined)[] = []
  const log = createLogger('silent')
  const hearing = await startApp(testConfig(backend.url, { SERVICE_TOKEN: serviceToken }), {
    ...{
      log,
      onUpstreamCall(each) {
        calls.push(each)
        statuses.push(each.status)
      },
    },
  })
  // It does not say which pages it has, so that every page is read.
  const proxy = await openSelectiveProxy(backend.url, ({ headers }) => {
    delete headers['flowdock-page']
    return false
  })
  const asking = await startApp(testConfig(proxy.url), { log })
  const administration = await openAdministration(backend.location)
  return {
    ...{ backend, administration, hearing, asking, askingUrl: proxy.url, calls, statuses },
    async close() {
      await hearing.close()
      await asking.close()
      await proxy.close()
      await administration.close()
      await backend.close()
    },
  }
}

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.close())

async function ask(app: App, token: string, query: string): Promise<string> {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic(token) },
    body: JSON.stringify({ query }),
  })
  return (await response.text()).replaceAll(stage.askingUrl, stage.backend.url)
}

const user = 'id databaseId nick name email avatarUrl websiteUrl url'
const organization = 'id databaseId slug name userCount userLimit isActive url subscription { isTrial }'
const flow = `id databaseId name slug path description email access isOpen disabled viewerIsMember viewerIsAdmin
  unreadMentions lastMessageAt lastMessageId teamNotifications pushToken joinUrl url webUrl organization { ${organization} }`
const plainFlow = `id name slug path description email access isOpen disabled viewerIsMember viewerIsAdmin teamNotifications
  url webUrl organization { id databaseId slug name userCount userLimit isActive url }`
const nested = `messages(last: 30) { edges { cursor } nodes { __typename url webUrl tags editedAt reactions { emoji users { nodes { name } } } author { name ... on User { ${user} } }
  thread { title internalCommentCount status { value } source { name } flow { path name } } ... on ChatMessage { content } ... on Comment { content } ... on ActionMessage { blockedUser { ${user} } } } }`

interface Person {
  readonly id: number
  readonly email: string
  readonly token: string
  /** The organization that they were added to. */
  readonly slug: string
}

/** A world of two organizations on the stage, in which random changes are made. */
class World {
  static count = 0
  readonly name: string
  readonly random: Random
  readonly users: Person[] = []
  readonly flows: {
    readonly id: string
    readonly path: string
    readonly slug: string
    readonly by: Person
  }[] = []
  readonly sources = new Map<string, { readonly id: number; readonly token: string }>()
  readonly slugs: string[]
  /** What was done, for the message of a failure. */
  readonly history: string[] = []
  /** How many of the compared queries had their objects, and how many of those asked the REST API for none of them. */
  whole = 0
  fromDirectory = 0

  constructor(seed: number) {
    World.count += 1
    this.name = `w${World.count}`
    this.slugs = ['one', 'two'].map((each) => `${this.name}-${each}`)
    this.random = createRandom(seed)
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)] as T
  }

  async setUp(): Promise<void> {
    for (const slug of this.slugs) await stage.administration.addOrganization(slug, slug)
    for (let index = 0; index < 7; index += 1) await this.addUser(index < 2, this.slugs[index % 2])
    for (const by of this.users.slice(0, 4)) await this.addFlow(by)
    for (const flow of this.flows)
      for (const user of this.users)
        if (user.slug === flow.slug)
          await this.rest('POST', `/flows/${flow.path}/users`, { id: user.id }, flow.by)
  }

  async addUser(admin: boolean, slug = this.pick(this.slugs)): Promise<void> {
    const nick = `${this.name}u${this.users.length}`
    const email = `${nick}@example.com`
    const added = await stage.administration.addUser({
      ...{ nick, email, name: `User ${nick}`, password: undefined, id: undefined, admin },
      organization: slug,
    })
    const { token } = await stage.administration.addToken(email)
    this.users.push({ id: Number(added['id']), email, token: String(token), slug })
  }

  async addFlow(by = this.pick(this.users)): Promise<void> {
    const name = `flow ${this.flows.length}`
    const made = await this.rest('POST', `/flows/${by.slug}`, { name }, by)
    const path = /\/flows\/(.+)$/.exec(String(made.json?.url))?.[1]
    if (made.status === 201 && path !== undefined)
      this.flows.push({ id: made.json.id, path, slug: by.slug, by })
  }

  /** A call as a random user, mostly one of the organization that the path names. */
  async rest(method: string, path: string, body?: unknown, by = this.actor(path)): Promise<Answer> {
    const answer = await call(stage.backend.url + path, method, { authorization: basic(by.token) }, body)
    this.history.push(`${method} ${path} ${JSON.stringify(body)} by ${by.id}: ${answer.status}`)
    return answer
  }

  actor(path: string): Person {
    const own = this.users.filter(({ slug }) => path.includes(`${slug}/`))
    return this.pick(own.length > 0 && this.random() < 0.8 ? own : this.users)
  }

  /** Makes one random change, which may be refused. */
  async change(): Promise<void> {
    const { administration, hearing } = stage
    const at = `/flows/${this.pick(this.flows).path}`
    const someone = this.actor(at)
    const text = `text ${Math.floor(this.random() * 1e6)}`
    const flag = this.random() < 0.5
    const command = async (name: string, run: () => Promise<unknown>) => {
      const outcome = await run().then(
        () => 'done',
        (error: unknown) => String(error),
      )
      this.history.push(`${name}: ${outcome}`)
    }
    const mutate = (query: string) =>
      command(`${query} by ${someone.id}`, () =>
        ask(hearing, someone.token, `mutation { ${query} { __typename } }`),
      )
    const changes: readonly (() => Promise<unknown>)[] = [
      ...this.messageChanges(at, text),
      () => this.rest('POST', `${at}/users`, { id: someone.id }),
      () => this.rest('POST', `${at}/users`, { id: someone.id }),
      () => this.rest('PUT', `${at}/users/${someone.id}`, { disabled: true }),
      () => this.rest('PUT', `${at}/users/${someone.id}`, { disabled: false }),
      () => this.rest('PUT', `${at}/users/${someone.id}`, { disabled: false }),
      () => this.rest('PUT', at, { open: flag }),
      () => this.rest('PUT', at, { name: text }),
      () => this.rest('PUT', at, { description: text }),
      () => this.rest('PUT', at, { access_mode: this.pick(['organization', 'link', 'invitation']) }),
      () => this.rest('PUT', at, { disabled: this.random() < 0.2 }),
      () => this.rest('POST', `${at}/join_url`),
      () => this.rest('PUT', `/organizations/${this.pick(this.slugs)}`, { name: text }),
      () =>
        this.random() < 0.4
          ? this.rest('DELETE', `/organizations/${this.pick(this.slugs)}/users/${someone.id}`)
          : this.rest('POST', `${at}/users`, { id: someone.id }),
      () => this.rest('PUT', `/users/${someone.id}`, { nick: `n${Math.floor(this.random() * 1e9)}` }),
      () => this.rest('POST', `${at}/invitations`, { email: someone.email, message: '' }),
      () => this.addFlow(),
      () => mutate(`updateViewer(input: { nick: "m${Math.floor(this.random() * 1e9)}" })`),
      () => mutate(`joinFlow(input: { flow: { path: "${at.slice(7)}" } })`),
      () => mutate(`leaveFlow(input: { flow: { path: "${at.slice(7)}" } })`),
      () => mutate(`sendMessage(input: { flow: { path: "${at.slice(7)}" }, content: "${text}" })`),
      () => command('edit name', () => administration.editUser(someone.email, { name: text })),
      () => command('picture', () => administration.setAvatar(someone.email, flag ? png : undefined)),
      () =>
        this.random() < 0.2
          ? command('archive', () => administration.removeFlow(at.slice(7)))
          : Promise.resolve(),
      () => command('add to flow', () => administration.addFlowUser(at.slice(7), someone.email)),
      () => (this.users.length < 12 ? this.addUser(flag) : Promise.resolve()),
      () =>
        this.random() < 0.2
          ? command('remove user', () => administration.removeUser(someone.email))
          : Promise.resolve(),
      async () => {
        const [listed] = await administration.listTokens(someone.email)
        if (listed !== undefined && this.random() < 0.3)
          await command('revoke', () => administration.removeToken(someone.email, String(listed['id'])))
      },
    ]
    await this.pick(changes)()
  }

  /** Changes of the messages of a flow. */
  messageChanges(at: string, text: string): readonly (() => Promise<unknown>)[] {
    return [
      () => this.rest('POST', `${at}/messages`, { event: 'message', content: text }),
      () => this.rest('POST', `${at}/messages`, { event: 'message', content: `@everyone ${text}` }),
      () => this.rest('POST', `${at}/read`, {}),
      () => this.rest('PUT', `${at}/messages/${this.message()}`, { content: `edited ${text}` }),
      () => this.rest('PUT', `${at}/messages/${this.message()}`, { tags: [text.replace(' ', '')] }),
      () => this.rest('DELETE', `${at}/messages/${this.message()}`),
      () =>
        this.rest('POST', `${at}/messages/${this.message()}/emoji_reaction`, { type: 'add', emoji: '+1' }),
      () => this.rest('PUT', `${at}/messages/${this.message()}`, { thread_id: 'new' }),
      () =>
        this.rest('POST', `${at}/messages/${this.message()}/comments`, { event: 'comment', content: text }),
      () => this.post(at, text),
    ]
  }

  /** The number of a message that may be there: they begin at 1 in each flow. */
  message(): number {
    return 1 + Math.floor(this.random() * 12)
  }

  /** An activity of a source, in a thread of its own; or another state of the source. */
  async post(at: string, text: string): Promise<void> {
    const { backend } = stage
    const known = this.sources.get(at)
    if (known === undefined) {
      const made = await this.rest('POST', `${at}/sources`, { name: text })
      if (made.status === 201) this.sources.set(at, { id: made.json.id, token: made.json.flow_token })
    } else if (this.random() < 0.3)
      await this.rest('PUT', `${at}/sources/${known.id}`, { error_message: text })
    else {
      const author = { name: 'CI' }
      const activity = { event: 'activity', author, title: text, external_thread_id: 'build' }
      const body = {
        flow_token: known.token,
        ...activity,
        thread: { title: text, status: { value: text, color: 'green' } },
      }
      const { status } = await call(`${backend.url}/messages`, 'POST', {}, body)
      this.history.push(`an activity in ${at}: ${status}`)
    }
  }

  /** Queries about what is there. */
  query(): string {
    const { id, path } = this.pick(this.flows)
    const someone = this.pick(this.users)
    const global = (type: string, key: string | number) => Buffer.from(`${type}:${key}`).toString('base64url')
    return this.pick([
      `{ viewer { ${user} } }`,
      `{ flows { nodes { ${plainFlow} } } }`,
      `{ flows { nodes { ${flow} } } }`,
      `{ flows(scope: ALL) { nodes { ${flow} } } }`,
      `{ flow(by: { path: "${path}" }) { ${plainFlow} ${nested} } }`,
      `{ flow(by: { path: "${path}" }) { ${plainFlow} ${nested} } }`,
      `{ flow(by: { path: "${path}" }) { ${flow} ${nested} users { nodes { user { ${user} } isBlocked } } } }`,
      `{ flow(by: { databaseId: "${id}" }) { ${flow} } viewer { name } }`,
      `{ organizations { nodes { ${organization} viewerIsAdmin users { nodes { user { name } isAdmin } } } } }`,
      `{ organizations { nodes { id databaseId slug name userCount isActive url } } }`,
      `{ node(id: "${global('User', someone.id)}") { ... on User { ${user} } } }`,
      `{ nodes(ids: ${JSON.stringify(this.users.map((each) => global('User', each.id)))}) { ... on User { ${user} } } }`,
      `{ nodes(ids: ${JSON.stringify(this.flows.map((each) => global('Flow', each.id)))}) { ... on Flow { ${flow} } } }`,
      `{ one: flow(by: { path: "${path}" }) { ${nested} } ${this.flows.map((each, index) => `f${index}: flow(by: { path: "${each.path}" }) { name unreadMentions }`).join(' ')} }`,
    ])
  }

  /** Compares what both gateways say to somebody. */
  async compare(query = this.query()): Promise<void> {
    const { token } = this.actor(query)
    stage.calls.length = 0
    const heard = await ask(stage.hearing, token, query)
    const isWhole = !heard.includes('"flow":null') && !heard.includes('"errors"')
    if (isWhole) this.whole += 1
    if (isWhole && objectCalls(stage.calls).length === 0) this.fromDirectory += 1
    const asked = await ask(stage.asking, token, query)
    expect(asked).not.toContain('VALIDATION_FAILED')
    expect(outcomeOf(heard), `${this.history.slice(-12).join('\n')}\n${query}`).toBe(outcomeOf(asked))
  }
}

const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** A response. For one without data only that the credential was refused: the order of the errors depends on the time. */
function outcomeOf(response: string): string {
  const { data } = JSON.parse(response)
  const isEmpty = data === null || Object.values(data).every((each) => each === null)
  return isEmpty && response.includes('UNAUTHENTICATED') ? 'refused' : response
}

const headPath = '/service/v1/head'

/** Asks until nothing is read from the REST API. */
async function known(token: string): Promise<void> {
  await eventually(async () => {
    stage.calls.length = 0
    await ask(
      stage.hearing,
      token,
      '{ viewer { name } flows { nodes { name } } organizations { nodes { name } } }',
    )
    return objectCalls(stage.calls).length === 0
  })
}

/** The calls of the REST API for users, flows and organizations. */
function objectCalls(calls: readonly UpstreamCall[]): string[] {
  return calls
    .map(({ url }) => new URL(url).pathname)
    .filter((path) => /^\/(users?|organizations|flows)(\/|$)/.test(path) && !path.endsWith('/messages'))
}

describe('without a call for a user, a flow or an organization', () => {
  const personal = `{ viewer { name } flows { nodes { name path isOpen viewerIsAdmin } } organizations { nodes { name userCount } }
    flow(by: { path: "example/main" }) { name messages(last: 5) { nodes { author { name } flow { name } } } } }`

  test('a query of a personal token is answered', async () => {
    const token = await stage.backend.token('Ben')
    await known(token)
    const first = await ask(stage.hearing, token, personal)
    stage.calls.length = 0
    expect(await ask(stage.hearing, token, personal)).toBe(first)
    expect(stage.calls.map(({ url }) => new URL(url).pathname).filter((path) => path !== headPath)).toEqual([
      '/flows/example/main/messages',
    ])
  })

  test('the first query of a token asks the REST API only whose token it is, and not if it reads messages', async () => {
    const { administration, asking, backend, hearing } = stage
    await known(await backend.token('Ada'))
    const firstOf = async (query: string) => {
      const token = String((await administration.addToken('ada@example.com'))['token'])
      stage.calls.length = 0
      expect(await ask(hearing, token, query)).toBe(await ask(asking, token, query))
      return objectCalls(stage.calls)
    }
    expect(
      await firstOf('{ viewer { name } flows { nodes { name } } organizations { nodes { name } } }'),
    ).toEqual(['/user'])
    expect(await firstOf(personal)).toEqual([])
  })

  test('a flow whose unread mentions are selected costs one call, and several cost one list', async () => {
    const token = await stage.backend.token('Ben')
    await known(token)
    const calls = async (query: string) => {
      stage.calls.length = 0
      const response = await ask(stage.hearing, token, query)
      expect(response).toBe(await ask(stage.asking, token, query))
      return objectCalls(stage.calls)
    }
    const one = '{ flow(by: { path: "example/main" }) { name unreadMentions lastMessageAt } }'
    expect(await calls(one)).toEqual(['/flows/find'])
    expect(await calls('{ flows { nodes { name unreadMentions joinUrl } } }')).toEqual(['/flows'])
  })

  test('no query costs more than predicted, also when the directory and the REST API are read for it', async () => {
    const { backend, hearing } = stage
    const token = await backend.token('Ben')
    await backend.as('Ada')('POST', '/flows/example', { name: 'Apart' })
    for (const query of [
      '{ flow(by: { path: "example/apart" }) { name } }',
      '{ flow(by: { path: "example/main" }) { unreadMentions } }',
      '{ viewer { name } }',
    ]) {
      await known(token)
      // The directory drops Ben.
      await backend.as('Ben')('PUT', '/users/2', { nick: `Ben${query.length}` })
      const { extensions } = await post(hearing.url, { query, extensions: { cost: true } }, token)
      expect(extensions?.['cost'], query).toMatchObject({ predicted: 1, actual: 1 })
    }
    await backend.as('Ben')('PUT', '/users/2', { nick: 'Ben' })
  })

  test('neither the token of an application nor a password is', async () => {
    const { backend, hearing, calls } = stage
    await backend.store.write(async (db) => {
      await db
        .updateTable('users')
        .set({ password_hash: await hashPassword('secret') })
        .where('id', '=', 3)
        .execute()
      const applicationId = await ensureApplication(db, 'Polls')
      const grant = { applicationId, scope: 'flow', expiresAt: Date.now() + 3_600_000, codeHash: null }
      await insertToken(db, hashToken('token-of-an-application'), 3, grant)
    })
    const password = `Basic ${Buffer.from('cleo@example.com:secret').toString('base64')}`
    for (const authorization of ['Bearer token-of-an-application', password])
      for (let count = 0; count < 3; count += 1) {
        calls.length = 0
        const response = await fetch(`${hearing.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization },
          body: JSON.stringify({ query: '{ flows { nodes { name } } }' }),
        })
        expect(await response.json()).toMatchObject({ data: { flows: {} } })
        expect(objectCalls(calls)).toEqual(['/flows'])
      }
  })
})

describe('the first query after a change shows it', () => {
  test('also while the service stream is late', async () => {
    const { backend } = stage
    /** What the service stream sent while it is held. */
    let held: (() => void)[] | undefined
    const proxy = await startSelectiveProxy(backend.url, ({ url }, response) => {
      if (!url?.startsWith('/service/v1/stream')) return false
      const write = response.write.bind(response) as (chunk: Buffer) => boolean
      response.write = (chunk: Buffer) => {
        if (held === undefined) return write(chunk)
        held.push(() => write(chunk))
        return true
      }
      return false
    })
    const calls: string[] = []
    const app = await startApp(testConfig(proxy, { SERVICE_TOKEN: serviceToken }), {
      log: createLogger('silent'),
      onUpstreamCall: ({ url }) => calls.push(new URL(url).pathname),
    })
    onTestFinished(app.close)
    const token = await backend.token('Ada')
    const name = async () => {
      calls.length = 0
      const response = await ask(app, token, '{ flow(by: { path: "example/engineering" }) { name } }')
      return {
        name: JSON.parse(response).data.flow.name,
        isAsked: calls.includes('/flows/example/engineering'),
      }
    }
    await eventually(async () => !(await name()).isAsked)
    held = []
    await backend.as('Ada')('PUT', '/flows/example/engineering', { name: 'Renamed' })
    expect(await name()).toEqual({ name: 'Renamed', isAsked: true })
    const late = held
    held = undefined
    for (const write of late) write()
    await eventually(async () => !(await name()).isAsked)
    expect(await name()).toEqual({ name: 'Renamed', isAsked: false })
    await backend.as('Ada')('PUT', '/flows/example/engineering', { name: 'Engineering' })
  })

  test('also when an organization without flows is renamed', async () => {
    const { administration, backend, hearing } = stage
    await administration.addOrganization('Empty', 'empty')
    const added = { nick: 'Fay', name: 'Fay', email: 'fay@example.com', password: undefined, id: undefined }
    await administration.addUser({ ...added, organization: 'empty', admin: true })
    const token = String((await administration.addToken(added.email))['token'])
    await known(token)
    const authorization = basic(token)
    await call(`${backend.url}/organizations/empty`, 'PUT', { authorization }, { name: 'Renamed' })
    expect(await ask(hearing, token, '{ organizations { nodes { name } } }')).toContain('"name":"Renamed"')
  })

  test('when a token was revoked or a user disabled, nothing is', async () => {
    const { administration, hearing } = stage
    const added = {
      nick: 'Dora',
      name: 'Dora',
      email: 'dora@example.com',
      password: undefined,
      id: undefined,
    }
    await administration.addUser({ ...added, organization: 'example', admin: false })
    const { token } = await administration.addToken(added.email)
    await known(String(token))
    const [listed] = await administration.listTokens(added.email)
    await administration.removeToken(added.email, String(listed?.['id']))
    const refused = async (of: unknown) =>
      expect(await ask(hearing, String(of), '{ viewer { name } }')).toContain('UNAUTHENTICATED')
    await refused(token)
    const second = (await administration.addToken(added.email))['token']
    await known(String(second))
    await administration.removeUser(added.email)
    await refused(second)
  })

  test('an author who left the flow is shown, and one who left the organization is not', async () => {
    const { administration, asking, backend, hearing } = stage
    const added = { nick: 'Eve', name: 'Eve', email: 'eve@example.com', password: undefined, id: undefined }
    const { id } = await administration.addUser({ ...added, organization: 'example', admin: false })
    const ada = backend.as('Ada')
    await ada('POST', '/flows/example', { name: 'Shared' })
    for (const member of [3, Number(id)]) await ada('POST', '/flows/example/shared/users', { id: member })
    const token = String((await administration.addToken(added.email))['token'])
    await call(
      `${backend.url}/flows/example/shared/messages`,
      'POST',
      { authorization: basic(token) },
      { event: 'message', content: 'x' },
    )
    const cleo = await backend.token('Cleo')
    await known(cleo)
    const query =
      '{ flow(by: { path: "example/shared" }) { messages(last: 20) { nodes { author { name } ... on ChatMessage { content } } } } }'
    const author = async () => {
      const heard = await ask(hearing, cleo, query)
      expect(heard).toBe(await ask(asking, cleo, query))
      const { nodes } = JSON.parse(heard).data.flow.messages
      return nodes.find(({ content }: { content?: string }) => content === 'x').author
    }
    expect(await author()).toEqual({ name: 'Eve' })
    await ada('PUT', `/flows/example/shared/users/${id}`, { disabled: true })
    expect(await author()).toEqual({ name: 'Eve' })
    await ada('DELETE', `/organizations/example/users/${id}`)
    expect(await author()).toBeNull()
  })

  test('a mutation shows it in its own response', async () => {
    const { backend, hearing } = stage
    const token = await backend.token('Cleo')
    await known(token)
    const change = (nick: string) =>
      ask(
        hearing,
        token,
        `mutation { updateViewer(input: { nick: "${nick}" }) { ... on UpdateViewerPayload { viewer { nick } } } }`,
      )
    expect(await change('Cleopatra')).toContain('"nick":"Cleopatra"')
    const sent = await ask(
      hearing,
      token,
      'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "hi" }) { ... on SendMessagePayload { sentMessage { author { ... on User { nick } } } } } }',
    )
    expect(sent).toContain('"nick":"Cleopatra"')
    expect(await change('Cleo')).toContain('"nick":"Cleo"')
  })
})

test.each(Array.from({ length: histories }, (_, index) => firstSeed + index))(
  'after each change the responses are those of the REST API, history %i',
  async (seed) => {
    const world = new World(seed)
    await world.setUp()
    for (let step = 0; step < steps; step += 1) {
      await world.change()
      await world.compare()
      if (step % 2 === 0) await world.compare()
    }
    expect(world.whole).toBeGreaterThan(steps / 2)
    expect(world.fromDirectory).toBeGreaterThan(steps / 4)
  },
  60_000 + steps * 200,
)

test.each([firstSeed])(
  'after each change of a message, a thread or a source the pages are those of the REST API, history %i',
  async (seed) => {
    const world = new World(seed)
    await world.setUp()
    const path = String(world.flows[0]?.path)
    const queries = [
      `{ flow(by: { path: "${path}" }) { ${nested} } }`,
      `{ flow(by: { path: "${path}" }) { messages(first: 5) { nodes { databaseId tags ... on ChatMessage { content } } } threads(first: 3) { nodes { messages(last: 5) { nodes { databaseId tags editedAt } } } } } }`,
    ]
    // Everybody who may read the flow has read it.
    for (const query of queries) await world.compare(query)
    for (let step = 0; step < steps; step += 1) {
      await world.pick(world.messageChanges(`/flows/${path}`, `text ${step}`))()
      await world.compare(world.pick(queries))
    }
    expect(world.whole).toBeGreaterThan(steps / 2)
    expect(stage.statuses).toContain(304)
  },
  60_000 + steps * 200,
)

test.each([firstSeed])(
  'the first query after a change shows it also while other tokens of the users read the same, history %i',
  async (seed) => {
    const world = new World(seed)
    await world.setUp()
    const tokens = await Promise.all(
      world.users.map(async ({ email }) => String((await stage.administration.addToken(email))['token'])),
    )
    let isOver = false
    const reading = Array.from({ length: 4 }, async () => {
      while (!isOver) await ask(stage.hearing, world.pick(tokens), world.query())
    })
    try {
      for (let step = 0; step < steps; step += 1) {
        await world.change()
        await world.compare()
      }
    } finally {
      isOver = true
      await Promise.all(reading)
    }
    expect(world.whole).toBeGreaterThan(steps / 4)
  },
  60_000 + steps * 200,
)
