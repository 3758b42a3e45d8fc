import type { IncomingMessage } from 'node:http'
import { finished, type Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import { hasTooManyValues, isRecord, maxRestValues } from '../../json-values.ts'
import { FileTooLongError, type ReceivedFile } from '../files.ts'
import { HttpError } from './errors.ts'
import { assignForm, readForm } from './form.ts'
import { Params, UploadedFile } from './params.ts'

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
