import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** Of a name or an address that belongs to this machine or its network, where a public one was needed. */
export class NotPublicError extends Error {
  override readonly name = 'NotPublicError'

  constructor(host: string) {
    super(`${host} is not a public address`)
  }
}

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
 * Looks up a name that has to be public. The address that is checked is the one that is connected to: a name cannot
 * change in between. Addresses in figures are not looked up: see {@link isPublic}.
 */
export const lookupPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, [])
    if (addresses.length === 0 || addresses.some(({ address }) => isOwnNetwork(address)))
      return callback(new NotPublicError(hostname), [])
    return options.all === true
      ? callback(null, addresses)
      : callback(null, addresses[0]?.address ?? '', addresses[0]?.family)
  })
}

/** Whether an address has a name, which {@link lookupPublic} decides about, or the figures of somebody else's network. */
export function isPublic({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isIP(host) === 0 || !isOwnNetwork(host)
}
