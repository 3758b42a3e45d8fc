import type { ErrorCode } from '../errors.ts'
import type { JsonType } from './negotiation.ts'

/** The HTTP status of a request that fails with a code. */
const statuses: Readonly<Record<ErrorCode, number>> = {
  BAD_USER_INPUT: 400,
  CLIENT_LEFT: 400,
  CONFLICT: 409,
  COST_EXCEEDED: 400,
  FORBIDDEN: 403,
  GRAPHQL_PARSE_FAILED: 400,
  GRAPHQL_VALIDATION_FAILED: 400,
  INTERNAL_SERVER_ERROR: 500,
  LIMIT_EXCEEDED: 413,
  NOT_FOUND: 404,
  NOT_SUPPORTED: 501,
  OVERLOADED: 503,
  PERSISTED_QUERY_NOT_FOUND: 400,
  RATE_LIMITED: 429,
  SLOW_CONSUMER: 400,
  UNAUTHENTICATED: 401,
  UPSTREAM_INVALID: 502,
  UPSTREAM_TIMEOUT: 504,
  UPSTREAM_UNAVAILABLE: 502,
}

export function statusOf(code: ErrorCode): number {
  return statuses[code]
}

/**
 * The status of a well-formed request whose operation was not executed, by the code of its first error. It is 200 for
 * plain JSON, because clients of that type trust no other body. [spec] GraphQL over HTTP, "Status Codes"
 */
export function requestErrorStatus(type: JsonType, code: unknown): number {
  if (type.startsWith('application/json')) return 200
  // 413 is about the length of a body; a document that exceeds a limit may be short.
  return code === 'LIMIT_EXCEEDED' ? 400 : (statuses[code as ErrorCode] ?? 400)
}
