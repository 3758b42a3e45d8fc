import type { IncomingMessage } from 'node:http'
import { finished, type Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import { FileTooLongError, type ReceivedFile } from './files.ts'
import { HttpError, invalid } from './http-error.ts'

/** A file part of a multipart body, on the disk but not kept yet. */
export class UploadedFile {
  readonly file: ReceivedFile
  readonly fileName: string
  readonly contentType: string

  constructor(file: ReceivedFile, fileName: string, contentType: string) {
    this.file = file
    this.fileName = fileName
    this.contentType = contentType
  }
}

/** Texts that may be empty: in a change, that removes what was there. */
const clearable = new Set([
  'body',
  'configuration_url',
  'description',
  'error_message',
  'external_url',
  'password',
])
/** Texts that people write: in these, "null" is a word. */
const prose = new Set([
  ...['body', 'content', 'description', 'error_message', 'label', 'list', 'name', 'nick', 'password'],
  ...['search', 'state', 'subject', 'title', 'username', 'value'],
])

/**
 * The parameters of a request, wherever they stood: path, query string, form or JSON body, GET included.
 *
 * A parameter that is null, blank or the text "null" is not given: clients send those for what they have no value for.
 */
export class Params {
  readonly #values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined
  }

  /** The parameter as it was sent; undefined when it is not given. */
  raw(name: string): unknown {
    const value = this.#values[name] ?? undefined
    if (typeof value !== 'string') return value
    const text = value.trim()
    const isAbsent = (text === '' && !clearable.has(name)) || (text === 'null' && !prose.has(name))
    return isAbsent ? undefined : value
  }

  /** Everything that was sent, without files. */
  all(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(
      Object.entries(this.#values).filter(([, value]) => !(value instanceof UploadedFile)),
    )
  }

  /** @throws 400 when it is neither text nor a number */
  string(name: string): string | undefined {
    const value = this.raw(name)
    if (value === undefined || typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
    throw invalid({ [name]: ['must be a string'] })
  }

  /** @throws 400 when it is not a whole number */
  integer(name: string): number | undefined {
    const value = this.string(name)
    if (value === undefined) return undefined
    if (!/^-?\d{1,15}$/.test(value)) throw invalid({ [name]: ['must be a whole number'] })
    return Number(value)
  }

  /** `1`, `true`, `True` are true; `0` and `false` are false. @throws 400 for anything else */
  boolean(name: string): boolean | undefined {
    const value = this.string(name)?.toLowerCase()
    if (value === undefined) return undefined
    if (value === '1' || value === 'true') return true
    if (value === '0' || value === 'false') return false
    throw invalid({ [name]: ['must be true or false'] })
  }

  /** An array, or an object whose keys are numbers, which `tags[0]=a` in a form makes; anything else as it was sent. */
  items(name: string): unknown {
    const value = this.raw(name)
    if (!isRecord(value)) return value
    const entries = Object.entries(value)
    if (entries.length === 0 || !entries.every(([key]) => /^\d{1,9}$/.test(key))) return value
    return entries.toSorted(([a], [b]) => Number(a) - Number(b)).map(([, item]) => item)
  }

  /** An array, or text with commas, as an array without blanks. @throws 400 for anything else */
  list(name: string): string[] | undefined {
    const value = this.items(name)
    if (value === undefined) return undefined
    const items: unknown[] = Array.isArray(value)
      ? value
      : typeof value === 'string'
        ? value.split(',')
        : [value]
    return items
      .map((item) => {
        if (item === null) return ''
        if (typeof item === 'string') return item.trim()
        if (typeof item === 'number') return String(item)
        throw invalid({ [name]: ['must be a list of strings'] })
      })
      .filter((item) => item !== '')
  }

  /** A file of a multipart body. */
  file(name: string): UploadedFile | undefined {
    const value = this.raw(name)
    return value instanceof UploadedFile ? value : undefined
  }

  /** Files of a multipart body under one name, each with its own: that of `name[own]`, blank for `name[]`. */
  files(name: string): [own: string, file: UploadedFile][] {
    const value = this.raw(name)
    const entries: [string, unknown][] = Array.isArray(value)
      ? value.map((file) => ['', file])
      : isRecord(value)
        ? Object.entries(value)
        : []
    return entries.flatMap(([own, file]) => (file instanceof UploadedFile ? [[own, file]] : []))
  }

  /** A nested object. @throws 400 for anything else */
  object(name: string): Params | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (!isRecord(value)) throw invalid({ [name]: ['must be an object'] })
    return new Params(value)
  }

  /** A list of objects. @throws 400 for anything else */
  objects(name: string): Params[] | undefined {
    const value = this.items(name)
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every(isRecord))
      throw invalid({ [name]: ['must be a list of objects'] })
    return value.map((item) => new Params(item))
  }
}

/**
 * Reads the parameters of a request: those of the body go before those of the query string.
 *
 * @param receive takes the files of a multipart body, as they come
 * @throws 413 when the body is longer than `maxBytes`, 400 when it cannot be read
 */
