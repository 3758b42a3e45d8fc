import {
  ConflictError,
  type FieldProblem,
  ForbiddenError,
  GatewayError,
  NotFoundError,
  UpstreamError,
  ValidationError,
} from '../../errors.ts'
import { parseIsoTime } from '../../iso-time.ts'
import { buildUrl, type Query } from '../build-url.ts'
import type { Decode, EqualBodies } from '../equal-bodies.ts'
import type { Http } from '../http.ts'
import { type CallTrace, tracedRequest } from '../traced-request.ts'
import { type Credential, requireCredential } from './credentials.ts'
import type { OnUnreadable } from './lists.ts'
import type { MessagePages } from './message-pages.ts'
import { encodeMultipart, type FilePart } from './multipart.ts'
import type { SingleFlight } from './single-flight.ts'

/** In a request the version of the page that the gateway has, in a response that of the page. */
export const pageHeader = 'flowdock-page'

/** In the response to a search: the number of matches, of which only the newest may have been sent. */
const matchesHeader = 'flowdock-matches'

export interface FlowdockRequest {
  readonly query?: Query
  readonly body?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the body contains the credential, such as a flow token, so that the credential of the request is not sent. */
  readonly anonymous?: boolean
  /** What is attempted, for error messages: `post to flow "acme/main"`. */
  readonly doing: string
}

