import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { hashPassword, makeToken } from '../../src/backend/flowdock/auth.ts'
import { addToken } from '../../src/backend/flowdock/operations/credentials.ts'
import { renewJoinUrl } from '../../src/backend/flowdock/operations/flows.ts'
import { disableUser, revokeGranted } from '../../src/backend/store/rights.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { type AccessChange, bringUpToDate } from '../../src/events/entitlement.ts'
import { decodeFrame } from '../../src/upstream/flowdock/service-frames.ts'
import type { WireEntitlement } from '../../src/wire/service.ts'
import { basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openServiceStream, serviceFrames, serviceToken } from '../support/service.ts'

/*
 * An entitlement that was read once, moved by the events of the log, is the entitlement that is read now; or the log says
 * that it has to be read again. `STEPS=2000` makes the history longer, `SEED` makes another one.
 */

const steps = Number(process.env['STEPS'] ?? 150)
const seed = Number(process.env['SEED'] ?? 20_261)

const nicks = ['Ada', 'Ben', 'Cleo', 'Dora', 'Egon'] as const
const slugs = ['main', 'engineering', 'support'] as const

interface Step {
  readonly name: (typeof names)[number]
  /** Who does it, who is affected, and where. */
  readonly by: number
  readonly user: number
  readonly flow: (typeof slugs)[number]
  readonly isOn: boolean
}

const names = [
  ...['join', 'join', 'join', 'leave', 'leave', 'block', 'block', 'add', 'archive', 'invite'],
  ...['rename', 'access', 'open', 'message', 'message', 'revoke', 'revokeGranted', 'removeFromOrganization'],
  ...['joinByLink', 'changeEmail', 'disable', 'renameOrganization'],
] as const

const anyStep: fc.Arbitrary<Step> = fc.record({
  name: fc.constantFrom(...names),
  by: fc.integer({ min: 1, max: nicks.length }),
  user: fc.integer({ min: 1, max: nicks.length }),
  flow: fc.constantFrom(...slugs),
  // Mostly, so that there are members and open flows.
  isOn: fc.integer({ min: 0, max: 3 }).map((number) => number > 0),
})

/** After these the log may say that the entitlement of a user has to be read again; after others it must say what changed. */
const isVague = (name: Step['name']) =>
  ['open', 'removeFromOrganization', 'joinByLink', 'changeEmail', 'disable'].includes(name)

interface Principal {
  readonly user: number
  readonly authorization: string
  /** What was read last, and whether a step since may have made it out of date. */
  held: WireEntitlement | undefined
  vague: boolean
}

class World {
  readonly backend: TestBackend
  readonly commands: Administration
  readonly principals: Principal[] = []
  readonly #tokens = new Map<number, string>()
  readonly #personal: { user: number; hash: string }[] = []
  readonly #granted: string[] = []
  #count = 0

  constructor(backend: TestBackend, commands: Administration) {
    this.backend = backend
    this.commands = commands
  }

  async begin(): Promise<void> {
    for (const nick of ['Dora', 'Egon'])
      await this.commands.addUser({
        ...{ nick, name: nick, email: `${nick.toLowerCase()}@example.com`, organization: 'example' },
        ...{ password: undefined, id: undefined, admin: nick === 'Dora' },
      })
    const hash = await hashPassword('open sesame')
    await this.backend.store.write((db) => db.updateTable('users').set({ password_hash: hash }).execute())
    const password = Buffer.from('ben@example.com:open sesame').toString('base64')
    this.#hold(2, `Basic ${password}`)
    for (const user of nicks.keys()) {
      const token = makeToken()
      await this.backend.log.write((change) => addToken(change, user + 1, token))
      this.#tokens.set(user + 1, token)
      this.#hold(user + 1, basic(token))
    }
    await this.#refill()
  }

