import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** The contents of uploaded files, each under its token. */
export interface FileStore {
  /** Keeps the bytes and resolves with their token once they are on the disk. */
  put(bytes: Uint8Array): Promise<string>
  /** @throws `ENOENT` when reading begins and there is no such file */
  read(token: string): Readable
  /** A query string that lets whoever has it download the file for a minute. */
  sign(token: string): string
  /** Whether a query made by `sign` is genuine and not too old. */
  verify(token: string, query: URLSearchParams): boolean
}

/** How long a signed address works. [flowdock] files.md calls it short-lived. */
const signatureLifetimeMs = 60_000

/** Keeps files under `directory`, spread over 256 folders. */
export async function openFileStore(directory: string): Promise<FileStore> {
  await mkdir(directory, { recursive: true })
  const key = await loadKey(join(directory, 'signing-key'))
  const pathOf = (token: string) => join(directory, token.slice(0, 2), token)
  const signature = (token: string, expires: string) =>
    createHmac('sha256', key).update(`${token} ${expires}`).digest()

  return {
    async put(bytes) {
      const token = randomBytes(16).toString('hex')
      const folder = join(directory, token.slice(0, 2))
      await mkdir(folder, { recursive: true })
      const file = await open(pathOf(token), 'wx')
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await syncFolder(folder)
      await syncFolder(directory)
      return token
    },
    read: (token) => createReadStream(pathOf(token)),
    sign(token) {
      const expires = String(Date.now() + signatureLifetimeMs)
      return new URLSearchParams({
        expires,
        signature: signature(token, expires).toString('base64url'),
      }).toString()
    },
    verify(token, query) {
      const expires = query.get('expires') ?? ''
      const given = Buffer.from(query.get('signature') ?? '', 'base64url')
      const expected = signature(token, expires)
      return (
        given.length === expected.length && timingSafeEqual(given, expected) && Number(expires) > Date.now()
      )
    },
  }
}

async function loadKey(path: string): Promise<Buffer> {
  try {
    await writeFile(path, randomBytes(32), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFile(path)
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
