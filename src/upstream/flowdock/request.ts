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
import type { Http, HttpAnswer, HttpRequest } from '../http.ts'
import type { Credential } from './credentials.ts'
import type { OnUnreadable } from './lists.ts'
import { encodeMultipart, type FilePart } from './multipart.ts'
import type { SingleFlight } from './single-flight.ts'

type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface FlowdockRequest {
  readonly query?: Query
  readonly body?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the body says who asks, so that the caller's credential stays at home. */
  readonly anonymous?: boolean
  /** What is attempted, for error messages: `post to flow "acme/main"`. */
  readonly doing: string
}

/** Makes calls with one caller's credential; what comes back is still to be decoded. */
export interface FlowdockCalls {
  get(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  /** Like `get`, and where the upstream's log of events stood then, if it says so. */
  getAt(path: readonly string[], request: FlowdockRequest): Promise<{ body: unknown; at: string | undefined }>
  /** Like `get`, but null for what is not there or not to be seen. */
  find(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  post(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  put(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  /** Posts to an address the upstream gave. @throws ForbiddenError for one that is not the upstream's */
  postTo(url: string, request: FlowdockRequest): Promise<unknown>
  delete(path: readonly string[], request: FlowdockRequest): Promise<unknown>
  /** To be called with the error of a list of which not all items could be decoded. */
  readonly onUnreadable: OnUnreadable
  /** Posts the fields of a body with files, which are sent as they are read. */
  upload(path: readonly string[], files: readonly FilePart[], request: FlowdockRequest): Promise<unknown>
}

/** Follows calls of one operation. */
export interface CallTrace {
  /** A call begins. @returns headers to send with it, and what is called with its status, if it had one */
  call(
    method: string,
    url: URL,
  ): { readonly headers: Readonly<Record<string, string>>; end(status: number | undefined): void }
}

export interface CallOptions {
  readonly http: Http
  /** The REST address, without a trailing slash. */
  readonly base: string
  /** Null for a caller who sent none: every call throws `UNAUTHENTICATED`. */
  readonly credential: Credential | null
  /** Ends calls whose answers nobody waits for any more. */
  readonly signal: AbortSignal | undefined
  /** Runs before each call. What it throws keeps it from being made. */
  readonly onCall?: (() => void) | undefined
  /** Hears of each read that somebody else had begun. */
  readonly onShared?: (() => void) | undefined
  /** Sent with each call. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Hears of each call as it is made. */
  readonly trace?: CallTrace | undefined
  /** Shares reads with others of the same credential; each is a call of its own without. */
  readonly reads?: SingleFlight | undefined
  /** Hears whose credential it is, by each answer that says so. */
  readonly onUser?: ((id: number) => void) | undefined
  /** Called with the error of a list of which not all items could be decoded. */
  readonly onUnreadable?: OnUnreadable | undefined
  /** Hears when the credential ends, in milliseconds, by each answer that says so. Only some upstreams do. */
  readonly onTokenEnd?: ((at: number) => void) | undefined
}

export function createCalls({
  http,
  base,
  credential,
  signal,
  onCall,
  onShared,
  headers: always,
  trace,
  reads,
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
  ): Promise<{ body: unknown; at: string | undefined }> {
    return send(method, buildUrl(base, path, query ?? {}), request)
  }

  async function send(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: URL,
    { body, headers: more, anonymous, doing }: FlowdockRequest,
  ): Promise<{ body: unknown; at: string | undefined }> {
    const headers = { ...always, ...more, ...authorize(anonymous, doing), accept: 'application/json' }
    let isMade = false
    const make = (until: AbortSignal | undefined) => {
      isMade = true
      onCall?.()
      const principal = anonymous === true ? undefined : credential?.principal
      const request = { method, url, headers, body, principal, signal: until }
      return trace === undefined ? http.request(request) : traced(trace, request)
    }
    const answer =
      method === 'GET' && reads !== undefined && credential !== null
        ? await reads.read(credential.principal, url.href, signal, make)
        : await changing(() => make(signal))
    if (!isMade) onShared?.()
    const userId = Number(answer.headers['flowdock-user'] ?? 0)
    if (userId > 0) onUser?.(userId)
    const endsAt = parseIsoTime(String(answer.headers['flowdock-token-expires-at']))
    if (endsAt !== undefined) onTokenEnd?.(endsAt)
    if (answer.status >= 300) throw toError(answer.status, answer.body, doing)
    const at = answer.headers['flowdock-event-id']
    return { body: answer.body, at: typeof at === 'string' && at !== '' ? at : undefined }
  }

  async function traced(to: CallTrace, request: HttpRequest): Promise<HttpAnswer> {
    const { headers, end } = to.call(request.method, request.url)
    let status: number | undefined
    try {
      const answer = await http.request({ ...request, headers: { ...request.headers, ...headers } })
      status = answer.status
      return answer
    } finally {
      end(status)
    }
  }

  async function changing<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } finally {
      if (credential !== null) reads?.changed(credential.principal)
    }
  }

  function authorize(anonymous: boolean | undefined, doing: string): Readonly<Record<string, string>> {
    if (anonymous === true) return {}
    if (credential !== null) return { authorization: credential.authorization.reveal() }
    throw new GatewayError('UNAUTHENTICATED', `Cannot ${doing}: no credential was sent with the request`)
  }

  return {
    onUnreadable,
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
      // The credential is for nobody else.
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

/**
 * Each part becomes exactly one encoded segment.
 *
 * @throws NotFoundError for `.`, `..` and blank parts, which would name something else
 */
export function buildUrl(base: string, path: readonly string[], query: Query): URL {
  const segments = path.map((part) => {
    if (part === '' || part === '.' || part === '..')
      throw new NotFoundError(`There is nothing called "${part}"`)
    return encodeURIComponent(part.toWellFormed())
  })
  const url = new URL(`${base}/${segments.join('/')}`)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, String(value))
  return url
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
