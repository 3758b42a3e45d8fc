import { Http1Error } from '../../../net/http1/errors.ts'
import { HttpError } from '../../http/errors.ts'
import { storageError } from '../../http/storage-error.ts'
import { ThingsError } from '../things-error.ts'

/**
 * Converts an error to the failure that is sent to the client.
 *
 * @param onError called with unexpected errors
 */
export function toFailure(error: unknown, onError: (error: unknown) => void): ThingsError {
  if (error instanceof ThingsError) return error
  if (error instanceof Http1Error) return new ThingsError(error.status, error.message)
  const refused = storageError(error)
  if (refused !== undefined) onError(error)
  const known = refused ?? error
  if (known instanceof HttpError) return new ThingsError(known.status, known.message, known.headers)
  onError(error)
  return new ThingsError(500, 'Internal server error')
}
