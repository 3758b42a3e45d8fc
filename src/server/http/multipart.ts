import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { GatewayError } from '../../errors.ts'
import { describeInvalidJson, hasTooManyValues, maxJsonValues } from '../../json-values.ts'
import { discardBody } from '../../net/discard-body.ts'
import { type MultipartProblem, readParts } from '../../net/multipart.ts'
import type { Holding, OptionalHolding } from '../../traffic/body-memory.ts'
import { parseRequestJson } from '../exact-variables.ts'

/** A file of an operation. */
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
  /** Removes the files. */
  close(): Promise<void>
}

export const maxFileBytes = 50 * 1024 * 1024
export const maxFiles = 5
const maxFieldBytes = 1024 * 1024
const bytesPerRead = 64 * 1024
/** A longer file is on the disk. Most pictures are shorter. */
const maxMemoryBytes = 2 * 1024 * 1024
/** Short chunks are copied into blocks of this size: a file that arrives byte by byte would take a hundred times its length. */
const blockBytes = 64 * 1024

/** What counts the bytes of an operation with files. */
export interface MultipartHoldings {
  /** Of its fields. */
  readonly memory: Holding
  /** Of its files, which may be on the disk. */
  readonly disk: Holding
  /** Of its files that are in memory. */
  readonly files: OptionalHolding
}

/**
 * Reads a GraphQL multipart request: `operations`, `map`, then the files. Short files are in memory while there is room for them. The
 * others are on the disk without a name, so that the system removes them in any case. [spec] GraphQL multipart request
 *
 * @throws GatewayError `BAD_USER_INPUT` for a malformed request, `LIMIT_EXCEEDED` for one that exceeds a limit
 */
