import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import { GatewayError } from '../../errors.ts'
import { hasTooManyValues, maxJsonValues } from '../../json-values.ts'
import { discardBody } from '../../net/discard-body.ts'
import type { Holding } from '../../traffic/body-memory.ts'

/** A file that came with an operation. */
export interface IncomingFile {
  readonly name: string
  readonly contentType: string
  readonly byteSize: number
  /** Its bytes, from the beginning each time. */
  read(): AsyncIterable<Uint8Array>
}

/** An operation whose variables have files in them. */
export interface MultipartOperation {
  readonly body: Record<string, unknown>
  /** Forgets the files. */
  close(): Promise<void>
}

export const maxFileBytes = 50 * 1024 * 1024
export const maxFiles = 5
const maxFieldBytes = 1024 * 1024
const bytesPerRead = 64 * 1024

/**
 * Reads a GraphQL multipart request: `operations`, `map`, then the files. They are kept on the disk, under no name, so
 * that nothing is left of them whatever happens. [spec] GraphQL multipart request
 *
 * @throws GatewayError `BAD_USER_INPUT` when it is none, `LIMIT_EXCEEDED` when it is too much
 */
export async function readMultipart(
  request: IncomingMessage,
  { memory, disk }: { readonly memory: Holding; readonly disk: Holding },
): Promise<MultipartOperation> {
  const spool: Spool = { handles: [], holding: disk }
  const close = async () => {
    memory.release()
    await Promise.all(spool.handles.splice(0).map((handle) => handle.close()))
    disk.release()
  }
  try {
    const { fields, files } = await readParts(request, spool, memory)
    return { body: assemble(fields, files), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Where files are written to, and what counts their bytes. */
interface Spool {
  readonly handles: FileHandle[]
  readonly holding: Holding
}

interface Parts {
  readonly fields: Map<string, string>
  readonly files: Map<string, IncomingFile>
}

async function readParts(request: IncomingMessage, spool: Spool, memory: Holding): Promise<Parts> {
  const fields = new Map<string, string>()
  const files = new Map<string, IncomingFile>()
  const names = new Set<string>()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const streams: Readable[] = []
  const keeping: Promise<void>[] = []
  const parser = createParser(request)
  // Fields come before the files, and stay in memory. [spec] GraphQL multipart request
  const countField = (chunk: Buffer) => {
    try {
      memory.take(chunk.length)
    } catch (error) {
      request.off('data', countField)
      reject(error)
    }
  }
  parser.on('field', (name: string | undefined, value, _nameTruncated, truncated) => {
    if (name === undefined) reject(nameless())
    else if (truncated)
      reject(tooMuch(`The field "${name.slice(0, 80)}" is longer than ${maxFieldBytes} bytes`))
    else if (fields.has(name)) reject(bad(`The field "${name.slice(0, 80)}" is there twice`))
    else fields.set(name, value)
  })
  parser.on('file', (field: string | undefined, stream, name, _encoding, contentType) => {
    // Without a listener, a stream that breaks would end the process.
    stream.on('error', () => undefined)
    if (field === undefined) {
      stream.resume()
      return reject(nameless())
    }
    if (names.has(field)) reject(bad(`The file "${field.slice(0, 80)}" is there twice`))
    names.add(field)
    streams.push(stream)
    request.off('data', countField)
    const kept = keep(stream, spool).then((bytes) => {
      files.set(field, { name: name ?? '', contentType, ...bytes })
    })
    kept.catch(reject)
    keeping.push(kept)
  })
  parser.on('filesLimit', () => reject(tooMuch(`There are more than ${maxFiles} files`)))
  parser.on('fieldsLimit', () => reject(bad('Expected the fields to be operations and map')))
  parser.on('partsLimit', () => reject(bad('Expected the fields to be operations and map')))
  parser.on('error', () => reject(bad('The multipart body is broken')))
  parser.on('finish', () => Promise.all(keeping).then(() => resolve(), reject))
  request.on('aborted', () => reject(bad('The multipart body ended early')))
  request.on('error', reject)
  request.on('data', countField)
  request.pipe(parser)
  try {
    await promise
  } catch (error) {
    request.unpipe(parser)
    request.off('data', countField)
    for (const stream of streams) stream.destroy()
    await Promise.allSettled(keeping)
    await discardBody(request)
    throw error
  }
  return { fields, files }
}

function createParser(request: IncomingMessage) {
  try {
    return new Busboy({
      headers: { ...request.headers, 'content-type': request.headers['content-type'] ?? '' },
      limits: {
        fieldSize: maxFieldBytes,
        fields: 2,
        files: maxFiles,
        fileSize: maxFileBytes,
        parts: maxFiles + 3,
        headerPairs: 20,
      },
    })
  } catch {
    throw bad('Expected Content-Type to be multipart/form-data with a boundary')
  }
}

/** Writes a file to the disk, without a name. */
async function keep(
  stream: Readable,
  { handles, holding }: Spool,
): Promise<Pick<IncomingFile, 'byteSize' | 'read'>> {
  const path = join(tmpdir(), `flowdock-gateway-${randomBytes(12).toString('hex')}`)
  const handle = await open(path, 'wx+', 0o600)
  handles.push(handle)
  await rm(path)
  let byteSize = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    holding.take(chunk.length)
    await handle.write(chunk, 0, chunk.length, byteSize)
    byteSize += chunk.length
  }
  if ((stream as Readable & { truncated?: boolean }).truncated === true)
    throw tooMuch(`A file is longer than ${maxFileBytes} bytes`)
  return { byteSize, read: () => readBack(handle, byteSize) }
}

async function* readBack(handle: FileHandle, byteSize: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < byteSize; ) {
    const { bytesRead, buffer } = await handle.read(
      Buffer.allocUnsafe(Math.min(bytesPerRead, byteSize - position)),
      { position },
    )
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** Puts each file where `map` says: at a variable that is null. */
function assemble(fields: Map<string, string>, files: Map<string, IncomingFile>): Record<string, unknown> {
  const body = parseObject(fields.get('operations'), 'operations')
  const map = parseObject(fields.get('map'), 'map')
  for (const [field, paths] of Object.entries(map)) {
    const file = files.get(field)
    if (file === undefined) throw bad(`The map names a file "${field.slice(0, 80)}" that is not there`)
    if (!Array.isArray(paths) || paths.length === 0)
      throw bad('Expected each entry of map to be a list of paths, such as ["variables.input.file"]')
    for (const path of paths) place(body, String(path), file)
  }
  for (const field of files.keys())
    if (!Object.hasOwn(map, field)) throw bad(`The file "${field.slice(0, 80)}" is not in the map`)
  return body
}

function place(body: Record<string, unknown>, path: string, file: IncomingFile): void {
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  let target: unknown = keys[0] === 'variables' ? body : undefined
  for (const key of keys) target = isContainer(target) && Object.hasOwn(target, key) ? target[key] : undefined
  if (!isContainer(target) || !Object.hasOwn(target, last) || target[last] !== null)
    throw bad(`Expected the map's path "${path.slice(0, 80)}" to lead to a variable that is null`)
  target[last] = file
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function parseObject(text: string | undefined, name: string): Record<string, unknown> {
  if (hasTooManyValues(text ?? ''))
    throw tooMuch(`Expected the field "${name}" to have at most ${maxJsonValues} values`)
  let value: unknown
  try {
    value = JSON.parse(text ?? '')
  } catch {
    value = undefined
  }
  if (!isContainer(value) || Array.isArray(value))
    throw bad(`Expected the field "${name}" to be a JSON object`)
  return value
}

/** Types of the package do not say that a part may have no name. */
function nameless(): GatewayError {
  return bad('Expected every part to have a name')
}

function bad(message: string): GatewayError {
  return new GatewayError('BAD_USER_INPUT', message)
}

function tooMuch(message: string): GatewayError {
  return new GatewayError('LIMIT_EXCEEDED', message)
}
