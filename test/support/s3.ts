import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import S3rver from '@20minutes/s3rver'
import { onTestFinished } from 'vitest'
import type { S3Location } from '../../src/backend/files-s3.ts'
import { makeFolder } from './backend.ts'

export interface TestS3 {
  readonly location: S3Location
  /** Method and path of each request, with the query. */
  readonly requests: readonly string[]
  /**
   * Decides about requests from now on.
   *
   * @param intercept responds itself and returns true, or leaves the request to the server
   */
  intercept(intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined): void
  /** Closes the connections that are open. */
  disconnect(): void
}

/** An S3 server on a free port with an empty bucket; it goes with the test. */
export async function startS3(): Promise<TestS3> {
  const directory = await makeFolder()
  const make = (allowMismatchedSignatures: boolean) =>
    new S3rver({
      ...{ directory, silent: true, vhostBuckets: false, allowMismatchedSignatures },
      configureBuckets: [{ name: 'files' }],
    })
  const s3 = make(false)
  await s3.configureBuckets()
  const serve = s3.callback()
  // The path of a bucket ends with a slash in what the client signs, and not in what this server compares it with.
  const serveBucket = make(true).callback()
  const requests: string[] = []
  let decide: Parameters<TestS3['intercept']>[0]
  // This server shows an object while it is being stored. S3 does not, so whoever wants the object waits until it is stored.
  const storing = new Map<string, Promise<void>>()
  const server = createServer(async (request, response) => {
    response.on('error', () => undefined)
    requests.push(`${request.method} ${request.url}`)
    if (decide?.(request, response) === true) return
    const [path = '', query = ''] = request.url?.split('?') ?? []
    const isStored = (request.method === 'PUT' && !query.includes('partNumber=')) || request.method === 'POST'
    if (isStored) storing.set(path, new Promise((resolve) => response.once('close', resolve)))
    else if (request.method === 'GET' || request.method === 'HEAD') await storing.get(path)
    if (request.url?.startsWith('/files/?')) serveBucket(request, response)
    else serve(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await rm(directory, { recursive: true, force: true })
  })
  return {
    location: {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/files`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
    requests,
    intercept(next) {
      decide = next
    },
    disconnect: () => server.closeAllConnections(),
  }
}

/** Responds as S3 does when it fails. */
export function failS3(response: ServerResponse, status: number, code: string): true {
  response
    .writeHead(status, { 'content-type': 'application/xml' })
    .end(
      `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>It failed</Message></Error>`,
    )
  return true
}
