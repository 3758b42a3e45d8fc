import {
  ForbiddenError,
  GatewayError,
  NotFoundError,
  NotSupportedError,
  UpstreamError,
  ValidationError,
} from '../../errors.ts'
import { isRecord } from '../../json-values.ts'
import { buildUrl, type Query } from '../build-url.ts'
import type { Http, HttpAnswer, HttpRequest } from '../http.ts'
import { type CallTrace, tracedRequest } from '../traced-request.ts'
import type { ThingsCredential } from './credential.ts'

type Method = HttpRequest['method']

export interface ThingsRequest {
  readonly query?: Query
  readonly body?: unknown
  /** Whether a POST reads and changes nothing. */
  readonly isRead?: boolean
  /** The purpose of the call for error messages, such as `create a flow`. */
  readonly doing: string
}

/** Makes calls with the credential of one principal. The results are the bodies of envelopes, not decoded yet. */
export interface ThingsCalls {
  /** Whether drops are read with the types of their elements. */
  readonly hasTypes: boolean
  call(method: Method, path: readonly string[], request: ThingsRequest): Promise<unknown>
  /** Like `call`, but resolves with null for 404. */
  find(method: Method, path: readonly string[], request: ThingsRequest): Promise<unknown>
}

/** The URLs of the upstream. */
export interface ThingsUpstream {
  /** The URL of the REST API with its version, such as `https://api.flowthings.io/v0.1`. */
  readonly restUrl: string
  /** The URL for opening sessions, such as `https://ws.flowthings.io`. */
  readonly sessionUrl: string
}

/** Shares reads in progress between operations of one principal. */
export interface SharedReads {
  read(
    principal: string,
    key: string,
    signal: AbortSignal | undefined,
    make: (signal: AbortSignal) => Promise<HttpAnswer>,
  ): Promise<HttpAnswer>
  /** Reports a change by a principal, so that later reads do not join earlier ones. */
  changed(principal: string): void
}

export interface ThingsCallOptions {
  readonly http: Http
  /** If undefined, each call throws `NOT_SUPPORTED`. */
  readonly upstream: ThingsUpstream | undefined
  /** If null, each call throws `UNAUTHENTICATED`. */
  readonly credential: ThingsCredential | null
  /** Aborts calls whose responses are not needed any more. */
  readonly signal?: AbortSignal | undefined
  /** Called before each call. If it throws, the call is not made. */
  readonly onCall?: (() => void) | undefined
  /** Called for each read that joined a read in progress. */
  readonly onShared?: (() => void) | undefined
  /** Additional headers of each call. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Traces each call. */
  readonly trace?: CallTrace | undefined
  /** By default, reads are not shared. */
  readonly reads?: SharedReads | undefined
}

export function createThingsCalls(options: ThingsCallOptions): ThingsCalls {
  const { http, upstream, credential, signal, onCall, onShared, trace, reads } = options
  const hasTypes = upstream !== undefined && !hasPlainElements(upstream.restUrl)

  async function call(
    method: Method,
    path: readonly string[],
    { query = {}, body, isRead = method === 'GET' || method === 'MGET', doing }: ThingsRequest,
  ): Promise<unknown> {
    const { restUrl } = requireThings(upstream, doing)
    const { account, token, principal } = requireThingsCredential(credential, doing)
    const url = buildUrl(restUrl, [account, ...path], { hints: hasTypes ? 1 : 0, ...query })
    const headers = {
      ...options.headers,
      accept: 'application/json',
      'x-auth-account': account,
      'x-auth-token': token.reveal(),
    }
    let isMade = false
    const make = (until: AbortSignal | undefined) => {
      isMade = true
      onCall?.()
      return tracedRequest(http, trace, { method, url, headers, body, principal, signal: until })
    }
    if (isRead && reads !== undefined) {
      const key = `${method} ${url.href} ${body === undefined ? '' : JSON.stringify(body)}`
      const answer = await reads.read(principal, key, signal, make)
      if (!isMade) onShared?.()
      return bodyOf(answer, doing)
    }
    try {
      return bodyOf(await make(signal), doing)
    } finally {
      if (!isRead) reads?.changed(principal)
    }
  }

  return {
    hasTypes,
    call,
    async find(method, path, request) {
      try {
        return await call(method, path, request)
      } catch (error) {
        if (error instanceof NotFoundError) return null
        throw error
      }
    },
  }
}

/** Whether elements are plain JSON, as from version 4 on. [flowthings] java-client */
export function hasPlainElements(restUrl: string): boolean {
  const [, version] = /^v(\d+)/.exec(restUrl.slice(restUrl.lastIndexOf('/') + 1)) ?? []
  return Number(version) >= 4
}

/** @throws NotSupportedError without an upstream */
export function requireThings(upstream: ThingsUpstream | undefined, doing: string): ThingsUpstream {
  if (upstream !== undefined) return upstream
  throw new NotSupportedError(
    `Cannot ${doing}: this gateway has no flowthings upstream; FLOWTHINGS_API_URL names one`,
  )
}

/** @throws GatewayError `UNAUTHENTICATED` without a credential */
export function requireThingsCredential(
  credential: ThingsCredential | null,
  doing: string,
): ThingsCredential {
  if (credential !== null) return credential
  throw new GatewayError(
    'UNAUTHENTICATED',
    `Cannot ${doing}: the request has no flowthings account; send X-Auth-Account and X-Auth-Token`,
  )
}

/**
 * The body of an envelope. [flowthings] HTTP API: `{"head": {"status", "ok", "errors"}, "body"}`
 *
 * @throws GatewayError according to the status
 */
export function bodyOf({ status, body }: HttpAnswer, doing: string): unknown {
  if (status >= 300) throw toThingsError(status, errorsOf(body), doing)
  if (!isRecord(body) || !isRecord(body['head']))
    throw new UpstreamError('UPSTREAM_INVALID', `Cannot ${doing}: the upstream sent no envelope`)
  const { head } = body
  if (head['ok'] === false)
    throw toThingsError(typeof head['status'] === 'number' ? head['status'] : 500, errorsOf(body), doing)
  return body['body']
}

function errorsOf(envelope: unknown): string {
  const head = isRecord(envelope) ? envelope['head'] : undefined
  const errors = isRecord(head) && Array.isArray(head['errors']) ? head['errors'] : []
  return errors
    .filter((error) => typeof error === 'string' && error !== '')
    .slice(0, 5)
    .join(' ')
    .slice(0, 1000)
}

/** The messages of errors. Only those about the input are forwarded to clients. [flowthings] HTTP API, response codes */
export function toThingsError(status: number, errors: string, doing: string): GatewayError {
  switch (status) {
    case 400:
    case 413:
    case 422:
      return new ValidationError(`Cannot ${doing}: ${errors || 'the upstream refused the input'}`)
    case 414:
    case 431:
      return new ValidationError(`Cannot ${doing}: the filter is too long for a URL of the upstream`)
    case 401:
      return new GatewayError('UNAUTHENTICATED', `Cannot ${doing}: the account or token is not valid`)
    case 403:
      return new ForbiddenError(
        `Cannot ${doing}: the account or token is not valid, or the token does not permit it`,
      )
    case 404:
    case 410:
      return new NotFoundError(`Cannot ${doing}: not found`)
    case 405:
      return new NotSupportedError(`Cannot ${doing}: the upstream does not support it`)
    default:
      return new UpstreamError('UPSTREAM_INVALID', `Cannot ${doing}: the upstream answered ${status}`)
  }
}
