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

/** What every handler works with. */
export interface Backend {
  readonly store: Store
  readonly log: EventLog
  readonly files: FileStore
  /** How often silent streams are sent a keep-alive. */
  readonly keepAliveMs: number
  readonly signIn: SignIn
  readonly traffic: Traffic
  readonly presence: Presence
  readonly openCredentials: OpenCredentials
  /** Whether messages and files can be stored at the moment. */
  readonly isWritable: () => Promise<boolean>
  /** Whether actions of threads may be delivered to addresses of this machine and its network. */
  readonly privateActionTargets: boolean
  /** Is called with failures that no request is answered with. */
  readonly onError: (error: unknown) => void
  /** Ends when the server stops; open streams end with it. */
  readonly signal: AbortSignal
}

export interface Request {
  /** Path segments by the name they have in the route. */
  readonly path: Readonly<Record<string, string>>
  readonly params: Params
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** The address this request reached the API at, without a trailing slash. */
  readonly base: string
  /** Who the request counts for. */
  readonly principal: Principal
  /** The client's IP address. */
  readonly address: string
}

export interface UserRequest extends Request {
  readonly user: UserRow
  /** What the application may do whose token it is; undefined for a credential of the user's own, which may do all. */
  readonly scopes: ReadonlySet<string> | undefined
  readonly applicationId: number | undefined
  readonly signedInBy: SignedInBy
  /** When the credential ends, in milliseconds since 1970; undefined for one that does not end by itself. */
  readonly expiresAt: number | undefined
  /** Whether the credential is still valid. */
  readonly isValid: (db: Database) => Promise<boolean>
}

/** What an application may be allowed to. [flowdock] authentication.md, "Scopes" */
export type Scope = 'flow' | 'private' | 'manage' | 'profile' | 'offline_access' | 'integration'

/**
 * A JSON answer, one without a body, or one that is written by hand. A HEAD request is answered like a GET; Node.js leaves
 * out the body, and an answer that takes long to write ends after its headers.
 */
export type Answer =
  | {
      readonly status: number
      readonly body?: unknown
      /** The body if it is JSON already. */
      readonly json?: string
      readonly headers?: Record<string, string>
    }
  | { readonly write: (response: ServerResponse) => void | Promise<void> }

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

interface RouteBase {
  readonly method: Method
  readonly pattern: string
  /** An application's token must have one of these; any will do when there are none. */
  readonly scopes?: readonly Scope[]
  /**
   * Finds who holds the token that is part of the path or the query string, for routes that no user needs to sign in for.
   * The key is the same for the same token; undefined for one that is not valid.
   */
  readonly holder?: (
    request: Pick<Request, 'path' | 'query'>,
    backend: Backend,
  ) => Promise<string | undefined>
  /** Whether the flow token of a source, as parameter `flow_token`, stands in for a user. */
  readonly takesFlowToken?: boolean
}

/**
 * `auth: 'user'` answers 401 to every request without a valid credential; with `'any'` the handler looks at `caller` itself.
 * `'service'` is for our own gateways: 401 without a service token.
 */
export type Route =
  | (RouteBase & {
      readonly auth: 'user'
      readonly handle: (request: UserRequest, backend: Backend) => Promise<Answer>
    })
  | (RouteBase & {
      readonly auth: 'any'
      readonly handle: (
        request: Request & { readonly caller: UserRequest | undefined },
        backend: Backend,
      ) => Promise<Answer>
    })
  | (RouteBase & {
      readonly auth: 'service'
      readonly handle: (request: Request, backend: Backend) => Promise<Answer>
    })
