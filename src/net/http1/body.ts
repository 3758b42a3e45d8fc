import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { Http1Error } from './errors.ts'

/**
 * Decodes the `Content-Encoding` of a body.
 *
 * @param maxBytes the longest decoded body
 * @throws Http1Error 400 for a body that cannot be decoded, 413 for a longer one, 415 for an encoding other than gzip
 */
export async function decodeBody(
  bytes: Buffer,
  encoding: string | undefined,
  maxBytes: number,
): Promise<Buffer> {
  const name = encoding?.toLowerCase()
  if (name === undefined || name === '' || name === 'identity') return bytes
  if (name !== 'gzip' && name !== 'x-gzip')
    throw new Http1Error(415, 'Content-Encoding must be "gzip" or "identity"')
  // Some clients send `Content-Encoding` without a body.
  if (bytes.length === 0) return bytes
  try {
    // Made here, so that a start does not load zlib.
    return await promisify(gunzip)(bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      ? tooLong(maxBytes)
      : new Http1Error(400, 'Body is not valid gzip')
  }
}

export function tooLong(maxBytes: number): Http1Error {
  return new Http1Error(413, `Body is longer than ${maxBytes} bytes`)
}
