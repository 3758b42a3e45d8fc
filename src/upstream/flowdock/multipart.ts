import { randomBytes } from 'node:crypto'

/** A file to send. */
export interface FilePart {
  /** The name of its field, such as `content`. */
  readonly field: string
  readonly name: string
  readonly contentType: string
  readonly bytes: AsyncIterable<Uint8Array>
}

/** A body with fields and files, which is encoded while it is sent. */
export interface MultipartBody {
  readonly contentType: string
  readonly bytes: AsyncIterable<Uint8Array>
}

/**
 * Fields nest as Rails writes them: `thread[title]`, `tags[]`. [spec] RFC 7578; [flowdock] files.md
 *
 * @param fields undefined values are left out
 */
export function encodeMultipart(
  fields: Readonly<Record<string, unknown>>,
  files: readonly FilePart[],
): MultipartBody {
  const boundary = randomBytes(18).toString('base64url')
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    bytes: write(boundary, flatten(fields), files),
  }
}

async function* write(
  boundary: string,
  fields: readonly [string, string][],
  files: readonly FilePart[],
): AsyncGenerator<Uint8Array> {
  const head = fields.map(
    ([field, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${quote(field)}"\r\n\r\n${value}\r\n`,
  )
  yield Buffer.from(head.join(''))
  for (const { field, name, contentType, bytes } of files) {
    yield Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${quote(field)}"; filename="${quote(name)}"\r\n` +
        `Content-Type: ${contentType}\r\n\r\n`,
    )
    yield* bytes
    yield Buffer.from('\r\n')
  }
  yield Buffer.from(`--${boundary}--\r\n`)
}

function flatten(value: unknown, name = ''): [string, string][] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.flatMap((item) => flatten(item, `${name}[]`))
  if (typeof value !== 'object') return [[name, String(value)]]
  return Object.entries(value).flatMap(([key, item]) => flatten(item, name === '' ? key : `${name}[${key}]`))
}

function quote(text: string): string {
  return text.replace(/[\r\n"]/g, (character) => encodeURIComponent(character))
}
