import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { Http1Error } from './errors.ts'

const unzip = promisify(gunzip)

/**
 * Undoes the `Content-Encoding` of a body.
 *
 * @param maxBytes of the result
 * @throws Http1Error 400 for what is not in that encoding, 413 past `maxBytes`, 415 for another encoding than gzip
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
  // Clients name the encoding for requests without a body, too.
  if (bytes.length === 0) return bytes
  try {
    return await unzip(bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      ? tooLong(maxBytes)
      : new Http1Error(400, 'Body is not valid gzip')
  }
}

export function tooLong(maxBytes: number): Http1Error {
  return new Http1Error(413, `Body is longer than ${maxBytes} bytes`)
}
