import { createHash, timingSafeEqual } from 'node:crypto'
import { boundedText } from '../../bounds.ts'
import { accessDenied, HttpError, invalid, notFound } from '../../http/errors.ts'
import {
  type ApplicationRow,
  findApplication,
  listApplications,
  unregisterApplication,
} from '../../store/applications.ts'
import type { Database } from '../../store/db.ts'
import {
  findCode,
  findRefreshToken,
  insertGrant,
  revokeCode,
  revokeGranted,
  useCode,
} from '../../store/grants.ts'
import { findUser, insertToken } from '../../store/users.ts'
import { hashToken, makeToken } from '../auth.ts'
import { consentPage, messagePage } from '../consent-page.ts'
import { isRedirectUri, outOfBand, registerApplication } from '../operations/applications.ts'
import type { Answer, Backend, Request, Route, Scope, UserRequest } from '../route.ts'
import { parseScopes } from '../scopes.ts'
import { webUrl } from '../web-url.ts'
import { idSegment, segment } from './access.ts'

const codeLifetimeMs = 10 * 60_000
const tokenLifetimeSeconds = 24 * 3600

/** [flowdock] authentication.md, "OAuth 2.0"; [spec] RFC 6749, RFC 7009, RFC 7636 */
export const oauthRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/oauth/applications',
    auth: 'user',
    async handle(request, { log }) {
      requirePersonal(request)
      const { user, params, base } = request
      const given = params.object('application') ?? params
      const name = boundedText(given, 'name', 'name')?.trim() ?? ''
      const redirectUri = boundedText(given, 'redirect_uri', 'url')?.trim() ?? ''
      if (name === '') throw invalid({ name: ["can't be blank"] })
      if (!isRedirectUri(redirectUri))
        throw invalid({ redirect_uri: [`must be an https or http address, or ${outOfBand}`] })
      const iconUrl = webUrl(given, 'icon_url')
      const url = webUrl(given, 'url')
      const application = await log.write(({ db }) =>
        registerApplication(db, {
          name,
          redirectUri,
          ownerId: user.id,
          ...(iconUrl === undefined ? {} : { iconUrl }),
          ...(url === undefined ? {} : { url }),
        }),
      )
      return { status: 201, body: encodeOwn(application, base) }
    },
  },
  {
    method: 'GET',
    pattern: '/oauth/applications',
    auth: 'user',
    async handle(request, { store }) {
      requirePersonal(request)
      const { user, base } = request
      return {
        status: 200,
        body: (await listApplications(store.reader, user.id)).map((row) => encodeOwn(row, base)),
      }
    },
  },
  {
    method: 'GET',
    pattern: '/oauth/applications/:id',
    auth: 'user',
    async handle(request, { store }) {
      const application = await findApplication(store.reader, { id: idSegment(request, 'id') })
      if (application === undefined) throw notFound()
      const { user, base, scopes } = request
      const mine = scopes === undefined && application.client_id !== null && application.owner_id === user.id
      return { status: 200, body: mine ? encodeOwn(application, base) : encode(application, base) }
    },
  },
  {
    method: 'DELETE',
    pattern: '/oauth/applications/:id',
    auth: 'user',
    async handle(request, { store, log, openCredentials }) {
      requirePersonal(request)
      const application = await findApplication(store.reader, { id: idSegment(request, 'id') })
      if (application === undefined || application.client_id === null) throw notFound()
      if (application.owner_id !== request.user.id) throw accessDenied()
      await log.write(({ db }) => unregisterApplication(db, application.id))
      await openCredentials.check()
      return { status: 204 }
    },
  },
  {
    method: 'GET',
    pattern: '/oauth/authorize',
    auth: 'any',
    async handle(request, backend) {
      const asked = await askedFor(request, backend)
      return 'application' in asked ? consentPage(asked) : asked
    },
  },
  {
    method: 'POST',
    pattern: '/oauth/authorize',
    auth: 'any',
    async handle(request, backend) {
      const asked = await askedFor(request, backend)
      if (!('application' in asked)) return asked
      const { params } = request
      if (params.string('decision') !== 'allow') return redirect(asked, { error: 'access_denied' })
      const email = params.string('email') ?? ''
      const password = params.string('password') ?? ''
      const user = await backend.signIn.signIn(backend.store.reader, email, password, request.address)
      if (user === undefined)
        return consentPage({
          ...asked,
          email,
          problem: 'The address or the password is not right. Try again.',
        })
      const code = makeToken()
      const now = Date.now()
      await backend.log.write(async ({ db }) => {
        if (!(await isRegistered(db, asked.application)))
          throw new HttpError(400, { message: 'The application was removed' })
        await insertGrant(db, {
          hash: hashToken(code),
          kind: 'code',
          application_id: asked.application.id,
          user_id: user.id,
          redirect_uri: asked.redirectUri,
          scope: asked.scopes.join(' '),
          created_at: now,
          expires_at: now + codeLifetimeMs,
          code_challenge: asked.challenge === undefined ? null : storedChallenge(asked.challenge),
        })
      })
      return redirect(asked, { code })
    },
  },
  {
    method: 'GET',
    pattern: '/oauth/authorize/:code',
    auth: 'any',
    async handle(request) {
      const code = segment(request, 'code')
      return messagePage(200, 'Authorization code', `Give this code to the application: ${code}`)
    },
  },
  {
    method: 'POST',
    pattern: '/oauth/token',
    auth: 'any',
    async handle(request, backend) {
      const asJson = (request.headers.accept ?? '').includes('application/json')
      return formatted(asJson, await exchange(request, backend))
    },
  },
  {
    method: 'POST',
    pattern: '/oauth/revoke',
    auth: 'any',
    async handle(request, { store, log, openCredentials }) {
      const application = await authenticateClient(request, { store })
      if (application === undefined) return formatted(true, failed('invalid_client', 401))
      const token = request.params.string('token') ?? ''
      await log.write(({ db }) => revokeGranted(db, application.id, hashToken(token)))
      await openCredentials.check()
      return { status: 200, body: {} }
    },
  },
]

