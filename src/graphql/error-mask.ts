import { GraphQLError, type GraphQLErrorOptions } from 'graphql'
import { type ErrorCode, errorCodes, GatewayError } from '../errors.ts'

/**
 * An error as the API's user may see it: failures of ours with their code, mistakes in the document with theirs, and
 * nothing of anything else.
 *
 * @param onUnexpected hears of errors that are hidden
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
  // Signals end without a reason of their own when whoever asked has left.
  if (cause instanceof DOMException && cause.name === 'AbortError')
    return new GraphQLError('Nobody waits for the answer any more', {
      ...place,
      extensions: { code: 'CLIENT_LEFT' satisfies ErrorCode },
    })
  onUnexpected(cause)
  return new GraphQLError('Something went wrong here; it was logged', {
    ...place,
    extensions: { code: 'INTERNAL_SERVER_ERROR' satisfies ErrorCode },
  })
}

/** The same error with a code, unless it has one of ours: frameworks bring codes of their own. */
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
