import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import {
  type _Object,
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import {
  databaseOfMark,
  FileMissingError,
  FileStorageError,
  fileTokenPattern,
  type MarkedStorage,
  nameOfMark,
} from './file-storage.ts'
import { createPartBuffers } from './part-buffers.ts'

/** A bucket of a server that implements the API of Amazon S3. */
export interface S3Location {
  /** `https://host/bucket/prefix`. The key of a file is the prefix and the token of the file. */
  readonly url: string
  readonly region: string
  /** By default, the client of AWS looks for credentials in the environment and uses the role of the machine. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
}

export interface S3Timeouts {
  readonly connectMs: number
  /** The time from a request to the beginning of its response. Within it, a part of 8 MiB must be sent. */
  readonly requestMs: number
  /** The longest pause while a file is received. */
  readonly idleMs: number
}

const defaultTimeouts: S3Timeouts = { connectMs: 3000, requestMs: 30_000, idleMs: 30_000 }
/** The length of parts. Files of this length or longer are sent in parts. S3 requires 5 MiB for all parts but the last. */
const partBytes = 8 * 1024 * 1024
const buffers = 4
const attempts = 3

/** Stores files as objects of a bucket. */
export function openS3Storage(location: S3Location, timeouts: Partial<S3Timeouts> = {}): MarkedStorage {
  const { connectMs, requestMs, idleMs } = { ...defaultTimeouts, ...timeouts }
  const { endpoint, bucket, prefix } = parseUrl(location.url)
  const parts = createPartBuffers(buffers, partBytes, requestMs)
  const client = new S3Client({
    endpoint,
    region: location.region,
    ...(location.credentials === undefined ? {} : { credentials: location.credentials }),
    // Many S3 servers other than Amazon's support no buckets as host names, and no checksums of Amazon's newer clients.
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: attempts,
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: requestMs,
      throwOnRequestTimeout: true,
    },
  })
  const at = (token: string) => ({ Bucket: bucket, Key: `${prefix}${token}` })

  async function send<T>(doing: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      if (error instanceof FileMissingError) throw error
      throw new FileStorageError(`Cannot ${doing} at S3: ${reasonOf(error)}`, { cause: error })
    }
  }

  async function keepInParts(token: string, file: FileHandle, byteSize: number): Promise<void> {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(at(token)))
    const stopping = new AbortController()
    const upload = async (index: number) =>
      parts.with(async (buffer) => {
        stopping.signal.throwIfAborted()
        const Body = await readPart(file, buffer, index * partBytes, byteSize)
        const PartNumber = index + 1
        const { ETag } = await client.send(
          new UploadPartCommand({ ...at(token), UploadId, PartNumber, Body, ContentLength: Body.length }),
        )
        return { ETag, PartNumber }
      })
    const uploads = Array.from({ length: Math.ceil(byteSize / partBytes) }, (_, index) => upload(index))
    try {
      const Parts = await Promise.all(uploads)
      await client.send(
        new CompleteMultipartUploadCommand({ ...at(token), UploadId, MultipartUpload: { Parts } }),
      )
    } catch (error) {
      stopping.abort()
      await Promise.allSettled(uploads)
      // If S3 does not respond now, the uploaded parts are removed a day later.
      await client.send(new AbortMultipartUploadCommand({ ...at(token), UploadId })).catch(() => undefined)
      throw error
    }
  }

  async function* objectsBelow(start: string): AsyncGenerator<_Object> {
    let ContinuationToken: string | undefined
    do {
      const page = await send('list the files', () =>
        client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: start, ContinuationToken })),
      )
      yield* page.Contents ?? []
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken !== undefined)
  }

  return {
    place: location.url,
    async mark(databaseId) {
      const Body = Buffer.from(databaseId)
      await send('mark the place of files', () =>
        client.send(
          new PutObjectCommand({ ...at(nameOfMark(databaseId)), Body, ContentLength: Body.length }),
        ),
      )
    },
    async listMarks() {
      const found: string[] = []
      for await (const { Key = '' } of objectsBelow(prefix + nameOfMark(''))) {
        const databaseId = databaseOfMark(Key.slice(prefix.length))
        if (databaseId !== undefined) found.push(databaseId)
      }
      return found
    },
    async keep(token, path) {
      const file = await open(path)
      try {
        const { size } = await file.stat()
        await send('store a file', async () => {
          if (size >= partBytes) return keepInParts(token, file, size)
          await parts.with(async (buffer) => {
            const Body = await readPart(file, buffer, 0, size)
            await client.send(new PutObjectCommand({ ...at(token), Body, ContentLength: size }))
          })
        })
      } finally {
        await file.close()
      }
    },
    async open(token, range) {
      const Range = range && `bytes=${range.start}-${range.end}`
      const { Body } = await send('read a file', () =>
        client.send(new GetObjectCommand({ ...at(token), Range })).catch((error: unknown) => {
          if (!isMissing(error)) throw error
          throw new FileMissingError(`The file ${token} is missing at S3`, { cause: error })
        }),
      )
      return Readable.from(chunksOf(Body as Readable, idleMs), { objectMode: false })
    },
    async remove(token) {
      await send('remove a file', () => client.send(new DeleteObjectCommand(at(token))))
    },
    async sizeOf(token) {
      return send('look for a file', async () => {
        try {
          return (await client.send(new HeadObjectCommand(at(token)))).ContentLength
        } catch (error) {
          if (isMissing(error)) return undefined
          throw error
        }
      })
    },
    async *list() {
      for await (const { Key = '', Size = 0, LastModified } of objectsBelow(prefix)) {
        const token = Key.slice(prefix.length)
        if (fileTokenPattern.test(token))
          yield { token, byteSize: Size, storedAt: LastModified?.getTime() ?? 0 }
      }
    },
    async removeUnfinished(before) {
      await send('remove unfinished files', async () => {
        const { Uploads = [] } = await client
          .send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }))
          .catch((error: unknown) => {
            if ((error as Error).name === 'NotImplemented') return { Uploads: [] }
            throw error
          })
        for (const { Key, UploadId, Initiated } of Uploads)
          if (Initiated !== undefined && Initiated.getTime() < before)
            await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }))
      })
    },
    close: () => client.destroy(),
  }
}

