import type { ServerResponse } from 'node:http'
import { type ErrorCode, GatewayError } from '../../errors.ts'

const statuses: Partial<Record<ErrorCode, number>> = {
  BAD_USER_INPUT: 400,
  FORBIDDEN: 403,
  LIMIT_EXCEEDED: 413,
  NOT_FOUND: 404,
  RATE_LIMITED: 429,
  UNAUTHENTICATED: 401,
  UPSTREAM_TIMEOUT: 504,
}

/** Answers what kept a file from being read or stored. @param masked what is said of a mistake of ours */
export function answerTransferError(response: ServerResponse, error: unknown, masked: string): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const known = error instanceof GatewayError
  const code = known ? error.code : 'INTERNAL_SERVER_ERROR'
  const message = known ? error.message : masked
  // What is left of a body stays unread.
  response.writeHead(known ? (statuses[code] ?? 502) : 500, {
    'Content-Type': 'application/json',
    Connection: 'close',
  })
  response.end(JSON.stringify({ errors: [{ message, extensions: { code } }] }))
}
