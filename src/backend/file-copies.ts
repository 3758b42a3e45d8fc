import { createHash, type Hash } from 'node:crypto'
import { join } from 'node:path'
import { openArrivingFiles } from './arriving-files.ts'
import { type FileStorage, FileStorageError, type StoredFile } from './file-storage.ts'

/** Copies files from one storage to another. */
export interface FileCopier {
  /**
   * Copies a file, reads the copy back, and compares length and SHA-256. A copy that is there already and equal is left as it is.
   *
   * @throws FileMissingError when the file, or its copy, was removed meanwhile; FileStorageError when the copy is not equal
   */
  copy(token: string, from: FileStorage, to: FileStorage): Promise<void>
  close(): Promise<void>
}

/** @param dataDir has the files on the way; a copy is moved from there into the folder of files below it */
export async function openFileCopier(dataDir: string): Promise<FileCopier> {
  const arriving = await openArrivingFiles(join(dataDir, 'files', 'incoming'))
  return {
    async copy(token, from, to) {
      const hash = createHash('sha256')
      const bytes = hashed(await from.open(token), hash)
      const { byteSize, token: received } = await arriving.receive(bytes, Number.POSITIVE_INFINITY)
      const digest = hash.digest('hex')
      try {
        if ((await to.sizeOf(token)) === byteSize && (await digestOf(to, token)) === digest) return
        await to.keep(token, arriving.pathOf(received))
      } finally {
        await arriving.discard(received)
      }
      if ((await digestOf(to, token)) === digest) return
      await to.remove(token)
      throw new FileStorageError(`The copy of the file ${token} differs from it, and was removed`)
    },
    close: () => arriving.close(),
  }
}

/** The most files that are copied at the same time. */
const concurrentCopies = 4

/** Runs `work` for each file of a storage, a few at a time. After a failure no more are begun. */
export async function forEachFile(
  storage: FileStorage,
  work: (file: StoredFile) => Promise<void>,
): Promise<void> {
  const files = storage.list()[Symbol.asyncIterator]()
  const failures: unknown[] = []
  const worker = async () => {
    while (failures.length === 0) {
      const { done, value } = await files.next()
      if (done === true) return
      await work(value)
    }
  }
  const workers = Array.from({ length: concurrentCopies }, () =>
    worker().catch((error: unknown) => void failures.push(error)),
  )
  await Promise.all(workers)
  await files.return?.()
  if (failures.length > 0) throw failures[0]
}

async function digestOf(storage: FileStorage, token: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of await storage.open(token)) hash.update(chunk)
  return hash.digest('hex')
}

async function* hashed(bytes: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    hash.update(chunk)
    yield chunk
  }
}
