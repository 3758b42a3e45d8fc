import { NotFoundError, ValidationError } from '../../errors.ts'
import type { Tickets } from '../../tickets.ts'
import type { Http } from '../http.ts'
import type { Credential } from './credentials.ts'
import { createMessages, type Upload } from './messages.ts'
import type { Message } from './model.ts'
import type { ProveCredential } from './proofs.ts'
import { createCalls } from './request.ts'
import { createSealedCredentials } from './sealed-credentials.ts'
import type { SingleFlight } from './single-flight.ts'

/**
 * Uploads of any length, which pass without being stored. Each URL contains a ticket for one message of one principal. The ticket
 * has the `uuid` of the message, and the upstream stores one message for each: a second PUT returns the same message.
 */
export interface FileUploads {
  /**
   * The path in the gateway for a PUT of the bytes.
   *
   * @param onCall called before a call that checks the credential
   * @throws GatewayError `UNAUTHENTICATED` for a credential that the upstream refuses, ValidationError if the URL would be too
   *   long
   */
  address(
    credential: Credential,
    upload: Upload,
    onCall?: () => void,
  ): Promise<{ readonly path: string; readonly expiresAt: number }>
  /**
   * Sends the bytes as a file message. None is read before the upstream has confirmed the credential.
   *
   * @throws NotFoundError for a ticket that expired or was changed; the error of the upstream
   */
  send(ticket: string, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Message>
}

const lifetimeMs = 15 * 60_000
/** Node.js reads 16 KiB of headers, and proxies often 8 KiB. */
const maxTicketLength = 6000

export interface FileUploadOptions {
  readonly http: Http
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  readonly tickets: Tickets
  /** Is notified of changes. */
  readonly reads?: SingleFlight
  readonly prove: ProveCredential
}

export function createFileUploads(
  { http, restUrl, tickets, reads, prove }: FileUploadOptions,
  now: () => number = Date.now,
): FileUploads {
  const sealed = createSealedCredentials<Upload>(tickets, 'upload')
  return {
    async address(credential, upload, onCall) {
      await prove(credential, onCall)
      const expiresAt = now() + lifetimeMs
      const ticket = sealed.seal(credential, upload, expiresAt)
      if (ticket.length > maxTicketLength)
        throw new ValidationError(
          'Expected shorter tags: they do not fit into a URL',
          [{ field: 'tags', message: 'are too long' }],
          { inputPath: ['input', 'tags'] },
        )
      return { path: `/uploads/${ticket}`, expiresAt }
    },
    async send(ticket, bytes, signal) {
      const opened = sealed.open(ticket)
      if (opened === undefined)
        throw new NotFoundError('There is no such upload, or its URL has expired; make a new one')
      const { credential, details: upload } = opened
      await prove(credential)
      return createMessages(createCalls({ http, base: restUrl, credential, signal, reads })).sendFile(
        upload,
        bytes,
      )
    },
  }
}
