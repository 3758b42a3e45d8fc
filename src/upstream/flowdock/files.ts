import { randomBytes } from 'node:crypto'
import { NotFoundError, UpstreamError } from '../../errors.ts'
import type { Http, HttpStream } from '../http.ts'
import type { Credential } from './credentials.ts'
import { toError } from './request.ts'

/**
 * Downloads for readers who cannot send a credential, such as `<img>`. Each address has a ticket in it that is good
 * for one file of one caller, for a while; the credential stays here, and the upstream checks it at every download.
 * Tickets belong to this process and are forgotten with it.
 */
export interface FileDownloads {
  /** The path of this gateway that a file can be read at. @param path as the upstream gave it */
  address(credential: Credential, path: string): string
  /**
   * Opens a file for whoever has its ticket.
   *
   * @param range a `Range` header to pass on
   * @throws NotFoundError for a ticket that is none, or none any more; what the upstream refuses
   */
  open(ticket: string, range: string | undefined, signal: AbortSignal): Promise<HttpStream>
}

const lifetimeMs = 15 * 60_000
const maxTickets = 50_000

interface Ticket {
  readonly id: string
  readonly credential: Credential
  readonly path: string
  readonly expiresAt: number
}

/** @param restUrl the REST address, without a trailing slash */
export function createFileDownloads(
  http: Http,
  restUrl: string,
  now: () => number = Date.now,
): FileDownloads {
  const byId = new Map<string, Ticket>()
  const byFile = new Map<string, Ticket>()

  function forget(ticket: Ticket): void {
    byId.delete(ticket.id)
    const key = keyOf(ticket.credential, ticket.path)
    if (byFile.get(key) === ticket) byFile.delete(key)
  }

  function issue(credential: Credential, path: string): Ticket {
    // The oldest are the first in the map, and the first to expire.
    for (const ticket of byId.values()) {
      if (byId.size < maxTickets && ticket.expiresAt > now()) break
      forget(ticket)
    }
    const ticket = {
      id: randomBytes(16).toString('base64url'),
      credential,
      path,
      expiresAt: now() + lifetimeMs,
    }
    byId.set(ticket.id, ticket)
    byFile.set(keyOf(credential, path), ticket)
    return ticket
  }

  return {
    address(credential, path) {
      const known = byFile.get(keyOf(credential, path))
      // The same address again lets browsers keep the picture.
      const fresh = known !== undefined && known.expiresAt - now() > lifetimeMs / 2
      const { id } = fresh ? known : issue(credential, path)
      return `/files/${id}/${path.slice(path.lastIndexOf('/') + 1)}`
    },
    async open(id, range, signal) {
      const ticket = byId.get(id)
      if (ticket === undefined || ticket.expiresAt <= now())
        throw new NotFoundError('There is no such file, or its address has expired; ask for a new one')
      const doing = 'read the file'
      const address = new URL(`${restUrl}/${ticket.path.replace(/^\/+/, '')}`)
      if (address.origin !== new URL(restUrl).origin) throw new NotFoundError('There is no such file')
      const authorization = ticket.credential.authorization.reveal()
      const first = await http.openDownload(address, { authorization }, signal)
      if (first.status === 200) return first
      const location = first.headers['location']
      if (first.status !== 302 || typeof location !== 'string') throw toError(first.status, undefined, doing)
      // [flowdock] files.md: one redirect, to where no credential is needed.
      const target = URL.canParse(location, address) ? new URL(location, address) : undefined
      if (target === undefined || !/^https?:$/.test(target.protocol))
        throw new UpstreamError('UPSTREAM_INVALID', `Cannot ${doing}: the upstream sent us nowhere`)
      const answer = await http.openDownload(target, range === undefined ? {} : { range }, signal)
      if (![200, 206, 416].includes(answer.status)) throw toError(answer.status, undefined, doing)
      return answer
    },
  }
}

function keyOf(credential: Credential, path: string): string {
  return `${credential.principal} ${path}`
}
