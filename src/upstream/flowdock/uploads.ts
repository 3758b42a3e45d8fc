import { NotFoundError } from '../../errors.ts'
import type { Http } from '../http.ts'
import type { Credential } from './credentials.ts'
import { createMessages, type Upload } from './messages.ts'
import type { Message } from './model.ts'
import type { ProveCredential } from './proofs.ts'
import { createCalls } from './request.ts'
import type { SingleFlight } from './single-flight.ts'
import { createTickets } from './tickets.ts'

/** Uploads of any length, which pass without being stored. Each URL accepts one file of one principal. */
export interface FileUploads {
  /**
   * The path in the gateway for a PUT of the bytes.
   *
   * @param onCall called before a call that checks the credential
   * @throws GatewayError `UNAUTHENTICATED` for a credential that the upstream refuses. Otherwise a stranger with many invented
   *   ones could use up the tickets
   */
  address(
    credential: Credential,
    upload: Upload,
    onCall?: () => void,
  ): Promise<{ readonly path: string; readonly expiresAt: number }>
  /**
   * Sends the bytes as a file message. None is read before the upstream has confirmed the credential.
   *
   * @throws NotFoundError for an unknown or used ticket; the error of the upstream
   */
  send(ticket: string, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Message>
}

const lifetimeMs = 15 * 60_000
const maxTicketsEach = 500
const maxTickets = 10_000

/** @param options `restUrl`: the REST URL, without a trailing slash; `reads`: is notified of changes */
export function createFileUploads(
  {
    http,
    restUrl,
    reads,
    prove,
  }: { http: Http; restUrl: string; reads?: SingleFlight; prove: ProveCredential },
  now: () => number = Date.now,
): FileUploads {
  const tickets = createTickets<{ credential: Credential; upload: Upload }>({
    lifetimeMs,
    mostEach: maxTicketsEach,
    most: maxTickets,
    now,
  })
  return {
    async address(credential, upload, onCall) {
      await prove(credential, onCall)
      const { id, expiresAt } = tickets.issue(credential.principal, { credential, upload })
      return { path: `/uploads/${id}`, expiresAt }
    },
    async send(id, bytes, signal) {
      const find = () => {
        const ticket = tickets.find(id)?.value
        if (ticket === undefined)
          throw new NotFoundError('There is no such upload, it was used, or it has expired; make a new one')
        return ticket
      }
      await prove(find().credential)
      // Another request may have used it meanwhile.
      const ticket = find()
      // A second request with the same ticket would send a second message.
      tickets.forget(id)
      const { credential, upload } = ticket
      return createMessages(createCalls({ http, base: restUrl, credential, signal, reads })).sendFile(
        upload,
        bytes,
      )
    },
  }
}
