/** All error codes of the API. `docs/errors.md` explains each. */
export const errorCodes = [
  'BAD_USER_INPUT',
  'CLIENT_LEFT',
  'CONFLICT',
  'COST_EXCEEDED',
  'FORBIDDEN',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'INTERNAL_SERVER_ERROR',
  'LIMIT_EXCEEDED',
  'NOT_FOUND',
  'NOT_SUPPORTED',
  'OVERLOADED',
  'PERSISTED_QUERY_NOT_FOUND',
  'RATE_LIMITED',
  'SLOW_CONSUMER',
  'UNAUTHENTICATED',
  'UPSTREAM_INVALID',
  'UPSTREAM_TIMEOUT',
  'UPSTREAM_UNAVAILABLE',
] as const

export type ErrorCode = (typeof errorCodes)[number]

export interface GatewayErrorOptions extends ErrorOptions {
  readonly retryable?: boolean
  readonly retryAfterMs?: number | undefined
  readonly inputPath?: readonly string[] | undefined
}

/** An error whose code and message clients may see. All others are masked. */
export class GatewayError extends Error {
  override readonly name: string = 'GatewayError'
  readonly code: ErrorCode
  /** Whether the same request may succeed later. */
  readonly retryable: boolean
  /** The pause before a retry, if it is known. */
  readonly retryAfterMs: number | undefined
  /** The input that caused it, such as `['input', 'flow']`. Not named `path`, which is how GraphQL recognizes its own errors. */
  readonly inputPath: readonly string[] | undefined

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.retryable = options.retryable ?? false
    this.retryAfterMs = options.retryAfterMs
    this.inputPath = options.inputPath
  }

  /** A copy of the error with the input that caused it. Operations that share a read share its error, so it is not changed. */
  at(inputPath: readonly string[]): this {
    const properties = Object.getOwnPropertyDescriptors<GatewayError>(this)
    return Object.create(Object.getPrototypeOf(this), {
      ...properties,
      inputPath: { ...properties.inputPath, value: inputPath },
    })
  }
}

/** What is wrong with an input field. */
export interface FieldProblem {
  readonly field: string
  readonly message: string
}

/** Invalid input. Nothing was changed. */
export class ValidationError extends GatewayError {
  override readonly name = 'ValidationError'
  readonly fields: readonly FieldProblem[]

  constructor(message: string, fields: readonly FieldProblem[] = [], options?: GatewayErrorOptions) {
    super('BAD_USER_INPUT', message, options)
    this.fields = fields
  }
}

export class NotFoundError extends GatewayError {
  override readonly name = 'NotFoundError'

  constructor(message: string, options?: GatewayErrorOptions) {
    super('NOT_FOUND', message, options)
  }
}

export class ForbiddenError extends GatewayError {
  override readonly name = 'ForbiddenError'

  constructor(message: string, options?: GatewayErrorOptions) {
    super('FORBIDDEN', message, options)
  }
}

/** The upstream does not support this. */
export class NotSupportedError extends GatewayError {
  override readonly name = 'NotSupportedError'

  constructor(message: string, options?: GatewayErrorOptions) {
    super('NOT_SUPPORTED', message, options)
  }
}

/** The request contradicts what is stored. */
export class ConflictError extends GatewayError {
  override readonly name = 'ConflictError'

  constructor(message: string, options?: GatewayErrorOptions) {
    super('CONFLICT', message, options)
  }
}

export class RateLimitedError extends GatewayError {
  override readonly name = 'RateLimitedError'

  constructor(message: string, retryAfterMs: number | undefined) {
    super('RATE_LIMITED', message, { retryable: true, retryAfterMs })
  }
}

/** The upstream could not be reached, did not respond in time, or failed. */
export class UpstreamError extends GatewayError {
  override readonly name = 'UpstreamError'

  constructor(
    code: 'UPSTREAM_UNAVAILABLE' | 'UPSTREAM_TIMEOUT' | 'UPSTREAM_INVALID',
    message: string,
    options?: GatewayErrorOptions,
  ) {
    super(code, message, { ...options, retryable: code !== 'UPSTREAM_INVALID' })
  }
}

/** The response of the upstream is longer than the gateway reads. A request for less may succeed. */
export class ResponseTooLongError extends UpstreamError {
  constructor(options?: GatewayErrorOptions) {
    super('UPSTREAM_INVALID', 'The upstream response is longer than the gateway reads', options)
  }
}
