import { lookup } from 'node:dns'
import { type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** A request of ours to an address that somebody else chose. */
export interface Delivery {
  readonly method: string
  readonly url: URL
  readonly headers: Record<string, string>
  readonly body: string
}

/** Why nothing was delivered, in words. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
}

const deadlineMs = 10_000

/** Loopback, private, link-local, shared, multicast and reserved addresses: nobody's public server. */
const ownNetwork = new BlockList()
for (const [address, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  ownNetwork.addSubnet(address, prefix, 'ipv4')
for (const [address, prefix] of [
  ['::', 127],
  // Addresses that stand for those of the older protocol.
  ['64:ff9b::', 96],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  ownNetwork.addSubnet(address, prefix, 'ipv6')

/** Whether an address is of this machine or its network, and so not for strangers to send us to. */
export function isOwnNetwork(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return ownNetwork.check(address, 'ipv4')
  // An IPv4 address written as IPv6 is looked up among those.
  return family !== 6 || ownNetwork.check(address, 'ipv6')
}

/**
 * Sends it, follows no redirect, and reads no more of the answer than its head.
 *
 * @param anywhere also to this machine and its network
 * @throws DeliveryError when the address may not be reached, or cannot
 */
export function deliver(
  delivery: Delivery,
  anywhere: boolean,
): Promise<{ status: number; headers: IncomingHttpHeaders }> {
  const { url, method, body } = delivery
  const hostname = url.hostname.replace(/^\[|\]$/g, '')
  if (!anywhere && isIP(hostname) !== 0 && isOwnNetwork(hostname))
    return Promise.reject(new DeliveryError(`${hostname} is not a public address`))
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const headers = { ...delivery.headers, 'Content-Length': String(Buffer.byteLength(body)) }
    const outgoing = send(
      url,
      {
        method,
        headers,
        agent: false,
        signal: AbortSignal.timeout(deadlineMs),
        ...(anywhere ? {} : { lookup: lookupPublic }),
      },
      (response) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers })
        response.destroy()
      },
    )
    outgoing.on('error', (error) =>
      reject(error instanceof DeliveryError ? error : new DeliveryError(`${hostname}: ${error.message}`)),
    )
    outgoing.end(body)
  })
}

/** The address that is checked is the one that is connected to: a name cannot change in between. */
const lookupPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, [])
    if (addresses.length === 0 || addresses.some(({ address }) => isOwnNetwork(address)))
      return callback(new DeliveryError(`${hostname} is not a public address`), [])
    return options.all === true
      ? callback(null, addresses)
      : callback(null, addresses[0]?.address ?? '', addresses[0]?.family)
  })
}
