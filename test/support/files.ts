import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { basic, type TestBackend } from './backend.ts'

/** Files of all processes that arrived and were not kept, as paths below `files/incoming`. */
export async function arrivingFiles(dataDir: string): Promise<string[]> {
  const entries = await readdir(join(dataDir, 'files/incoming'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** A message with a file. */
export interface SentFile {
  readonly id: number
  readonly path: string
  readonly token: string
  readonly digest: string
}

/** Sends a message with a file as Ada. */
export async function sendFile(backend: TestBackend, bytes: Buffer): Promise<SentFile> {
  const content = {
    data: bytes.toString('base64'),
    file_name: 'a.bin',
    content_type: 'application/octet-stream',
  }
  const { status, json } = await backend.as('Ada')('POST', '/flows/example/main/messages', {
    event: 'file',
    content,
  })
  if (status !== 201) throw new Error(`The message was refused with ${status}`)
  const path: string = json.content.path
  return { id: json.id, path, token: /[0-9a-f]{32}/.exec(path)?.[0] ?? '', digest: digestOf(bytes) }
}

/** The digest of a file that Ada downloads, or the status of the response. */
export async function downloadFile(backend: TestBackend, { path }: SentFile): Promise<string | number> {
  const headers = { authorization: basic(await backend.token('Ada')) }
  const response = await fetch(backend.url + path, { headers })
  return response.status === 200 ? digestOf(Buffer.from(await response.arrayBuffer())) : response.status
}
