import { NotFoundError, UpstreamError } from '../../errors.ts'
import type { Http, HttpStream } from '../http.ts'
import type { Credential } from './credentials.ts'
import { toError } from './request.ts'
import { createTickets } from './tickets.ts'

/**
 * Downloads for clients that cannot send a credential, such as `<img>`. Each URL contains a ticket for one file and one
 * principal, which expires. The credential stays in the gateway, and the upstream checks it for each download. Tickets exist only
 * in this process.
 */
export interface FileDownloads {
  /** The path of a file in the gateway. @param path the path in the upstream */
  address(credential: Credential, path: string): string
  /**
   * Opens the file of a ticket.
   *
   * @param range a `Range` header to pass on
   * @throws NotFoundError for an unknown or expired ticket; the error of the upstream
   */
  open(ticket: string, range: string | undefined, signal: AbortSignal): Promise<HttpStream>
}

const lifetimeMs = 15 * 60_000
/** More files than a user opens within a quarter of an hour. */
const maxTicketsEach = 5000
const maxTickets = 50_000
/** Files are passed on as they are stored, so no compression is requested. */
const plain = { 'accept-encoding': 'identity' }

export interface FileDownloadOptions {
  readonly http: Http
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  /** The public REST URL of the upstream. It may not be reachable from this machine. */
  readonly publicUrl?: string | undefined
  /** Hosts in the gateway's own network to which the upstream may redirect downloads. */
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
      // [flowdock] files.md: one redirect, to a URL that needs no credential.
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
