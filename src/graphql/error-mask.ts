import { GraphQLError, type GraphQLErrorOptions } from 'graphql'
import { type ErrorCode, errorCodes, GatewayError } from '../errors.ts'

/**
 * An error as clients may see it. Failures of the gateway have their code, mistakes in the document have theirs, and any other
 * error has no details.
 *
 * @param onUnexpected called with each error whose details are hidden
 */
export function maskError(error: unknown, onUnexpected: (error: unknown) => void): GraphQLError {
  const cause = rootCause(error)
  const place: GraphQLErrorOptions =
    error instanceof GraphQLError
      ? {
          nodes: error.nodes ?? null,
          source: error.source ?? null,
          positions: error.positions ?? null,
          path: error.path ?? null,
        }
      : {}
  if (cause instanceof GatewayError) {
    return new GraphQLError(cause.message, {
      ...place,
      extensions: {
        code: cause.code,
        ...(cause.retryable ? { retryable: true } : {}),
        ...(cause.retryAfterMs === undefined ? {} : { retryAfterMs: cause.retryAfterMs }),
      },
    })
  }
  // The outer error names the variable and its location; the inner one only says what a scalar expected.
  if (cause instanceof GraphQLError)
    return withCode(error instanceof GraphQLError ? error : cause, 'BAD_USER_INPUT')
  // A signal has no other reason when the client has left.
  if (cause instanceof DOMException && cause.name === 'AbortError')
    return new GraphQLError('The client left before the response', {
      ...place,
      extensions: { code: 'CLIENT_LEFT' satisfies ErrorCode },
    })
  onUnexpected(cause)
  return new GraphQLError('Something went wrong here; it was logged', {
    ...place,
    extensions: { code: 'INTERNAL_SERVER_ERROR' satisfies ErrorCode },
  })
}

/** The same error with a code, unless it has one of the gateway: Yoga and graphql-js use other codes. */
export function withCode(error: GraphQLError, code: ErrorCode): GraphQLError {
  const { message, nodes, source, positions, path, extensions } = error
  return new GraphQLError(message, {
    nodes: nodes ?? null,
    source: source ?? null,
    positions: positions ?? null,
    path: path ?? null,
    extensions: { ...extensions, code: errorCodes.find((known) => known === extensions['code']) ?? code },
  })
}

function rootCause(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError !== undefined
    ? rootCause(error.originalError)
    : error
}
