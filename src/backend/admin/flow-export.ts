import { JSONParser } from '@streamparser/json'
import { type Entry, openPromise, type ZipFile } from 'yauzl'

/** An export of a flow by the service: a zip with `messages.json` and the files. */
export interface FlowExport {
  /** The size of `messages.json` in bytes. */
  readonly byteSize: number
  /** The messages in their order, in batches. @throws ExportError when the file is not a list of objects */
  messages(): AsyncGenerator<{
    readonly messages: readonly Record<string, unknown>[]
    readonly readBytes: number
  }>
  /** The bytes of the file with this path, or the reason why there are none. */
  file(path: string): Promise<AsyncIterable<Buffer> | 'missing' | 'too long'>
  /** The content of `users.json`, if there is one. */
  users(): Promise<unknown>
  close(): void
}

/** Why a file cannot be read as an export of a flow. */
export class ExportError extends Error {
  override readonly name = 'ExportError'
}

/** The largest sizes of an export. */
export interface ExportBounds {
  /** All files together, uncompressed, in bytes. */
  readonly totalBytes: number
  /** One file, in bytes, as for uploads. A longer one is left out. */
  readonly fileBytes: number
  readonly entries: number
  readonly messages: number
}

export const exportBounds: ExportBounds = {
  totalBytes: 64 * 1024 ** 3,
  fileBytes: 256 * 1024 ** 2,
  entries: 500_000,
  messages: 10_000_000,
}

/** The longest `users.json`. */
const maxUsersBytes = 64 * 1024 * 1024
/** The longest message in `messages.json`. The parser holds it in memory. */
const maxMessageBytes = 16 * 1024 * 1024
/** The greatest compression ratio of a large file. Text has about 20; a larger ratio is the sign of a zip bomb. */
const maxRatio = 200
const maxSuspectBytes = 8 * 1024 * 1024

/** Opens an export. @throws ExportError, also for one that exceeds the bounds */
export async function openFlowExport(path: string, bounds: ExportBounds = exportBounds): Promise<FlowExport> {
  const zip = await open(path)
  const entries = await readEntries(zip, path, bounds).catch((error: unknown) => {
    zip.close()
    throw error
  })
  const messages = entries.find(({ fileName }) => /(^|\/)messages\.json$/.test(fileName))
  if (messages === undefined) {
    zip.close()
    throw new ExportError(`"${path}" has no messages.json`)
  }
  const users = entries.find(({ fileName }) => /(^|\/)users\.json$/.test(fileName))
  const findFile = fileFinder(entries)

  return {
    byteSize: messages.uncompressedSize,
    messages: async function* () {
      yield* parseList(await openEntry(zip, messages), bounds)
    },
    async file(filePath) {
      const entry = findFile(filePath)
      if (entry === undefined) return 'missing'
      return entry.uncompressedSize > bounds.fileBytes ? 'too long' : openEntry(zip, entry)
    },
    async users() {
      if (users === undefined) return undefined
      if (users.uncompressedSize > maxUsersBytes) throw new ExportError('users.json is too long')
      const chunks: Buffer[] = []
      for await (const chunk of await openEntry(zip, users)) chunks.push(chunk)
      try {
        return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
      } catch {
        throw new ExportError('users.json is not JSON')
      }
    },
    close: () => zip.close(),
  }
}

async function open(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { autoClose: false })
  } catch (error) {
    throw new ExportError(`"${path}" cannot be read as a zip file: ${(error as Error).message}`)
  }
}

/** Lists the files of a zip with their declared sizes, without unpacking them. */
async function readEntries(zip: ZipFile, path: string, bounds: ExportBounds): Promise<Entry[]> {
  const entries: Entry[] = []
  let total = 0
  if (zip.entryCount > bounds.entries)
    throw new ExportError(`"${path}" has ${zip.entryCount} files, at most ${bounds.entries} are imported`)
  try {
    for await (const entry of zip.eachEntry()) entries.push(entry)
  } catch (error) {
    throw new ExportError(`"${path}" is no export: ${(error as Error).message}`)
  }
  for (const { fileName, uncompressedSize, compressedSize } of entries) {
    total += uncompressedSize
    if (uncompressedSize > maxSuspectBytes && uncompressedSize > compressedSize * maxRatio)
      throw new ExportError(
        `"${path}" is no export: "${fileName}" unpacks ${compressedSize} bytes to ${uncompressedSize}, at most ${maxRatio} times as many are imported`,
      )
  }
  if (total > bounds.totalBytes)
    throw new ExportError(`"${path}" unpacks to ${total} bytes, at most ${bounds.totalBytes} are imported`)
  return entries
}

/** The bytes of a file of the zip. The zip reader fails when there are more than were declared. @throws ExportError */
async function* openEntry(zip: ZipFile, entry: Entry): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of await zip.openReadStreamPromise(entry)) yield chunk as Buffer
  } catch (error) {
    throw new ExportError(`"${entry.fileName}" of the export is damaged: ${(error as Error).message}`)
  }
}

/**
 * Exports have different folders for files. A file is found by its whole path, else by its token and name, else by its name if
 * only one file has it.
 */
function fileFinder(entries: readonly Entry[]): (path: string) => Entry | undefined {
  const files = entries.filter(({ fileName }) => !fileName.endsWith('/'))
  const byName = Map.groupBy(files, ({ fileName }) => lastOf(fileName))
  return (path) => {
    const wanted = decode(path).replace(/^\/+/, '')
    const named = byName.get(lastOf(wanted)) ?? []
    const token = wanted.split('/').at(-2) ?? ''
    return (
      named.find(({ fileName }) => fileName === wanted || fileName.endsWith(`/${wanted}`)) ??
      named.find(({ fileName }) => fileName.split('/').includes(token)) ??
      files.find(({ fileName }) => token !== '' && lastOf(fileName).startsWith(token)) ??
      (named.length === 1 ? named[0] : undefined)
    )
  }
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** The objects of a JSON list, while it is read. */
async function* parseList(stream: AsyncIterable<Buffer>, bounds: ExportBounds) {
  let messages: Record<string, unknown>[] = []
  let readBytes = 0
  let unfinishedBytes = 0
  let count = 0
  const parser = new JSONParser({ paths: ['$.*'], keepStack: false })
  parser.onValue = ({ value, key }) => {
    if (typeof key !== 'number' || typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ExportError('messages.json is no list of messages')
    messages.push(value as Record<string, unknown>)
    unfinishedBytes = 0
    count += 1
  }
  let failure: Error | undefined
  parser.onError = (error) => {
    failure ??=
      error instanceof ExportError ? error : new ExportError(`messages.json is damaged: ${error.message}`)
  }
  for await (const chunk of stream) {
    readBytes += chunk.length
    unfinishedBytes += chunk.length
    parser.write(chunk)
    if (failure !== undefined) throw failure
    if (unfinishedBytes > maxMessageBytes)
      throw new ExportError(`messages.json has a message of more than ${maxMessageBytes} bytes`)
    if (count > bounds.messages)
      throw new ExportError(`messages.json has more than ${bounds.messages} messages`)
    if (messages.length === 0) continue
    yield { messages, readBytes }
    messages = []
  }
  if (!parser.isEnded) throw new ExportError('messages.json ends in the middle')
}
