import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { finished } from 'node:stream'
import { hasTooManyValues, isRecord, maxRestValues } from '../../json-values.ts'
import { type PartReader, readParts } from '../../net/multipart.ts'
import { FileTooLongError, type ReceivedFile } from '../files.ts'
import { HttpError } from './errors.ts'
import { assignForm, readForm } from './form.ts'
import { Params, UploadedFile } from './params.ts'
import type { QueryString } from './query-string.ts'

/** Bounds a body while it arrives. */
export interface Reception {
  /** The most bytes of a body without its files, before a valid credential is known. */
  readonly maxBytes: () => number
  /** The same with a valid credential. */
  readonly largestBytes: number
  readonly isStranger: () => boolean
  /** Counts bytes that are held in memory. @throws HttpError when there are too many */
  readonly take: (bytes: number) => void
  /** Looks for a credential in the bytes so far. With one, more bytes are accepted. */
  readonly identify: (flowToken: string | undefined) => Promise<void>
  /** Writes a file to the disk. @throws HttpError 401 before a valid credential is known */
  readonly receive: (bytes: AsyncIterable<Uint8Array>) => Promise<ReceivedFile>
  /** How long a body may pause. */
  readonly idleMs: number
  /** How long the whole body may take; undefined for the limit of the server. */
  readonly wholeMs: () => number | undefined
}

/** The body of a request. It can be read once. */
export interface RequestBody {
  /** The whole body. @throws HttpError 413 when it is too long, 400 when it is not complete, 408 when it takes too long */
  readText(reception: Reception): Promise<string>
  /** The fields and files of a `multipart/form-data` body. @throws HttpError, as above */
  readParts(reception: Reception): Promise<Readonly<Record<string, unknown>>>
}

/** The body of a request of node:http; undefined when it has none. */
export function nodeBody(request: IncomingMessage): RequestBody | undefined {
  const { headers } = request
  const isEmpty = headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0'
  if (isEmpty && !isMultipart(headers)) return undefined
  return {
    readText: (reception) => readBody(request, reception),
    readParts: (reception) => readMultipart(request, reception),
  }
}

/** The body of a request that came as text. It is bounded as one that arrives. */
export function textBody(text: string): RequestBody {
  return {
    async readText(reception) {
      const size = Buffer.byteLength(text)
      reception.take(size)
      if (size <= reception.maxBytes()) return text
      await reception.identify(flowTokenIn(text.slice(0, reception.maxBytes())))
      if (size > reception.maxBytes()) throw tooLong(reception)
      return text
    },
    readParts: () => Promise.reject(new HttpError(400, { message: 'Body is not valid multipart/form-data' })),
  }
}

/**
 * Reads the parameters of a request. Those of the body override those of the query string.
 *
 * @param reception needed where there is a body
 * @param listAs the parameter that a JSON array stands for; without one, only a JSON object is accepted
 * @throws 413 when the body is too long, 400 when it cannot be read, 408 when it takes too long
 */
export async function readParams(
  { headers, body }: { readonly headers: IncomingHttpHeaders; readonly body: RequestBody | undefined },
  { search, query }: QueryString,
  reception: Reception | undefined,
  listAs?: string,
): Promise<Params> {
  const values = readForm(search, query)
  if (body === undefined || reception === undefined) return new Params(values)
  if (isMultipart(headers)) return new Params(Object.assign(values, await body.readParts(reception)))
  const text = await body.readText(reception)
  if (text.trim() === '') return new Params(values)
  const type = headers['content-type'] ?? ''
  if (type.startsWith('application/x-www-form-urlencoded') && !text.startsWith('{'))
    return new Params(Object.assign(values, readForm(text)))
  return new Params(Object.assign(values, parseJsonBody(text, listAs)))
}

function isMultipart({ 'content-type': type }: IncomingHttpHeaders): boolean {
  return type?.startsWith('multipart/form-data') === true
}

/** The most fields, and the most files, of a multipart body. */
const maxFields = 100
const maxFiles = 5
/** The head of a file, and the boundaries around parts. */
const partOverhead = 256

async function readMultipart(
  request: IncomingMessage,
  reception: Reception,
): Promise<Record<string, unknown>> {
  const values: Record<string, unknown> = Object.create(null)
  /** In the order of their parts in the body. */
  const files: { readonly name: string; file?: UploadedFile }[] = []
  const rejected = new AbortController()
  const reject = (error: unknown) => rejected.abort(error)
  const wait = limitWaiting(reception, reject)
  let fieldBytes = 0
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
  const reader: PartReader = {
    limits: {
      fields: maxFields,
      files: maxFiles,
      fieldSize: reception.largestBytes,
      parts: maxFields + maxFiles,
    },
    onField(name, value, isTruncated) {
      fieldBytes += Buffer.byteLength(name) + Buffer.byteLength(value) + partOverhead
      if (isTruncated || fieldBytes > reception.maxBytes()) throw tooLong(reception)
      assignForm(values, name, value)
    },
    async onFile({ name, stream, fileName = 'file', contentType }) {
      const entry: (typeof files)[number] = { name }
      files.push(entry)
      try {
        await reception.identify(flowToken(values))
        const file = await reception.receive(passing(stream))
        // Browsers write a quote in a file's name as %22.
        entry.file = new UploadedFile(file, fileName.replaceAll('%22', '"'), contentType)
      } catch (error) {
        throw error instanceof FileTooLongError ? new HttpError(413, { message: error.message }) : error
      }
    },
    onData(chunk) {
      wait.arrived()
      arrived += chunk.length
      // An incomplete field counts, too: it may have 15 MiB and take ten minutes.
      if (arrived - passed > counted) reception.take(arrived - passed - counted)
      counted = Math.max(counted, arrived - passed)
      if (!reception.isStranger() || arrived <= reception.maxBytes()) return
      checked = reception.identify(flowToken(values)).then(() => {
        if (reception.isStranger()) throw tooLong(reception)
      })
      checked.catch(reject)
    },
    toError(problem) {
      const most = { files: maxFiles, fields: maxFields, parts: maxFields + maxFiles }
      if (problem === 'files' || problem === 'fields' || problem === 'parts')
        return new HttpError(413, { message: `More than ${most[problem]} ${problem} at once` })
      return new HttpError(400, { message: 'Body is not valid multipart/form-data' })
    },
  }
  try {
    await readParts(request, reader, rejected.signal)
    await checked
    for (const { name, file } of files) assignForm(values, name, file)
    return values
  } finally {
    wait.stop()
  }
}

function flowToken({ flow_token: token }: Record<string, unknown>): string | undefined {
  return typeof token === 'string' ? token : undefined
}

async function readBody(request: IncomingMessage, reception: Reception): Promise<string> {
  const { promise: read, resolve, reject } = Promise.withResolvers<void>()
  const chunks: Buffer[] = []
  let size = 0
  /** Whether a body may be longer than that of a stranger. The whole body may have arrived before that is known. */
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
  // The credential may have been found meanwhile.
  const whole = longest === undefined ? undefined : setTimeout(() => wholeMs() && late(), longest)
  return {
    arrived: () => idle.refresh(),
    stop() {
      clearTimeout(idle)
      clearTimeout(whole)
    },
  }
}

function parseJsonBody(text: string, listAs: string | undefined): Record<string, unknown> {
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
  if (listAs !== undefined && Array.isArray(value)) return { [listAs]: value }
  if (!isRecord(value)) throw new HttpError(400, { message: 'Body must be a JSON object' })
  return value
}
