import type { IncomingMessage } from 'node:http'

const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i

/** Whether a `Host` header is one. Frameworks fail on others, and tell where they are installed. */
export function isValidHost(host: string | undefined): host is string {
  return host !== undefined && hostPattern.test(host)
}

/** Whether a request was made by a page of this very server, or by no page at all. */
export function isSameOrigin({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === host
}

/** Whether a request came from this machine and by its local name: another name may be somebody's trick. */
export function isLocal({ headers, socket }: IncomingMessage): boolean {
  const name = (headers.host ?? '').replace(/:\d+$/, '')
  const address = socket.remoteAddress ?? ''
  return /^(localhost|127\.0\.0\.1|\[::1\])$/.test(name) && /^(127\.|::1$|::ffff:127\.)/.test(address)
}
