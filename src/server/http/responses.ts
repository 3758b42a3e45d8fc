import type { ServerResponse } from 'node:http'
import type { GraphQLError } from 'graphql'
import type { JsonType } from '../negotiation.ts'
import { requestErrorStatus } from '../status.ts'

/** Answers a well-formed request that is not executed. */
export function sendRequestErrors(
  response: ServerResponse,
  type: JsonType,
  errors: readonly GraphQLError[],
  status = requestErrorStatus(type, errors[0]?.extensions['code']),
): void {
  const text = JSON.stringify({ errors })
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) })
  response.end(text)
}