export async function readMultipart(
  request: IncomingMessage,
  { memory, disk, files: filesInMemory }: MultipartHoldings,
): Promise<MultipartOperation> {
  const spool: Spool = { handles: [], holding: disk, memory: filesInMemory }
  const close = async () => {
    memory.release()
    filesInMemory.release()
    await Promise.all(spool.handles.splice(0).map((handle) => handle.close()))
    disk.release()
  }
  try {
    const { fields, files } = await readAllParts(request, spool, memory)
    return { body: assemble(fields, files), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The files on the disk, and what counts the bytes of all files, and of those in memory. */
interface Spool {
  readonly handles: FileHandle[]
  readonly holding: Holding
  readonly memory: OptionalHolding
}

interface Parts {
  readonly fields: Map<string, string>
  readonly files: Map<string, IncomingFile>
}

async function readAllParts(request: IncomingMessage, spool: Spool, memory: Holding): Promise<Parts> {
  const fields = new Map<string, string>()
  const files = new Map<string, IncomingFile>()
  const names = new Set<string>()
  let areFields = true
  try {
    await readParts(request, {
      limits: {
        fields: 2,
        files: maxFiles,
        parts: maxFiles + 3,
        headerPairs: 20,
        fieldSize: maxFieldBytes,
        fileSize: maxFileBytes,
      },
      onField(name, value, isTruncated) {
        if (isTruncated)
          throw tooMuch(`The field "${name.slice(0, 80)}" is longer than ${maxFieldBytes} bytes`)
        if (fields.has(name)) throw bad(`The field "${name.slice(0, 80)}" is there twice`)
        fields.set(name, value)
      },
      async onFile({ name, stream, fileName = '', contentType, isTruncated }) {
        if (names.has(name)) throw bad(`The file "${name.slice(0, 80)}" is there twice`)
        names.add(name)
        const bytes = await store(stream, spool)
        if (isTruncated()) throw tooMuch(`A file is longer than ${maxFileBytes} bytes`)
        files.set(name, { name: fileName, contentType, ...bytes })
      },
      // Fields come before the files, and stay in memory. [spec] GraphQL multipart request
      onData(chunk) {
        if (areFields) memory.take(chunk.length)
        areFields = names.size === 0
      },
      toError: (problem) => (problem === 'files' ? tooMuch(problems.files) : bad(problems[problem])),
    })
  } catch (error) {
    await discardBody(request)
    throw error
  }
  return { fields, files }
}

const problems: Readonly<Record<MultipartProblem, string>> = {
  boundary: 'Expected Content-Type to be multipart/form-data with a boundary',
  malformed: 'The multipart body is malformed',
  incomplete: 'The multipart body ended early',
  nameless: 'Expected every part to have a name',
  files: `There are more than ${maxFiles} files`,
  fields: 'Expected the fields to be operations and map',
  parts: 'Expected the fields to be operations and map',
}

async function store(stream: Readable, spool: Spool): Promise<Pick<IncomingFile, 'byteSize' | 'read'>> {
  const start = new FileInMemory(spool.memory)
  let handle: FileHandle | undefined
  let byteSize = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    spool.holding.take(chunk.length)
    if (handle === undefined && !start.append(chunk)) {
      handle = await openNameless(spool)
      await writeAll(handle, start.take())
    }
    await handle?.write(chunk, 0, chunk.length, byteSize)
    byteSize += chunk.length
  }
  return { byteSize, read: () => (handle === undefined ? start.read() : readBack(handle, byteSize)) }
}

/** A file on the disk without a name. */
async function openNameless({ handles }: Spool): Promise<FileHandle> {
  const path = join(tmpdir(), `flowdock-gateway-${randomBytes(12).toString('hex')}`)
  const handle = await open(path, 'wx+', 0o600)
  handles.push(handle)
  await rm(path)
  return handle
}

async function writeAll(handle: FileHandle, blocks: readonly Buffer[]): Promise<void> {
  let position = 0
  for (const block of blocks) {
    await handle.write(block, 0, block.length, position)
    position += block.length
  }
}

/** Bytes in memory, of which `length` are those of a file. */
interface Block {
  readonly bytes: Buffer
  length: number
}

/** The beginning of a file, or all of it. Blocks are never used again, because what reads them may do so later. */
class FileInMemory {
  readonly #memory: OptionalHolding
  #blocks: Block[] = []
  #byteSize = 0
  /** How many more bytes fit into the last block. */
  #room = 0

  constructor(memory: OptionalHolding) {
    this.#memory = memory
  }

  /** @returns false, without having stored anything, when it would be too long or there is no room */
  append(chunk: Buffer): boolean {
    if (this.#byteSize + chunk.length > maxMemoryBytes) return false
    const isStored = isMostOfItsMemory(chunk) ? this.#keep(chunk) : this.#copy(chunk)
    if (isStored) this.#byteSize += chunk.length
    return isStored
  }

  /** The bytes, which it does not keep. Their memory counts until the operation ends. */
  take(): Buffer[] {
    const parts = this.#parts()
    this.#blocks = []
    return parts
  }

  async *read(): AsyncGenerator<Uint8Array> {
    yield* this.#parts()
  }

  #keep(chunk: Buffer): boolean {
    if (!this.#memory.takeIfFree(chunk.buffer.byteLength)) return false
    this.#blocks.push({ bytes: chunk, length: chunk.length })
    this.#room = 0
    return true
  }

  #copy(chunk: Buffer): boolean {
    const added = Math.max(Math.ceil((chunk.length - this.#room) / blockBytes), 0)
    if (!this.#memory.takeIfFree(added * blockBytes)) return false
    for (let from = 0; from < chunk.length; ) {
      if (this.#room === 0) {
        this.#blocks.push({ bytes: Buffer.allocUnsafeSlow(blockBytes), length: 0 })
        this.#room = blockBytes
      }
      const block = this.#blocks.at(-1) as Block
      const copied = chunk.copy(block.bytes, block.length, from)
      block.length += copied
      this.#room -= copied
      from += copied
    }
    return true
  }

  #parts(): Buffer[] {
    return this.#blocks.map(({ bytes, length }) => bytes.subarray(0, length))
  }
}

function isMostOfItsMemory({ length, buffer }: Buffer): boolean {
  return length * 2 >= buffer.byteLength
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

/** Replaces the variables that `map` names, which are null, by the files. */
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
  const expected = `Expected the field "${name}" to be a JSON object`
  if (text === undefined) throw bad(expected)
  if (hasTooManyValues(text))
    throw tooMuch(`Expected the field "${name}" to have at most ${maxJsonValues} values`)
  let value: unknown
  try {
    value = parseRequestJson(text, ['variables'])
  } catch (error) {
    throw bad(`${expected}: ${describeInvalidJson(text, error)}`)
  }
  if (Array.isArray(value) && name === 'operations')
    throw bad('Batches are not supported: send each operation in a request of its own')
  if (!isContainer(value) || Array.isArray(value)) throw bad(expected)
  return value
}

function bad(message: string): GatewayError {
  return new GatewayError('BAD_USER_INPUT', message)
}

function tooMuch(message: string): GatewayError {
  return new GatewayError('LIMIT_EXCEEDED', message)
}