/** @throws TypeError for a URL without a bucket */
function parseUrl(text: string): { endpoint: string; bucket: string; prefix: string } {
  const { origin, pathname } = new URL(text)
  const [bucket = '', ...rest] = pathname
    .split('/')
    .filter((segment) => segment !== '')
    .map(decodeURIComponent)
  if (bucket === '') throw new TypeError('Expected the URL of S3 to name a bucket')
  return { endpoint: origin, bucket, prefix: rest.map((segment) => `${segment}/`).join('') }
}

async function readPart(file: FileHandle, buffer: Buffer, start: number, end: number): Promise<Buffer> {
  const length = Math.min(buffer.length, end - start)
  let read = 0
  while (read < length) {
    const { bytesRead } = await file.read(buffer, read, length - read, start + read)
    if (bytesRead === 0) throw new Error('The file became shorter while it was sent')
    read += bytesRead
  }
  return buffer.subarray(0, length)
}

/** The error code of S3 or the system; without one, the status or the message of the client. */
function reasonOf(error: unknown): string {
  const { name, code, message, $metadata } = error as NodeJS.ErrnoException & {
    readonly $metadata?: { readonly httpStatusCode?: number }
  }
  // A response to HEAD has no body, so no error code.
  if (name === 'Unknown' || name === 'UnknownError') return `status ${$metadata?.httpStatusCode}`
  return code ?? (name === 'Error' ? message : name)
}

/** Whether the file is missing. A missing bucket has another error name. */
function isMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes((error as Error).name)
}

/** The chunks of a body. Fails when a chunk does not arrive within `idleMs` after it was requested. */
async function* chunksOf(body: Readable, idleMs: number): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  try {
    for (;;) {
      const late = setTimeout(
        () => body.destroy(new FileStorageError(`Cannot read a file at S3: no byte came for ${idleMs} ms`)),
        idleMs,
      )
      const { done, value } = await chunks.next().finally(() => clearTimeout(late))
      if (done === true) return
      yield value
    }
  } finally {
    body.destroy()
  }
}
