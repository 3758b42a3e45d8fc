import type { IncomingHttpHeaders } from 'node:http'

/** The part of a request that shows where it came from. */
export interface RequestHead {
  readonly headers: IncomingHttpHeaders
  readonly socket: { readonly remoteAddress?: string | undefined }
}

/**
 * The IP address of a client, as the outermost trusted proxy saw it: clients can write anything else into `X-Forwarded-For`. An
 * IPv6 address counts by its /64 network, because one household has all addresses of it.
 */
export function clientAddress({ socket, headers }: RequestHead, trustedProxies: number): string {
  const forwarded = String(headers['x-forwarded-for'] ?? '')
  const seen = trustedProxies === 0 || forwarded === '' ? [] : forwarded.split(',')
  const address = seen.at(-Math.min(trustedProxies, seen.length))?.trim() ?? socket.remoteAddress ?? ''
  const plain = address.replace(/^::ffff:/i, '').slice(0, 45)
  return plain.includes(':') ? networkOf(plain) : plain
}

/** The first four groups. */
function networkOf(address: string): string {
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - groups.length - after.length }, () => '0')
  return [...groups, ...zeros, ...after].slice(0, 4).join(':')
}
