import {
  ConflictError,
  ForbiddenError,
  GatewayError,
  NotFoundError,
  NotSupportedError,
  RateLimitedError,
  UpstreamError,
  ValidationError,
} from '../errors.ts'
import { blamedInput } from './input-path.ts'

/** The errors that a mutation returns as data, by the names of their types. */
const classes = {
  ValidationFailed: ValidationError,
  NotFound: NotFoundError,
  Forbidden: ForbiddenError,
  Conflict: ConflictError,
  NotSupported: NotSupportedError,
  RateLimited: RateLimitedError,
  UpstreamUnavailable: UpstreamError,
} as const

export type FailureType = keyof typeof classes
export const failureTypes = Object.keys(classes) as FailureType[]

/** An error as the result of a field. An instance of Error would be an error of the field. */
export class Failure<E extends GatewayError = GatewayError> {
  readonly typename: FailureType
  readonly error: E

  constructor(typename: FailureType, error: E) {
    this.typename = typename
    this.error = error
  }
}

type Input = Readonly<Record<string, unknown>>

/**
 * The result of a mutation: the payload with the `clientMutationId` of the input, or the error with the path of the input that
 * caused it.
 *
 * @throws the errors that are not returned as data
 */
export async function mutationResult<Payload extends object>(
  input: Input,
  mutate: () => Promise<Payload> | Payload,
): Promise<Payload | Failure> {
  try {
    const payload = await mutate()
    const { clientMutationId } = input
    return clientMutationId == null ? payload : Object.assign(payload, { clientMutationId })
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    const path = blamedInput(thrown, input)
    const error = path === undefined ? thrown : thrown.at(path)
    const typename = failureTypes.find((each) => error instanceof classes[each])
    if (typename === undefined) throw error
    return new Failure(typename, error)
  }
}
