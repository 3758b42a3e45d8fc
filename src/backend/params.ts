import type { IncomingMessage } from 'node:http'
import { finished, type Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import { hasTooManyValues, maxRestValues } from '../json-values.ts'
import { FileTooLongError, type ReceivedFile } from './files.ts'
import { assignForm, readForm } from './form.ts'
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
/** Texts that people write, and the bytes of a file in Base64: in these, "null" is no missing value. */
const prose = new Set([
  ...['body', 'content', 'data', 'description', 'error_message', 'file_name', 'label', 'list', 'name'],
  ...['nick', 'password', 'search', 'state', 'subject', 'title', 'username', 'value'],
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
    if (value === undefined) return undefined
    // UTF-8 cannot have half of a character, which JSON can.
    if (typeof value === 'string') return value.toWellFormed()
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
        if (typeof item === 'string') return item.trim().toWellFormed()
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

/** What takes a body in as it arrives. */
export interface Reception {
  /** Most bytes of a body, but for its files. Few before a valid credential is known. */
  readonly maxBytes: () => number
  /** The same once one is known. */
  readonly largestBytes: number
  readonly isStranger: () => boolean
  /** Counts bytes that are held in memory. @throws HttpError when that are too many at one time */
  readonly take: (bytes: number) => void
  /** Looks for a credential in what arrived so far, so that more is taken. */
  readonly identify: (flowToken: string | undefined) => Promise<void>
  /** Writes a file to the disk. @throws HttpError 401 before a valid credential is known */
  readonly receive: (bytes: AsyncIterable<Uint8Array>) => Promise<ReceivedFile>
  /** How long nothing may arrive. */
  readonly idleMs: number
  /** How long the body may take in all; undefined for as long as the server lets any request take. */
  readonly wholeMs: () => number | undefined
}

/**
 * Reads the parameters of a request: those of the body go before those of the query string.
 *
 * @throws 413 when the body is longer than may be, 400 when it cannot be read, 408 when it takes too long
 */
export async function readParams(request: IncomingMessage, url: URL, reception: Reception): Promise<Params> {
  const values = readForm(url.search.slice(1))
  if (request.headers['content-type']?.startsWith('multipart/form-data'))
    return new Params(Object.assign(values, await readMultipart(request, reception)))
  const body = await readBody(request, reception)
  if (body.trim() === '') return new Params(values)
  const type = request.headers['content-type'] ?? ''
  if (type.startsWith('application/x-www-form-urlencoded') && !body.startsWith('{'))
    return new Params(Object.assign(values, readForm(body)))
  return new Params(Object.assign(values, parseJsonObject(body)))
}

/** Most parts of each sort that a multipart body may have. */
const maxFields = 100
const maxFiles = 5
/** A file's head and the boundaries around parts. */
const partOverhead = 256

async function readMultipart(
  request: IncomingMessage,
  reception: Reception,
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
      limits: {
        fields: maxFields,
        files: maxFiles,
        fieldSize: reception.largestBytes,
        parts: maxFields + maxFiles,
      },
    })
  } catch {
    throw broken
  }
  let fieldBytes = 0
  // Types of the package do not say that a part may have no name.
  parser.on('field', (name: string | undefined, value, _, isCut) => {
    if (name === undefined) return reject(broken)
    fieldBytes += Buffer.byteLength(name) + Buffer.byteLength(value) + partOverhead
    try {
      if (isCut || fieldBytes > reception.maxBytes()) throw tooLong(reception)
      assignForm(values, name, value)
    } catch (error) {
      reject(error)
    }
  })
  parser.on('fieldsLimit', () =>
    reject(new HttpError(413, { message: `More than ${maxFields} fields at once` })),
  )
  parser.on('partsLimit', () =>
    reject(new HttpError(413, { message: `More than ${maxFields + maxFiles} parts at once` })),
  )
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
    const received = reception
      .identify(flowToken(values))
      .then(() => reception.receive(passing(stream)))
      .then((file): [string, UploadedFile] => [name, new UploadedFile(file, plainName, contentType)])
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
  const wait = limitWaiting(reception, reject)
  let arrived = 0
  /** Bytes of files, which do not stay in memory. */
  let passed = 0
  let counted = 0
  let checked: Promise<void> | undefined
  async function* passing(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      passed += chunk.length
      yield chunk
    }
  }
  const onData = (chunk: Buffer) => {
    wait.arrived()
    arrived += chunk.length
    try {
      // Also of a field that is not complete: it may have 15 MiB, and take ten minutes.
      if (arrived - passed > counted) reception.take(arrived - passed - counted)
      counted = Math.max(counted, arrived - passed)
    } catch (error) {
      return reject(error)
    }
    if (!reception.isStranger() || arrived <= reception.maxBytes()) return
    checked = reception.identify(flowToken(values)).then(() => {
      if (reception.isStranger()) throw tooLong(reception)
    })
    checked.catch(reject)
  }
  request.pipe(parser)
  request.on('data', onData)
  try {
    await parsed
    await checked
    for (const [name, file] of await Promise.all(files)) assignForm(values, name, file)
    return values
  } catch (error) {
    request.unpipe()
    for (const stream of streams) stream.destroy(broken)
    await Promise.allSettled(files)
    throw error
  } finally {
    wait.stop()
    request.off('data', onData)
  }
}