export async function readParams(
  request: IncomingMessage,
  url: URL,
  maxBytes: number,
  receive: (bytes: Readable) => Promise<ReceivedFile>,
): Promise<Params> {
  const values: Record<string, unknown> = Object.create(null)
  for (const [key, value] of url.searchParams) assignForm(values, key, value)
  if (request.headers['content-type']?.startsWith('multipart/form-data'))
    return new Params(Object.assign(values, await readMultipart(request, maxBytes, receive)))
  const body = await readBody(request, maxBytes)
  if (body.trim() === '') return new Params(values)
  const type = request.headers['content-type'] ?? ''
  if (type.startsWith('application/x-www-form-urlencoded') && !body.startsWith('{')) {
    const form: Record<string, unknown> = Object.create(null)
    for (const [key, value] of new URLSearchParams(body)) assignForm(form, key, value)
    return new Params(Object.assign(values, form))
  }
  return new Params(Object.assign(values, parseJsonObject(body)))
}

/** Most parts of each sort that a multipart body may have. */
const maxFields = 100
const maxFiles = 5

async function readMultipart(
  request: IncomingMessage,
  maxBytes: number,
  receive: (bytes: Readable) => Promise<ReceivedFile>,
): Promise<Record<string, unknown>> {
  const values: Record<string, unknown> = Object.create(null)
  const { promise: parsed, resolve, reject } = Promise.withResolvers<void>()
  const broken = new HttpError(400, { message: 'Body is not valid multipart/form-data' })
  const streams = new Set<Readable>()
  /** In the order they stand in, whichever is on the disk first. */
  const files: Promise<[name: string, file: UploadedFile]>[] = []
  let parser: InstanceType<typeof Busboy>
  try {
    parser = new Busboy({
      headers: { ...request.headers, 'content-type': request.headers['content-type'] ?? '' },
      limits: { fields: maxFields, files: maxFiles, fieldSize: maxBytes, parts: maxFields + maxFiles },
    })
  } catch {
    throw broken
  }
  // Types of the package do not say that a part may have no name.
  parser.on('field', (name: string | undefined, value) => {
    if (name === undefined) reject(broken)
    else assignForm(values, name, value)
  })
  parser.on('file', (name: string | undefined, stream, fileName, _encoding, contentType) => {
    // One that is destroyed below has no reader any more to hear of it.
    stream.on('error', () => undefined)
    if (name === undefined) {
      stream.resume()
      return reject(broken)
    }
    streams.add(stream)
    // Browsers write a quote in a file's name as %22.
    const plainName = (fileName ?? 'file').replaceAll('%22', '"')
    const received = receive(stream).then((file): [string, UploadedFile] => [
      name,
      new UploadedFile(file, plainName, contentType),
    ])
    files.push(received)
    received.catch((error: unknown) =>
      reject(error instanceof FileTooLongError ? new HttpError(413, { message: error.message }) : error),
    )
  })
  parser.on('filesLimit', () =>
    reject(new HttpError(413, { message: `More than ${maxFiles} files at once` })),
  )
  parser.on('finish', () => resolve())
  parser.on('error', () => reject(broken))
  // It may have closed already, while it was found out whose it is.
  finished(request, { writable: false }, (error) => {
    if (error) reject(broken)
  })
  request.pipe(parser)
  try {
    await parsed
    for (const [name, file] of await Promise.all(files)) assignForm(values, name, file)
    return values
  } catch (error) {
    request.unpipe()
    for (const stream of streams) stream.destroy(broken)
    await Promise.allSettled(files)
    throw error
  }
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new HttpError(413, { message: `Body is longer than ${maxBytes} bytes` })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJsonObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new HttpError(400, { message: 'Body is not valid JSON' })
  }
  if (!isRecord(value)) throw new HttpError(400, { message: 'Body must be a JSON object' })
  return value
}

/** Rails-style names: `author[name]`, `tags[]`, `thread[fields][][label]`. */
function assignForm(target: Record<string, unknown>, name: string, value: unknown): void {
  const path = [...name.matchAll(/^[^[]+|\[([^\]]*)\]/g)].map((match) => match[1] ?? match[0]).slice(0, 8)
  let node: Record<string, unknown> | unknown[] = target
  for (const [index, key] of path.entries()) {
    const last = index === path.length - 1
    const next: unknown = last ? value : path[index + 1] === '' ? [] : Object.create(null)
    if (Array.isArray(node)) {
      const tail: unknown = node.at(-1)
      // A key seen again begins the next object of the list.
      const repeated = isRecord(tail) && (path[index + 1] ?? '') in tail
      if (last || !isRecord(tail) || repeated) node.push(next)
      if (last) return
      node = node.at(-1) as Record<string, unknown>
    } else {
      if (last) node[key] = value
      else node[key] ??= next
      const child: unknown = node[key]
      if (typeof child !== 'object' || child === null) return
      node = child as Record<string, unknown> | unknown[]
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
