import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { EventLog } from '../event-log.ts'
import type { FileStore } from '../files.ts'
import type { Params } from '../http/params.ts'
import type { SignIn } from '../http/sign-in-limit.ts'
import type { Principal, Traffic } from '../http/traffic.ts'
import type { Database, Store } from '../store/db.ts'
import type { UserRow } from '../store/users.ts'
import type { OpenCredentials, SignedInBy } from './open-credentials.ts'
import type { Presence } from './presence.ts'
import type { RecentPages } from './recent-pages.ts'

/** What all handlers share. */
export interface Backend {
  readonly store: Store
  readonly log: EventLog
  readonly files: FileStore
  /** The interval of keep-alives on silent streams. */
  readonly keepAliveMs: number
  readonly signIn: SignIn
  readonly traffic: Traffic
  readonly presence: Presence
  readonly recentPages: RecentPages
  readonly openCredentials: OpenCredentials
  /** Whether messages and files can be stored now. */
  readonly isWritable: () => Promise<boolean>
  /** Whether gateways with a service token can read the whole log. */
  readonly hasServiceInterface: boolean
  /** Whether rules can be made: they need the server of the flowthings API. */
  readonly hasRules: boolean
  /** Whether actions of threads may be delivered to this machine and its network. */
  readonly privateActionTargets: boolean
  /** Called with errors that no response reports. */
  readonly onError: (error: unknown) => void
  /** Aborts when the server stops, which ends open streams. */
  readonly signal: AbortSignal
}

export interface Request {
  /** The path segments, by their names in the route. */
  readonly path: Readonly<Record<string, string>>
  readonly params: Params
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** The URL of the API for this request, without a trailing slash. */
  readonly base: string
  /** The principal that the request counts for. */
  readonly principal: Principal
  /** The client's IP address. */
  readonly address: string
}

export interface UserRequest extends Request {
  readonly user: UserRow
  /** The scopes of an application's token. Undefined for a credential of the user's own, which has all rights. */
  readonly scopes: ReadonlySet<string> | undefined
  readonly applicationId: number | undefined
  readonly signedInBy: SignedInBy
  /** When the credential expires, in milliseconds since 1970. Undefined for one that does not expire. */
  readonly expiresAt: number | undefined
  /** Whether the credential is still valid. */
  readonly isValid: (db: Database) => Promise<boolean>
  /** Whether a gateway acts as the user, who did not send the request themselves. It changes nothing. */
  readonly isActedAs: boolean
}

/** The rights of an application's token. [flowdock] authentication.md, "Scopes" */
export type Scope = 'flow' | 'private' | 'manage' | 'profile' | 'offline_access' | 'integration'

/**
 * A JSON response or one without a body, one of another type, or one that the handler writes over time. The response to HEAD is
 * that to GET: Node.js leaves out the body, and a response that is written over time ends after its headers.
 *
 * Only responses to GET are written over time, and nothing is changed or counted before `write` is called: a gateway that asked over
 * a message port asks again over HTTP.
 */
export type Answer =
  | {
      readonly status: number
      readonly body?: unknown
      /** The body if it is JSON already. Several responses may share its bytes. */
      readonly json?: string | Uint8Array
      readonly headers?: Record<string, string>
    }
  | {
      readonly status: number
      readonly content: string | Uint8Array
      /** All headers but `Content-Length`. */
      readonly headers: Record<string, string>
    }
  | { readonly write: (response: ServerResponse) => void | Promise<void> }

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

interface RouteBase {
  readonly method: Method
  readonly pattern: string
  /** The name of the parameter that a body gets if it is a JSON array. */
  readonly listAs?: string
  /** An application's token must have one of these scopes; any scope is enough when there are none. */
  readonly scopes?: readonly Scope[]
  /**
   * Finds the principal of a token in the path or query string, for routes without a user. Undefined for a token that is not
   * valid.
   */
  readonly holder?: (
    request: Pick<Request, 'path' | 'query'>,
    backend: Backend,
  ) => Promise<string | undefined>
  /** Whether the parameter `flow_token` with the token of a source is accepted in place of a user's credential. */
  readonly takesFlowToken?: boolean
}

/**
 * With `auth: 'user'` a request without a valid credential gets 401; with `'any'` the handler checks `userRequest` itself.
 * `'service'` is for the server's own gateways: without a service token they get 401.
 */
export type Route =
  | (RouteBase & {
      readonly auth: 'user'
      readonly handle: (request: UserRequest, backend: Backend) => Promise<Answer>
    })
  | (RouteBase & {
      readonly auth: 'any'
      readonly handle: (
        request: Request & { readonly userRequest: UserRequest | undefined },
        backend: Backend,
      ) => Promise<Answer>
    })
  | (RouteBase & {
      readonly auth: 'service'
      readonly handle: (request: Request, backend: Backend) => Promise<Answer>
    })
