import { timingSafeEqual } from 'node:crypto'
import { boundedText } from '../../bounds.ts'
import { accessDenied, challenge, HttpError, invalid, notFound } from '../../http/errors.ts'
import { type ApplicationRow, findApplication, listApplications } from '../../store/applications.ts'
import { hashToken } from '../../token-hash.ts'
import { consentPage, messagePage } from '../consent-page.ts'
import { isRedirectUri, outOfBand, registerApplication } from '../operations/applications.ts'
import {
  type Challenge,
  challengePattern,
  exchangeCode,
  grantCode,
  type IssuedToken,
  issueToken,
  type Refusal,
  refreshToken,
  revokeGranted,
  unregisterApplication,
} from '../operations/credentials.ts'
import type { Answer, Backend, Request, Route, Scope, UserRequest } from '../route.ts'
import { parseScopes } from '../scopes.ts'
import { webUrl } from '../web-url.ts'
import { idSegment, segment } from './access.ts'

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
      const application = await log.write((change) =>
        registerApplication(change, { name, redirectUri, ownerId: user.id, iconUrl, url }),
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
      await log.write((change) => unregisterApplication(change, application.id))
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
      const { application, redirectUri, scopes, challenge } = asked
      const grant = { userId: user.id, redirectUri, scope: scopes.join(' '), challenge }
      const code = await backend.log.write((change) => grantCode(change, application, grant))
      if (code === undefined) throw new HttpError(400, { message: 'The application was removed' })
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
      if (application === undefined) return formatted(true, failed('invalid_client'))
      const token = request.params.string('token') ?? ''
      await log.write((change) => revokeGranted(change, application.id, hashToken(token)))
      await openCredentials.check()
      return { status: 200, body: {} }
    },
  },
]

/** @throws 403 for an application's token: it could read the secret of another application and act for its users */
function requirePersonal({ scopes }: UserRequest): void {
  if (scopes !== undefined)
    throw new HttpError(403, { message: 'Access denied: applications are for a credential of your own' })
}

/** The parameters of an authorization request. */
export interface Authorization {
  readonly application: ApplicationRow
  readonly scopes: readonly Scope[]
  /** The redirect URI that the application is registered with. */
  readonly redirectUri: string
  readonly state: string | undefined
  readonly challenge: Challenge | undefined
  readonly base: string
}

/** The PKCE challenge. Undefined when there is none, null when it is not valid. */
function readChallenge(params: Request['params']): Challenge | undefined | null {
  const text = params.string('code_challenge')
  const method = params.string('code_challenge_method')
  if (text === undefined) return method === undefined ? undefined : null
  if (!challengePattern.test(text)) return null
  if (method === undefined || method === 'plain') return { text, method: 'plain' }
  return method === 'S256' ? { text, method } : null
}

/**
 * The application and what it requests. A wrong application or redirect URI is reported to the user, since an attacker may have
 * made the URL; every other mistake is reported to the application.
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

function failed(error: string): Exchange {
  return { status: error === 'invalid_client' ? 401 : 400, body: { error } }
}

async function exchange(
  request: Request,
  { store, log, signIn, openCredentials }: Backend,
): Promise<Exchange> {
  const { params } = request
  const application = await authenticateClient(request, { store })
  if (application === undefined) return failed('invalid_client')
  const type = params.string('grant_type')
  if (type === 'authorization_code') {
    const given = {
      code: params.string('code') ?? '',
      redirectUri: params.string('redirect_uri'),
      verifier: params.string('code_verifier'),
    }
    const outcome = await log.write((change) => exchangeCode(change, application, given))
    if (outcome === 'code_used_again') await openCredentials.check()
    return encodeToken(outcome)
  }
  if (type === 'password') {
    const wanted = parseScopes(params.string('scope'))
    if (wanted === undefined) return failed('invalid_scope')
    const [name, password] = [params.string('username') ?? '', params.string('password') ?? '']
    const user = await signIn.signIn(store.reader, name, password, request.address)
    if (user === undefined) return failed('invalid_grant')
    const given = { userId: user.id, scope: wanted.join(' '), codeHash: null }
    return encodeToken(await log.write((change) => issueToken(change, application, given)))
  }
  if (type === 'refresh_token') {
    const token = params.string('refresh_token') ?? ''
    return encodeToken(await log.write((change) => refreshToken(change, application, token)))
  }
  return failed('unsupported_grant_type')
}

function encodeToken(outcome: IssuedToken | Refusal): Exchange {
  if (typeof outcome === 'string') return failed(outcome === 'code_used_again' ? 'invalid_grant' : outcome)
  const { accessToken, refreshToken, expiresInSeconds, scope } = outcome
  return {
    status: 200,
    body: {
      access_token: accessToken,
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
      expires_in: expiresInSeconds,
      token_type: 'Bearer',
      // [flowdock] The response has commas between scopes; the request has blanks.
      scope: scope.replaceAll(' ', ','),
    },
  }
}

/** [flowdock] authentication.md: form-encoded unless the client accepts JSON. */
function formatted(asJson: boolean, { status, body }: Exchange): Answer {
  const refused = status === 401 ? challenge : {}
  if (asJson) return { status, body, headers: { ...refused, Pragma: 'no-cache' } }
  const text = new URLSearchParams(Object.entries(body).map(([name, value]) => [name, String(value)]))
  return {
    status,
    content: text.toString(),
    headers: {
      ...refused,
      'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8',
      'Cache-Control': 'no-store',
      Pragma: 'no-cache',
    },
  }
}

/** The application whose id and secret are in the parameters or, as Basic, in the header; undefined for wrong ones. */
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

/** An application with its secret, for its owner. */
function encodeOwn(application: ApplicationRow, base: string) {
  const { redirect_uri, client_id, client_secret } = application
  return { ...encode(application, base), redirect_uri, client_id, client_secret }
}