/** @throws 403 for an application's token: with the secrets of others it could act for whom it was never allowed to */
function requirePersonal({ scopes }: UserRequest): void {
  if (scopes !== undefined)
    throw new HttpError(403, { message: 'Access denied: applications are for a credential of your own' })
}

/** What an application asks a person for. */
export interface Authorization {
  readonly application: ApplicationRow
  readonly scopes: readonly Scope[]
  /** One of the application's own. */
  readonly redirectUri: string
  readonly state: string | undefined
  /** What the application proves at the exchange that it began the request with; undefined for none. */
  readonly challenge: Challenge | undefined
  readonly base: string
}

/** [spec] RFC 7636, 4.3 */
interface Challenge {
  readonly text: string
  readonly method: 'plain' | 'S256'
}

/** [spec] RFC 7636, 4.1 and 4.2: the same characters for a challenge and its verifier. */
const challengePattern = /^[A-Za-z0-9._~-]{43,128}$/

/** Undefined when there is none, and null for one that is not valid. */
function readChallenge(params: Request['params']): Challenge | undefined | null {
  const text = params.string('code_challenge')
  const method = params.string('code_challenge_method')
  if (text === undefined) return method === undefined ? undefined : null
  if (!challengePattern.test(text)) return null
  if (method === undefined || method === 'plain') return { text, method: 'plain' }
  return method === 'S256' ? { text, method } : null
}