/** Makes calls with the credential of one principal. Results are JSON that is not decoded yet. */
export interface FlowdockCalls {
  get(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  /** Like `get`, with the offset of the upstream's event log at that time, if the upstream says it. */
  getAt(path: readonly string[], request: FlowdockRequest): Promise<ReadAnswer>
  /** Like `get`, but null for 404 and 403. */
  find(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  post(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  put(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  /** Posts to a URL that the upstream gave. @throws ForbiddenError for a URL of another server */
  postTo(url: string, request: FlowdockRequest): Promise<unknown>
  delete(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  /** Decodes the JSON of a read, once where several reads had the same bytes. @param decode the same function for the same path */
  decode<T>(json: unknown, decode: Decode<T>): T
  /** To be called with the error of a list of which not all items could be decoded. */
  readonly onUnreadable: OnUnreadable
  /** Posts a body of fields and files. The files are sent while they are read. */
  upload(path: readonly string[], files: readonly FilePart[], request: FlowdockRequest): Promise<unknown>
}

export interface ReadAnswer {
  /** Undefined for a page that is unchanged. */
  readonly body: unknown
  /** The offset of the upstream's event log when it was read, if the upstream says it. */
  readonly at: string | undefined
  /** The version of a page, if the upstream says it. */
  readonly version: string | undefined
  /** Whether the page is still of the version that the request named in `Flowdock-Page`. */
  readonly isUnchanged: boolean
  /** The length of the body, if the upstream says it. */
  readonly bytes: number | undefined
  /** The number of matches of a search, if the upstream says it. */
  readonly matches: number | undefined
}

export interface CallOptions {
  readonly http: Http
  /** The REST URL, without a trailing slash. */
  readonly base: string
  /** Null without a credential: each call throws `UNAUTHENTICATED` then. */
  readonly credential: Credential | null
  /** Aborts calls whose responses are not needed any more. */
  readonly signal: AbortSignal | undefined
  /** Called before each call. If it throws, the call is not made. */
  readonly onCall?: (() => void) | undefined
  /** Called before each call that may change something. */
  readonly onChange?: (() => void) | undefined
  /** Called for each read that joined a read in progress. */
  readonly onShared?: (() => void) | undefined
  /** Headers of each call. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Traces each call. */
  readonly trace?: CallTrace | undefined
  /** Shares reads in progress of the same credential. Without it, each read is a call. */
  readonly reads?: SingleFlight | undefined
  /** Shares the parsed JSON of reads with the same bytes. Without it, each is parsed. */
  readonly equalBodies?: EqualBodies | undefined
  /** Pages of messages that several principals may read. */
  readonly pages?: MessagePages | undefined
  /** Called with the id of the user, for each response that has it. */
  readonly onUser?: ((id: number) => void) | undefined
  /** Called with the error of a list of which not all items could be decoded. */
  readonly onUnreadable?: OnUnreadable | undefined
  /**
   * Called with the time when the credential expires, in milliseconds, for each response that has it. Only some upstreams send
   * it.
   */
  readonly onTokenEnd?: ((at: number) => void) | undefined
}

export function createCalls({
  http,
  base,
  credential,
  signal,
  onCall,
  onChange,
  onShared,
  headers: always,
  trace,
  reads,
  equalBodies,
  onUser,
  onTokenEnd,
  onUnreadable = () => undefined,
}: CallOptions): FlowdockCalls {
  async function call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: readonly string[],
    { query, ...request }: FlowdockRequest,
  ): Promise<unknown> {
    return (await callAt(method, path, { query: query ?? {}, ...request })).body
  }

  async function callAt(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: readonly string[],
    { query, ...request }: FlowdockRequest,
  ): Promise<ReadAnswer> {
    return send(method, buildUrl(base, path, query ?? {}), request)
  }

  async function send(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: URL,
    { body, headers: more, anonymous, doing }: FlowdockRequest,
  ): Promise<ReadAnswer> {
    const headers = { ...always, ...more, ...authorize(anonymous, doing), accept: 'application/json' }
    let isMade = false
    const make = (until: AbortSignal | undefined) => {
      isMade = true
      onCall?.()
      const principal = anonymous === true ? undefined : credential?.principal
      const request = { method, url, headers, body, principal, signal: until, equalBodies }
      return tracedRequest(http, trace, request)
    }
    const answer = await (method !== 'GET'
      ? changing(() => make(signal))
      : reads === undefined || credential === null
        ? make(signal)
        : reads.read(credential.principal, flightKey(url, more), signal, make))
    if (!isMade) onShared?.()
    const userId = Number(answer.headers['flowdock-user'] ?? 0)
    if (userId > 0) onUser?.(userId)
    const endsAt = parseIsoTime(String(answer.headers['flowdock-token-expires-at']))
    if (endsAt !== undefined) onTokenEnd?.(endsAt)
    const isUnchanged = answer.status === 304 && more?.[pageHeader] !== undefined
    if (answer.status >= 300 && !isUnchanged) throw toError(answer.status, answer.body, doing)
    return {
      body: answer.body,
      at: textOf(answer.headers['flowdock-event-id']),
      version: textOf(answer.headers[pageHeader]),
      isUnchanged,
      bytes: countOf(answer.headers['content-length']),
      matches: countOf(answer.headers[matchesHeader]),
    }
  }

  async function changing<T>(call: () => Promise<T>): Promise<T> {
    onChange?.()
    try {
      return await call()
    } finally {
      if (credential !== null) reads?.changed(credential.principal)
    }
  }

  function authorize(anonymous: boolean | undefined, doing: string): Readonly<Record<string, string>> {
    if (anonymous === true) return {}
    return { authorization: requireCredential(credential, doing).authorization.reveal() }
  }

  return {
    onUnreadable,
    decode: (json, decode) =>
      equalBodies === undefined
        ? decode(json, onUnreadable, () => undefined)
        : equalBodies.decode(json, decode, onUnreadable),
    get: (path, request) => call('GET', path, request),
    getAt: (path, request) => callAt('GET', path, request),
    async find(path, request) {
      try {
        return await call('GET', path, request)
      } catch (error) {
        if (error instanceof NotFoundError || error instanceof ForbiddenError) return null
        throw error
      }
    },
    post: (path, request) => call('POST', path, request),
    put: (path, request) => call('PUT', path, request),
    async postTo(address, request) {
      const url = URL.canParse(address) ? new URL(address) : undefined
      // The credential is only for the upstream.
      if (url?.origin !== new URL(base).origin)
        throw new ForbiddenError(`Cannot ${request.doing}: its address is not one of the upstream`)
      return (await send('POST', url, request)).body
    },
    delete: (path, request) => call('DELETE', path, request),
    async upload(path, files, { body = {}, headers, anonymous, doing }) {
      const { contentType, bytes } = encodeMultipart(body, files)
      const authorization = authorize(anonymous, doing)
      onCall?.()
      const answer = await changing(() =>
        http.upload(
          buildUrl(base, path, {}),
          { ...headers, ...authorization, accept: 'application/json', 'content-type': contentType },
          bytes,
          signal,
        ),
      )
      if (answer.status >= 300) throw toError(answer.status, answer.body, doing)
      return answer.body
    },
  }
}

/** Reads that name different versions of a page have different answers. */
function flightKey({ href }: URL, headers: FlowdockRequest['headers']): string {
  const version = headers?.[pageHeader]
  return version === undefined ? href : `${href} ${version}`
}

function countOf(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && header !== '' ? header : undefined
}

/** [flowdock] general-information.md, "Errors". Only validation messages of the upstream are passed on. */
export function toError(status: number, body: unknown, doing: string): GatewayError {
  switch (status) {
    case 400:
    case 413:
    case 422: {
      const fields = fieldProblems(body)
      const detail = fields.map(({ field, message }) => `${field} ${message}`).join(', ')
      return new ValidationError(`Cannot ${doing}: ${detail || 'the upstream refused the input'}`, fields)
    }
    case 401:
      return new GatewayError('UNAUTHENTICATED', `Cannot ${doing}: the credential is not valid`)
    case 403:
      return new ForbiddenError(`Cannot ${doing}: access denied`)
    case 404:
    case 410:
      return new NotFoundError(`Cannot ${doing}: not found`)
    case 409:
      return new ConflictError(`Cannot ${doing}: it contradicts what is stored`)
    default:
      return new UpstreamError('UPSTREAM_INVALID', `Cannot ${doing}: the upstream answered ${status}`)
  }
}

function fieldProblems(body: unknown): FieldProblem[] {
  if (typeof body !== 'object' || body === null || !('errors' in body)) return []
  const { errors } = body
  if (typeof errors !== 'object' || errors === null) return []
  return Object.entries(errors).flatMap(([field, messages]) =>
    (Array.isArray(messages) ? messages : [messages])
      .filter((message) => typeof message === 'string')
      .map((message) => ({ field, message })),
  )
}
