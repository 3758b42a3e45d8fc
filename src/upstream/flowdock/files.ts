import { NotFoundError, UpstreamError } from '../../errors.ts'
import type { Http, HttpStream } from '../http.ts'
import type { Credential } from './credentials.ts'
import { toError } from './request.ts'
import { createTickets } from './tickets.ts'

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
/** More pictures than anybody looks at within a quarter of an hour. */
const maxTicketsEach = 5000
const maxTickets = 50_000
/** What is sent on is what is stored, whatever its reader can unpack. */
const plain = { 'accept-encoding': 'identity' }

export interface FileDownloadOptions {
  readonly http: Http
  /** The REST address, without a trailing slash. */
  readonly restUrl: string
  /** What the upstream calls that address to the outside, which may not lead back from here. */
  readonly publicUrl?: string | undefined
  /** The names of hosts in our own network that it may send us to. */
  readonly fileHosts?: readonly string[]
  readonly now?: () => number
}

export function createFileDownloads({
  http,
  restUrl,
  publicUrl,
  fileHosts = [],
  now = Date.now,
}: FileDownloadOptions): FileDownloads {
  const tickets = createTickets<{ credential: Credential; path: string }>({
    lifetimeMs,
    mostEach: maxTicketsEach,
    most: maxTickets,
    now,
  })

  return {
    address(credential, path) {
      // The same URL again lets browsers cache the picture.
      const { id } = tickets.issue(credential.principal, { credential, path }, path)
      return `/files/${id}/${path.slice(path.lastIndexOf('/') + 1)}`
    },
    async open(id, range, signal) {
      const ticket = tickets.find(id)?.value
      if (ticket === undefined)
        throw new NotFoundError('There is no such file, or its address has expired; ask for a new one')
      const doing = 'read the file'
      const address = new URL(`${restUrl}/${ticket.path.replace(/^\/+/, '')}`)
      if (address.origin !== new URL(restUrl).origin) throw new NotFoundError('There is no such file')
      const authorization = ticket.credential.authorization.reveal()
      const first = await http.openDownload(address, { ...plain, authorization }, signal)
      if (first.status === 200) return first
      const location = first.headers['location']
      if (first.status !== 302 || typeof location !== 'string') throw toError(first.status, undefined, doing)
      // [flowdock] files.md: one redirect, to where no credential is needed.
      const target = URL.canParse(location, address) ? new URL(location, address) : undefined
      if (target === undefined || !/^https?:$/.test(target.protocol))
        throw new UpstreamError('UPSTREAM_INVALID', `Cannot ${doing}: the upstream sent us nowhere`)
      if (publicUrl !== undefined && target.origin === new URL(publicUrl).origin)
        target.href = target.href.replace(target.origin, new URL(restUrl).origin)
      const isKnown = target.origin === address.origin || fileHosts.includes(target.hostname)
      const read = isKnown ? http.openDownload : http.openPublicDownload
      const answer = await read(target, range === undefined ? plain : { ...plain, range }, signal)
      if (![200, 206, 416].includes(answer.status)) throw toError(answer.status, undefined, doing)
      return answer
    },
  }
}
