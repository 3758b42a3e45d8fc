import type { IncomingMessage } from 'node:http'
import { finished, type Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'

/** Why a multipart body is rejected. The first is about its header; three are about the limits of its parts. */
export type MultipartProblem =
  | 'boundary'
  | 'malformed'
  | 'incomplete'
  | 'nameless'
  | 'files'
  | 'fields'
  | 'parts'

export interface FilePart {
  readonly name: string
  /** Undefined when the part does not have it. */
  readonly fileName: string | undefined
  readonly contentType: string
  readonly stream: Readable
  /** Whether the file is longer than its limit, once the stream has ended. */
  isTruncated(): boolean
}

export interface PartReader {
  readonly limits: {
    readonly fields: number
    readonly files: number
    readonly parts: number
    /** In bytes. */
    readonly fieldSize: number
    readonly fileSize?: number
    readonly headerPairs?: number
  }
  /** Called with each field. What it throws rejects the body. */
  onField(name: string, value: string, isTruncated: boolean): void
  /** Called with each chunk of the body after its parts. What it throws rejects the body. */
  onData(chunk: Buffer): void
  /** Reads the stream of a file to its end. */
  onFile(part: FilePart): Promise<void>
  /** The error for a problem. */
  toError(problem: MultipartProblem): Error
}

/**
 * Reads the parts of a body of multipart/form-data as they arrive. Resolves when the body is complete and each file is
 * read; on failure all files have stopped, and the rest of the body is unread.
 *
 * @param signal rejects the body with its reason
 * @throws the first error of the reader
 */
export async function readParts(
  request: IncomingMessage,
  reader: PartReader,
  signal?: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const streams: Readable[] = []
  const files: Promise<void>[] = []
  const rejectFor = (problem: MultipartProblem) => reject(reader.toError(problem))
  const parser = createParser(request, reader)
  // The types of the package do not say that a part may have no name.
  parser.on('field', (name: string | undefined, value, _isNameTruncated, isTruncated) => {
    if (name === undefined) return rejectFor('nameless')
    try {
      reader.onField(name, value, isTruncated)
    } catch (error) {
      reject(error)
    }
  })
  parser.on('file', (name: string | undefined, stream, fileName, _encoding, contentType) => {
    // Without a listener, a stream that breaks would end the process.
    stream.on('error', () => undefined)
    if (name === undefined) {
      stream.resume()
      return rejectFor('nameless')
    }
    streams.push(stream)
    const isTruncated = () => (stream as Readable & { truncated?: boolean }).truncated === true
    const file = reader.onFile({ name, fileName, contentType, stream, isTruncated })
    file.catch(reject)
    files.push(file)
  })
  parser.on('filesLimit', () => rejectFor('files'))
  parser.on('fieldsLimit', () => rejectFor('fields'))
  parser.on('partsLimit', () => rejectFor('parts'))
  parser.on('error', () => rejectFor('malformed'))
  parser.on('finish', () => Promise.all(files).then(() => resolve(), reject))
  // The request may have closed before this call.
  finished(request, { writable: false }, (error) => {
    if (error) rejectFor('incomplete')
  })
  const abort = () => reject(signal?.reason)
  const onData = (chunk: Buffer) => {
    try {
      reader.onData(chunk)
    } catch (error) {
      reject(error)
    }
  }
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort)
  request.pipe(parser)
  request.on('data', onData)
  try {
    await promise
  } catch (error) {
    request.unpipe(parser)
    for (const stream of streams) stream.destroy()
    await Promise.allSettled(files)
    throw error
  } finally {
    request.off('data', onData)
    signal?.removeEventListener('abort', abort)
  }
}

function createParser({ headers }: IncomingMessage, { limits, toError }: PartReader) {
  try {
    return new Busboy({ headers: { ...headers, 'content-type': headers['content-type'] ?? '' }, limits })
  } catch {
    throw toError('boundary')
  }
}