function flowToken({ flow_token: token }: Record<string, unknown>): string | undefined {
  return typeof token === 'string' ? token : undefined
}

async function readBody(request: IncomingMessage, reception: Reception): Promise<string> {
  const { headers } = request
  if (headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0') return ''
  const { promise: read, resolve, reject } = Promise.withResolvers<void>()
  const chunks: Buffer[] = []
  let size = 0
  /** Whether a body longer than a stranger's may be read. It may have arrived whole before that is known. */
  let checked: Promise<void> | undefined
  const wait = limitWaiting(reception, reject)
  const onData = (chunk: Buffer) => {
    wait.arrived()
    size += chunk.length
    try {
      reception.take(chunk.length)
    } catch (error) {
      return reject(error)
    }
    chunks.push(chunk)
    if (size <= reception.maxBytes()) return
    request.pause()
    checked = identify()
    checked.then(() => request.resume(), reject)
  }
  const identify = async () => {
    await reception.identify(flowTokenIn(Buffer.concat(chunks).toString('latin1', 0, reception.maxBytes())))
    if (size > reception.maxBytes()) throw tooLong(reception)
  }
  request.on('data', onData)
  finished(request, { writable: false }, (error) =>
    error ? reject(new HttpError(400, { message: 'Body is not complete' })) : resolve(),
  )
  try {
    await read
    await checked
  } finally {
    wait.stop()
    request.off('data', onData)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function tooLong(reception: Reception): HttpError {
  return new HttpError(413, { message: `Body is longer than ${reception.maxBytes()} bytes` })
}

/** The flow token at the beginning of a long body, as JSON or as a form. */
function flowTokenIn(start: string): string | undefined {
  return /(?:"flow_token"\s{0,9}:\s{0,9}"|\bflow_token=)([0-9a-f]{32})\b/.exec(start)?.[1]
}

/** Ends the reading of a body that stops arriving, or takes longer than it may. */
function limitWaiting(
  { idleMs, wholeMs }: Reception,
  reject: (reason: HttpError) => void,
): { readonly arrived: () => void; readonly stop: () => void } {
  const late = () => reject(new HttpError(408, { message: 'Body took too long to arrive' }))
  const idle = setTimeout(late, idleMs)
  const longest = wholeMs()
  // The sender may have become known by then.
  const whole = longest === undefined ? undefined : setTimeout(() => wholeMs() && late(), longest)
  return {
    arrived: () => idle.refresh(),
    stop() {
      clearTimeout(idle)
      clearTimeout(whole)
    },
  }
}

function parseJsonObject(text: string): Record<string, unknown> {
  // [spec] RFC 8259, 8.1: parsers may ignore a byte order mark.
  const json = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  if (hasTooManyValues(json, maxRestValues))
    throw new HttpError(400, { message: `Body has more than ${maxRestValues} values` })
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new HttpError(400, { message: 'Body is not valid JSON' })
  }
  if (!isRecord(value)) throw new HttpError(400, { message: 'Body must be a JSON object' })
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
