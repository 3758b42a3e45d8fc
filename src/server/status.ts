import type { ErrorCode } from '../errors.ts'
import type { JsonType } from './negotiation.ts'

/** The status of a response whose errors kept the operation from being executed. Every other code is 400. */
const statuses: Partial<Record<ErrorCode, number>> = {
  FORBIDDEN: 403,
  INTERNAL_SERVER_ERROR: 500,
  LIMIT_EXCEEDED: 413,
  OVERLOADED: 503,
  RATE_LIMITED: 429,
  UNAUTHENTICATED: 401,
  UPSTREAM_INVALID: 502,
  UPSTREAM_TIMEOUT: 504,
  UPSTREAM_UNAVAILABLE: 502,
}

export function statusOf(code: unknown): number {
  return statuses[code as ErrorCode] ?? 400
}

/**
 * The status of a result without `data`, by the code of its first error. Plain JSON is 200, because its readers trust no other body.
 * [spec] GraphQL over HTTP, "Status Codes"
 */
export function requestErrorStatus(type: JsonType, code: unknown): number {
  if (type.startsWith('application/json')) return 200
  // 413 is about the length of a body; a document that asks for too much may be short.
  return code === 'LIMIT_EXCEEDED' ? 400 : statusOf(code)
}