  /** Every user has a token that steps revoke, and one of an application. */
  async #refill(): Promise<void> {
    for (let user = 1; user <= nicks.length; user += 1) {
      const personal = makeToken()
      await this.backend.log.write((change) => addToken(change, user, personal))
      this.#personal.push({ user, hash: hashToken(personal) })
      this.#hold(user, basic(personal))
      const granted = makeToken()
      await this.backend.store.write(async (db) => {
        const { id } = await db
          .insertInto('applications')
          .values({ name: 'Polls', icon_url: null, url: null, redirect_uri: null, client_id: null })
          .returning('id')
          .executeTakeFirstOrThrow()
        await insertToken(db, hashToken(granted), user, {
          ...{ applicationId: id, scope: user % 2 === 0 ? 'flow private' : 'private' },
          ...{ expiresAt: Date.now() + 3600_000, codeHash: null },
        })
      })
      this.#granted.push(granted)
      this.#hold(user, `Bearer ${granted}`)
    }
  }

  #hold(user: number, authorization: string): void {
    this.principals.push({ user, authorization, held: undefined, vague: false })
  }

  async take({ name, by, user, flow, isOn }: Step): Promise<void> {
    const path = `/flows/example/${flow}`
    const as = (id: number, method: string, url: string, body?: unknown) =>
      call(this.backend.url + url, method, { authorization: basic(this.#tokens.get(id) ?? '') }, body)
    this.#count += 1
    const email = `user-${user}-${this.#count}@example.com`
    const { commands } = this
    switch (name) {
      case 'join':
        return void (await as(user, 'PUT', path, { open: true }))
      case 'leave':
        return void (await as(user, 'PUT', `${path}/users/${user}`, { disabled: true }))
      case 'block':
        return void (await as(by, 'PUT', `${path}/users/${user}`, { disabled: !isOn }))
      case 'add':
        return void (await as(by, 'POST', `${path}/users`, { id: user }))
      case 'archive':
        return void (await as(by, 'PUT', path, { disabled: !isOn }))
      case 'invite': {
        const address = await this.#emailOf(user)
        return void (await as(by, 'POST', `${path}/invitations`, { email: address }))
      }
      case 'rename':
        return void (await as(by, 'PUT', path, { name: `Flow ${this.#count}` }))
      case 'access':
        return void (await as(by, 'PUT', path, { access_mode: isOn ? 'organization' : 'link' }))
      case 'open':
        if ((await as(user, 'GET', path)).json?.joined !== true) return
        // It is open again afterwards, so that `join` finds it so.
        for (const open of [false, true]) await as(user, 'PUT', path, { open })
        return
      case 'message':
        return void (await as(by, 'POST', `${path}/messages`, { event: 'message', content: 'hello' }))
      case 'joinByLink': {
        const { json } = await as(1, 'GET', path)
        if (json?.id === undefined) return
        const renewed = await this.backend.log.write((change) => renewJoinUrl(change, json))
        return void (await as(user, 'POST', `/invitations/${renewed.join_code}-${flow}`))
      }
      case 'revoke': {
        const token = this.#personal.find((each) => each.user === user)
        if (token === undefined) return this.#refill()
        this.#personal.splice(this.#personal.indexOf(token), 1)
        const id = Buffer.from(token.hash, 'base64url').toString('hex').slice(0, 12)
        return void (await commands.removeToken(await this.#emailOf(user), id))
      }
      case 'revokeGranted': {
        const token = this.#granted.splice(user % Math.max(this.#granted.length, 1), 1)[0]
        if (token === undefined) return this.#refill()
        const { store, log } = this.backend
        const row = await store.reader
          .selectFrom('tokens')
          .select(['hash', 'application_id'])
          .where('hash', '=', hashToken(token))
          .executeTakeFirstOrThrow()
        return log.write((change) => revokeGranted(change, row.application_id ?? 0, row.hash))
      }
      case 'removeFromOrganization':
        // Somebody has to administer it.
        if (user > 2) await as(1, 'DELETE', `/organizations/example/users/${user}`)
        return
      case 'changeEmail':
        if (isOn) return
        return void (await commands.editUser(await this.#emailOf(user), { email }))
      case 'disable':
        if (user === 5 && !isOn) await this.backend.log.write((change) => disableUser(change, user))
        return
      case 'renameOrganization':
        return void (await as(1, 'PUT', '/organizations/example', { name: `Example ${this.#count}` }))
      default:
        throw new Error(`There is no step ${name}`)
    }
  }

  async #emailOf(user: number): Promise<string> {
    const row = await this.backend.store.reader
      .selectFrom('users')
      .select('email')
      .where('id', '=', user)
      .executeTakeFirstOrThrow()
    return row.email
  }

  async read({ authorization }: Principal): Promise<WireEntitlement | undefined> {
    const answer = await call(`${this.backend.url}/service/v1/entitlement`, 'GET', { authorization })
    if (answer.status === 200) return answer.json as WireEntitlement
    expect(answer.status).toBe(401)
    return undefined
  }

  /** What the events after a number change, up to another one. */
  async changes(after: number, until: number): Promise<AccessChange[]> {
    const headers = { 'last-event-id': String(after) }
    const stream = await openServiceStream(this.backend.url, { headers })
    await stream.until(/event: h/)
    stream.close()
    return serviceFrames(stream.text).flatMap(({ name, id, data }) => {
      if (id === undefined || id > until) return []
      const frame = decodeFrame(name, String(id), JSON.stringify(data))
      if (frame?.kind !== 'event') throw new Error(`Event ${id} cannot be read`)
      return frame.change ?? []
    })
  }
}

test('an entitlement that the log moved is the one that is read now, or has to be read again', {
  timeout: 20_000 + steps * 200,
}, async () => {
  const backend = await startTestBackend({ serviceTokens: [serviceToken] })
  onTestFinished(backend.close)
  const commands = await openAdministration(backend.location)
  onTestFinished(commands.close)
  const world = new World(backend, commands)
  await world.begin()
  const seen = { moved: 0, unchanged: 0, outdated: 0, ended: 0 }

  for (const [index, step] of fc.sample(anyStep, { numRuns: steps, seed }).entries()) {
    await world.take(step)
    await backend.log.catchUp()
    for (const principal of world.principals) if (isVague(step.name)) principal.vague = true
    const [first] = world.principals.splice(index % world.principals.length, 1)
    if (first === undefined) throw new Error('There are no principals')
    world.principals.push(first)
    // Each holds what it read for some steps before it is compared.
    for (const principal of world.principals.slice(-4)) {
      const { held } = principal
      const now = await world.read(principal)
      const at = `step ${index}, ${JSON.stringify(step)}, user ${principal.user}`
      if (held !== undefined) {
        const receivesFlows = held.scopes === null || held.scopes.includes('flow')
        const snapshot = { ...held, receivesFlows, isPrivate: held.private, expiresAt: undefined }
        const changes = await world.changes(held.at, now?.at ?? Number.MAX_SAFE_INTEGER)
        const outcome = bringUpToDate(snapshot, changes)
        if (outcome.event === 'snapshotCovered') {
          expect(now, `${at}: the credential is refused`).toBeDefined()
          const flows = [...outcome.access.flows].map((audience) => audience.slice(2))
          expect(flows.sort(), at).toEqual(now?.flows)
          expect({ ...now, flows: [], at: 0 }, at).toEqual({ ...held, flows: [], at: 0 })
          seen[flows.join() === held.flows.join() ? 'unchanged' : 'moved'] += 1
        } else if (outcome.event === 'grantEnded') {
          expect(now, `${at}: the credential is valid`).toBeUndefined()
          seen.ended += 1
        } else {
          expect(principal.vague, `${at}: read again for nothing`).toBe(true)
          seen.outdated += 1
        }
      }
      principal.held = now
      principal.vague = false
      if (now === undefined && held !== undefined)
        world.principals.splice(world.principals.indexOf(principal), 1)
    }
  }
  for (const [outcome, count] of Object.entries(seen)) expect(count, outcome).toBeGreaterThan(0)
})
