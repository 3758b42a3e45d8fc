import { timingSafeEqual } from 'node:crypto'
import { accessDenied, HttpError, invalid, notFound } from '../../http-error.ts'
import type { Answer, Backend, Request, Route, Scope, UserRequest } from '../../router.ts'
import {
  type ApplicationRow,
  findApplication,
  listApplications,
  unregisterApplication,
} from '../../store/applications.ts'
import { deleteGrant, findGrant, insertGrant, revokeGranted } from '../../store/grants.ts'
import { findUser, insertToken } from '../../store/users.ts'
import { isRedirectUri, outOfBand, registerApplication } from '../applications.ts'
import { hashToken, makeToken } from '../auth.ts'
import { consentPage, messagePage } from '../consent-page.ts'
import { parseScopes } from '../scopes.ts'
import { idSegment, segment } from './access.ts'

const codeLifetimeMs = 10 * 60_000
const tokenLifetimeSeconds = 24 * 3600

/** [flowdock] authentication.md, "OAuth 2.0"; [spec] RFC 6749, RFC 7009 */
export const oauthRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/oauth/applications',
    auth: 'user',
    async handle(request, { log }) {
      requirePersonal(request)
      const { user, params, base } = request
      const given = params.object('application') ?? params
      const name = given.string('name')?.trim() ?? ''
      const redirectUri = given.string('redirect_uri')?.trim() ?? ''
      if (name === '') throw invalid({ name: ["can't be blank"] })
      if (!isRedirectUri(redirectUri))
        throw invalid({ redirect_uri: [`must be an https or http address, or ${outOfBand}`] })
      const iconUrl = given.string('icon_url')
      const url = given.string('url')
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
    async handle(request, { store, log }) {
      requirePersonal(request)
      const application = await findApplication(store.reader, { id: idSegment(request, 'id') })
      if (application === undefined || application.client_id === null) throw notFound()
      if (application.owner_id !== request.user.id) throw accessDenied()
      await log.write(({ db }) => unregisterApplication(db, application.id))
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
      await backend.log.write(({ db }) =>
        insertGrant(db, {
          hash: hashToken(code),
          kind: 'code',
          application_id: asked.application.id,
          user_id: user.id,
          redirect_uri: asked.redirectUri,
          scope: asked.scopes.join(' '),
          created_at: now,
          expires_at: now + codeLifetimeMs,
        }),
      )
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
    async handle(request, { store, log }) {
      const application = await authenticateClient(request, { store })
      if (application === undefined) return formatted(true, failed('invalid_client', 401))
      const token = request.params.string('token') ?? ''
      await log.write(({ db }) => revokeGranted(db, application.id, hashToken(token)))
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
  readonly base: string
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
  const asked = { application, redirectUri, state: params.string('state'), base }
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
  if (type === 'authorization_code') {
    const hash = hashToken(params.string('code') ?? '')
    const grant = await findGrant(backend.store.reader, 'code', hash)
    if (grant?.application_id !== application.id) return failed('invalid_grant')
    if ((params.string('redirect_uri') ?? grant.redirect_uri) !== grant.redirect_uri)
      return failed('invalid_grant')
    return issue(backend, application, grant.user_id, grant.scope, { usedUp: hash })
  }
  if (type === 'password') {
    const wanted = parseScopes(params.string('scope'))
    if (wanted === undefined) return failed('invalid_scope')
    const [name, password] = [params.string('username') ?? '', params.string('password') ?? '']
    const user = await backend.signIn.signIn(backend.store.reader, name, password, request.address)
    if (user === undefined) return failed('invalid_grant')
    return issue(backend, application, user.id, wanted.join(' '), {})
  }
  if (type === 'refresh_token') {
    const refreshToken = params.string('refresh_token') ?? ''
    const grant = await findGrant(backend.store.reader, 'refresh', hashToken(refreshToken))
    if (grant?.application_id !== application.id) return failed('invalid_grant')
    return issue(backend, application, grant.user_id, grant.scope, { refreshToken })
  }
  return failed('unsupported_grant_type')
}

/**
 * Gives out a token, and with `offline_access` one to refresh it.
 *
 * @param usedUp the code it is given for, which is of no further use; of two requests with one code, one wins
 * @param refreshToken the one it is given for, which stays
 */
async function issue(
  { log }: Backend,
  application: ApplicationRow,
  userId: number,
  scope: string,
  { usedUp, refreshToken }: { usedUp?: string; refreshToken?: string },
): Promise<Exchange> {
  const token = makeToken()
  const offline = scope.split(' ').includes('offline_access')
  const refresh = refreshToken ?? (offline ? makeToken() : undefined)
  const now = Date.now()
  const issued = await log.write(async ({ db }) => {
    const user = await findUser(db, userId)
    if (user?.disabled !== 0) return false
    if (usedUp !== undefined) {
      if ((await findGrant(db, 'code', usedUp)) === undefined) return false
      await deleteGrant(db, usedUp)
    }
    await insertToken(db, hashToken(token), userId, {
      applicationId: application.id,
      scope,
      expiresAt: now + tokenLifetimeSeconds * 1000,
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
      })
    return true
  })
  if (!issued) return failed('invalid_grant')
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
