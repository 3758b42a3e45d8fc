import { randomBytes } from 'node:crypto'
import { NotFoundError } from '../../errors.ts'
import type { Http } from '../http.ts'
import type { Credential } from './credentials.ts'
import { decodeMessage } from './decode.ts'
import { segments } from './messages.ts'
import type { Message } from './model.ts'
import { buildUrl, toError } from './request.ts'
import { createTickets } from './tickets.ts'

/** A file that is about to be sent. */
export interface Upload {
  /** Where it goes, as `Messages` names channels. */
  readonly channel: string
  readonly threadId: string | undefined
  readonly name: string
  readonly contentType: string
  readonly tags: readonly string[]
  readonly uuid: string
}

/** Uploads of any length, which pass through without being kept. Each address takes one file of one caller. */
export interface FileUploads {
  /** The path of this gateway that the bytes are put to. */
  address(credential: Credential, upload: Upload): { readonly path: string; readonly expiresAt: number }
  /**
   * Sends the bytes as a file message.
   *
   * @throws NotFoundError for a ticket that is none or was used; what the upstream refuses
   */
  send(ticket: string, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Message>
}

const lifetimeMs = 15 * 60_000
const maxTickets = 10_000

/** @param restUrl the REST address, without a trailing slash */
export function createFileUploads(http: Http, restUrl: string, now: () => number = Date.now): FileUploads {
  const tickets = createTickets<{ credential: Credential; upload: Upload }>({
    lifetimeMs,
    most: maxTickets,
    now,
  })
  return {
    address(credential, upload) {
      const id = tickets.issue({ credential, upload })
      return { path: `/uploads/${id}`, expiresAt: now() + lifetimeMs }
    },
    async send(id, bytes, signal) {
      const ticket = tickets.find(id)?.value
      if (ticket === undefined)
        throw new NotFoundError('There is no such upload, it was used, or it has expired; make a new one')
      // A second request with the same ticket would be a second message.
      tickets.forget(id)
      const { credential, upload } = ticket
      const boundary = randomBytes(18).toString('base64url')
      const answer = await http.upload(
        buildUrl(restUrl, [...segments(upload.channel), 'messages'], {}),
        {
          authorization: credential.authorization.reveal(),
          accept: 'application/json',
          'content-type': `multipart/form-data; boundary=${boundary}`,
        },
        multipart(boundary, upload, bytes),
        signal,
      )
      if (answer.status >= 300) throw toError(answer.status, answer.body, 'upload the file')
      return decodeMessage(answer.body, upload.channel.startsWith('@') ? upload.channel : undefined)
    },
  }
}

/** [spec] RFC 7578. [flowdock] messages.md, "Uploading files" */
async function* multipart(
  boundary: string,
  { name, contentType, tags, threadId, uuid }: Upload,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const fields: [string, string][] = [
    ['event', 'file'],
    ['uuid', uuid],
    ...tags.map((tag): [string, string] => ['tags[]', tag]),
    ...(threadId === undefined ? [] : ([['thread_id', threadId]] as [string, string][])),
  ]
  const parts = fields.map(
    ([field, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`,
  )
  const quoted = name.replace(/[\r\n"]/g, (character) => encodeURIComponent(character))
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="content"; filename="${quoted}"\r\nContent-Type: ${contentType}\r\n\r\n`
  yield Buffer.from(parts.join('') + head)
  yield* bytes
  yield Buffer.from(`\r\n--${boundary}--\r\n`)
}
