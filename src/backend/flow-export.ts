import type { Readable } from 'node:stream'
import { JSONParser } from '@streamparser/json'
import { type Entry, openPromise, type ZipFile } from 'yauzl'

/** What the service gave whoever asked for a copy of a flow: a zip with `messages.json` and the files. */
export interface FlowExport {
  /** How many bytes `messages.json` has. */
  readonly byteSize: number
  /** Messages in the order they stand in, some at a time. @throws ExportError when the file is no list of objects */
  messages(): AsyncGenerator<{
    readonly messages: readonly Record<string, unknown>[]
    readonly readBytes: number
  }>
  /** The bytes of the file that a message's `path` names; undefined when it is not in the zip. */
  file(path: string): Promise<Readable | undefined>
  /** `users.json` beside the messages, if there is one. */
  users(): Promise<unknown>
  close(): void
}

/** Why a file is no export of a flow, in words. */
export class ExportError extends Error {
  override readonly name = 'ExportError'
}

/** A list of people is small; more is no list of people. */
const maxUsersBytes = 64 * 1024 * 1024

/** @throws ExportError */
export async function openFlowExport(path: string): Promise<FlowExport> {
  const zip = await open(path)
  const entries: Entry[] = []
  for await (const entry of zip.eachEntry()) entries.push(entry)
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
      yield* parseList(await zip.openReadStreamPromise(messages))
    },
    async file(filePath) {
      const entry = findFile(filePath)
      return entry && zip.openReadStreamPromise(entry)
    },
    async users() {
      if (users === undefined) return undefined
      if (users.uncompressedSize > maxUsersBytes) throw new ExportError('users.json is too long')
      const chunks: Buffer[] = []
      for await (const chunk of await zip.openReadStreamPromise(users)) chunks.push(chunk as Buffer)
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

/**
 * Exports differ in the folders files are in: one is found by its whole path, else by its token and name, else by
 * its name if only one file has it.
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

/** The objects of a JSON list, as they come. */
async function* parseList(stream: Readable) {
  let messages: Record<string, unknown>[] = []
  let readBytes = 0
  const parser = new JSONParser({ paths: ['$.*'], keepStack: false })
  parser.onValue = ({ value, key }) => {
    if (typeof key !== 'number' || typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ExportError('messages.json is no list of messages')
    messages.push(value as Record<string, unknown>)
  }
  let failure: Error | undefined
  parser.onError = (error) => {
    failure ??=
      error instanceof ExportError ? error : new ExportError(`messages.json is damaged: ${error.message}`)
  }
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    readBytes += chunk.length
    parser.write(chunk)
    if (failure !== undefined) throw failure
    if (messages.length === 0) continue
    yield { messages, readBytes }
    messages = []
  }
  if (!parser.isEnded) throw new ExportError('messages.json ends in the middle')
}
