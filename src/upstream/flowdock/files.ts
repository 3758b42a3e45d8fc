import { LRUCache } from 'lru-cache'
import { NotFoundError, UpstreamError } from '../../errors.ts'
import type { Tickets } from '../../tickets.ts'
import type { Http, HttpStream } from '../http.ts'
import type { Credential } from './credentials.ts'
import { toError } from './request.ts'
import { createSealedCredentials } from './sealed-credentials.ts'

/**
 * Downloads for clients that cannot send a credential, such as `<img>`. Each URL contains a ticket for one file and one
 * principal, which expires. The credential is sealed in the ticket, and the upstream checks it for each download.
 */
export interface FileDownloads {
  /** The path of a file in the gateway. @param path the path in the upstream */
  address(credential: Credential, path: string): string
  /**
   * Opens the file of a ticket.
   *
   * @param range a `Range` header to pass on
   * @throws NotFoundError for a ticket that expired or was changed; the error of the upstream
   */
  open(ticket: string, range: string | undefined, signal: AbortSignal): Promise<HttpStream>
}

/** A URL works for one to two periods, and is the same for one period, so that browsers can cache the picture. */
const periodMs = 7.5 * 60_000
/** Paths that are remembered, because to seal one takes 20 µs and lists name the same files again. */
const maxRemembered = 10_000
/** Files are passed on as they are stored, so no compression is requested. */
const plain = { 'accept-encoding': 'identity' }

export interface FileDownloadOptions {
  readonly http: Http
  readonly tickets: Tickets
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  /** The public REST URL of the upstream. It may not be reachable from this machine. */
  readonly publicUrl?: string | undefined
  /** Whether the upstream is a backend of this project: what it calls its storage is read where the upstream is. */
  readonly isOwnBackend?: boolean
  /** Hosts in the gateway's own network to which the upstream may redirect downloads. */
  readonly fileHosts?: readonly string[]
  readonly now?: () => number
}

export function createFileDownloads({
  http,
  tickets,
  restUrl,
  publicUrl,
  isOwnBackend = false,
  fileHosts = [],
  now = Date.now,
}: FileDownloadOptions): FileDownloads {
  const sealed = createSealedCredentials<string>(tickets, 'file')
  const remembered = new LRUCache<string, string>({ max: maxRemembered })
  return {
    address(credential, path) {
      const expiresAt = expiryOf(path, now())
      const key = `${credential.principal} ${expiresAt} ${path}`
      let address = remembered.get(key)
      if (address === undefined) {
        const ticket = sealed.seal(credential, path, expiresAt)
        address = `/files/${ticket}/${path.slice(path.lastIndexOf('/') + 1)}`
        remembered.set(key, address)
      }
      return address
    },
    async open(ticket, range, signal) {
      const opened = sealed.open(ticket)
      if (opened === undefined)
        throw new NotFoundError('There is no such file, or its address has expired; ask for a new one')
      const { credential, details: path } = opened
      const doing = 'read the file'
      const address = new URL(`${restUrl}/${path.replace(/^\/+/, '')}`)
      if (address.origin !== new URL(restUrl).origin) throw new NotFoundError('There is no such file')
      const authorization = credential.authorization.reveal()
      const first = await http.openDownload(address, { ...plain, authorization }, signal)
      if (first.status === 200) return first
      const location = first.headers['location']
      if (first.status !== 302 || typeof location !== 'string') throw toError(first.status, undefined, doing)
      // [flowdock] files.md: one redirect, to a URL that needs no credential.
      const target = URL.canParse(location, address) ? new URL(location, address) : undefined
      if (target === undefined || !/^https?:$/.test(target.protocol))
        throw new UpstreamError('UPSTREAM_INVALID', `Cannot ${doing}: the upstream sent us nowhere`)
      const isPublicName = publicUrl !== undefined && target.origin === new URL(publicUrl).origin
      if (isPublicName || (isOwnBackend && target.pathname.startsWith('/storage/')))
        target.href = target.href.replace(target.origin, new URL(restUrl).origin)
      const isKnown = target.origin === address.origin || fileHosts.includes(target.hostname)
      const read = isKnown ? http.openDownload : http.openPublicDownload
      const answer = await read(target, range === undefined ? plain : { ...plain, range }, signal)
      if (![200, 206, 416].includes(answer.status)) throw toError(answer.status, undefined, doing)
      return answer
    },
  }
}

/** The periods of different paths begin at different times: otherwise clients would load all pictures again at one time. */
function expiryOf(path: string, now: number): number {
  let offset = 0
  for (let index = 0; index < path.length; index += 1)
    offset = (offset * 31 + path.charCodeAt(index)) % periodMs
  return (Math.floor((now - offset) / periodMs) + 2) * periodMs + offset
}