/** A plain challenge is its verifier, so it is stored as a hash, too, and verified like the other. */
function storedChallenge({ text, method }: Challenge): string {
  return method === 'S256' ? text : sha256(text)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** A verifier without a challenge is refused, too: somebody may have taken the challenge out of the request. */
function fitsChallenge(stored: string | null, verifier: string | undefined): boolean {
  if (stored === null || verifier === undefined) return stored === null && verifier === undefined
  return challengePattern.test(verifier) && sha256(verifier) === stored
}

/**
 * The application and what it asks for. A wrong application or address is told to the person, since whoever made
 * the address may be nobody's friend; every other mistake to the application.
 */
async function askedFor(request: Request, { store }: Backend): Promise<Authorization | Answer> {
  const { params, base } = request
  const clientId = params.string('client_id') ?? ''
  const application = clientId === '' ? undefined : await findApplication(store.reader, { clientId })
  if (application?.redirect_uri == null)
    return messagePage(400, 'Unknown application', 'There is no application with this client_id.')
  const redirectUri = params.string('redirect_uri') ?? application.redirect_uri
  if (redirectUri !== application.redirect_uri)
    return messagePage(
      400,
      'Wrong address',
      'redirect_uri is not the one the application was registered with.',
    )
  const challenge = readChallenge(params)
  const asked = {
    application,
    redirectUri,
    state: params.string('state'),
    base,
    challenge: challenge ?? undefined,
  }
  if (challenge === null) return redirect(asked, { error: 'invalid_request' })
  if (params.string('response_type') !== 'code')
    return redirect(asked, { error: 'unsupported_response_type' })
  const wanted = parseScopes(params.string('scope'))
  if (wanted === undefined) return redirect(asked, { error: 'invalid_scope' })
  return { ...asked, scopes: wanted }
}

function redirect(
  { redirectUri, state, base }: Pick<Authorization, 'redirectUri' | 'state' | 'base'>,
  result: { code: string } | { error: string },
): Answer {
  if (redirectUri === outOfBand)
    return 'code' in result
      ? { status: 302, headers: { Location: `${base}/oauth/authorize/${result.code}` } }
      : messagePage(400, 'Not authorized', `Nothing was granted: ${result.error}`)
  const url = new URL(redirectUri)
  for (const [name, value] of Object.entries(result)) url.searchParams.set(name, value)
  if (state !== undefined) url.searchParams.set('state', state)
  return { status: 302, headers: { Location: url.href } }
}

interface Exchange {
  readonly status: number
  readonly body: Record<string, string | number>
}

function failed(error: string, status = 400): Exchange {
  return { status, body: { error } }
}

async function exchange(request: Request, backend: Backend): Promise<Exchange> {
  const { params } = request
  const application = await authenticateClient(request, backend)
  if (application === undefined) return failed('invalid_client', 401)
  const type = params.string('grant_type')
  if (type === 'authorization_code') return exchangeCode(request, backend, application)
  if (type === 'password') {
    const wanted = parseScopes(params.string('scope'))
    if (wanted === undefined) return failed('invalid_scope')
    const [name, password] = [params.string('username') ?? '', params.string('password') ?? '']
    const user = await backend.signIn.signIn(backend.store.reader, name, password, request.address)
    if (user === undefined) return failed('invalid_grant')
    const given = { userId: user.id, scope: wanted.join(' '), codeHash: null }
    return backend.log.write(({ db }) => issue(db, application, given))
  }
  if (type === 'refresh_token') {
    const refreshToken = params.string('refresh_token') ?? ''
    return backend.log.write(async ({ db }) => {
      const grant = await findRefreshToken(db, application.id, hashToken(refreshToken))
      if (grant === undefined) return failed('invalid_grant')
      const given = { userId: grant.user_id, scope: grant.scope, codeHash: grant.code_hash, refreshToken }
      return issue(db, application, given)
    })
  }
  return failed('unsupported_grant_type')
}

/**
 * Gives a token for a code. A code that comes a second time was stolen, by the first or the second who sent it, so it
 * takes away what it gave. [spec] RFC 6749, 4.1.2
 */
async function exchangeCode(
  { params }: Request,
  { log, openCredentials }: Backend,
  application: ApplicationRow,
): Promise<Exchange> {
  const codeHash = hashToken(params.string('code') ?? '')
  const redirectUri = params.string('redirect_uri')
  const verifier = params.string('code_verifier')
  let isRevoked = false
  const exchanged = await log.write(async ({ db }) => {
    const grant = await findCode(db, application.id, codeHash)
    if (grant === undefined) return failed('invalid_grant')
    if (grant.used_at !== null) {
      await revokeCode(db, codeHash)
      isRevoked = true
      return failed('invalid_grant')
    }
    if ((grant.expires_at ?? 0) <= Date.now()) return failed('invalid_grant')
    if ((redirectUri ?? grant.redirect_uri) !== grant.redirect_uri) return failed('invalid_grant')
    if (!fitsChallenge(grant.code_challenge, verifier)) return failed('invalid_grant')
    await useCode(db, codeHash)
    return issue(db, application, { userId: grant.user_id, scope: grant.scope, codeHash })
  })
  if (isRevoked) await openCredentials.check()
  return exchanged
}

/** Whether an application that was found before the transaction is still registered. */
async function isRegistered(db: Database, { id }: ApplicationRow): Promise<boolean> {
  return (await findApplication(db, { id }))?.client_id != null
}

/**
 * Gives out a token, and with `offline_access` one to refresh it.
 *
 * @param given.codeHash the code that all this comes from; null for none
 * @param given.refreshToken the one it is given for, which stays
 */
async function issue(
  db: Database,
  application: ApplicationRow,
  given: { userId: number; scope: string; codeHash: string | null; refreshToken?: string },
): Promise<Exchange> {
  const { userId, scope, codeHash, refreshToken } = given
  if (!(await isRegistered(db, application))) return failed('invalid_client', 401)
  if ((await findUser(db, userId))?.disabled !== 0) return failed('invalid_grant')
  const token = makeToken()
  const offline = scope.split(' ').includes('offline_access')
  const refresh = refreshToken ?? (offline ? makeToken() : undefined)
  const now = Date.now()
  await insertToken(db, hashToken(token), userId, {
    applicationId: application.id,
    scope,
    expiresAt: now + tokenLifetimeSeconds * 1000,
    codeHash,
  })
  if (refresh !== undefined && refresh !== refreshToken)
    await insertGrant(db, {
      hash: hashToken(refresh),
      kind: 'refresh',
      application_id: application.id,
      user_id: userId,
      redirect_uri: null,
      scope,
      created_at: now,
      expires_at: null,
      code_hash: codeHash,
    })
  return {
    status: 200,
    body: {
      access_token: token,
      ...(refresh === undefined ? {} : { refresh_token: refresh }),
      expires_in: tokenLifetimeSeconds,
      token_type: 'Bearer',
      // [flowdock] commas here, blanks in the request
      scope: scope.replaceAll(' ', ','),
    },
  }
}

/** [flowdock] authentication.md: form-encoded unless the client accepts JSON. */
function formatted(asJson: boolean, { status, body }: Exchange): Answer {
  if (asJson) return { status, body, headers: { Pragma: 'no-cache' } }
  const text = new URLSearchParams(Object.entries(body).map(([name, value]) => [name, String(value)]))
  return {
    write(response) {
      response.writeHead(status, {
        'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8',
        'Cache-Control': 'no-store',
        Pragma: 'no-cache',
      })
      response.end(text.toString())
    },
  }
}

/** The application whose id and secret stand in the parameters or, as Basic, in the header. */
async function authenticateClient(
  { params, headers }: Request,
  { store }: Pick<Backend, 'store'>,
): Promise<ApplicationRow | undefined> {
  const [, basic = ''] = /^basic +(\S+)$/i.exec(headers.authorization ?? '') ?? []
  const [basicId, ...basicSecret] = Buffer.from(basic, 'base64').toString('utf8').split(':')
  const clientId = params.string('client_id') ?? basicId ?? ''
  const secret = Buffer.from(hashToken(params.string('client_secret') ?? basicSecret.join(':')))
  const application = clientId === '' ? undefined : await findApplication(store.reader, { clientId })
  if (application?.client_secret == null) return undefined
  return timingSafeEqual(secret, Buffer.from(hashToken(application.client_secret))) ? application : undefined
}

function encode({ id, name, icon_url, url }: ApplicationRow, base: string) {
  return { id, name, icon_url, url: url ?? `${base}/oauth/applications/${id}` }
}

/** As its owner sees it. */
function encodeOwn(application: ApplicationRow, base: string) {
  const { redirect_uri, client_id, client_secret } = application
  return { ...encode(application, base), redirect_uri, client_id, client_secret }
}
