import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** A host belongs to this machine or its network, where a public one is required. */
export class NotPublicAddressError extends Error {
  override readonly name = 'NotPublicAddressError'

  constructor(host: string) {
    super(`${host} is not a public address`)
  }
}

/** IPv4 addresses that are not of public servers. [iana] IPv4 Special-Purpose Address Registry */
const specialIpv4 = new BlockList()
for (const [address, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  // Multicast, reserved and broadcast.
  ['224.0.0.0', 3],
] as const)
  specialIpv4.addSubnet(address, prefix, 'ipv4')

/**
 * All public IPv6 addresses begin with these bits. Loopback, private and link-local addresses do not, nor do the forms of IPv4
 * addresses: `::/96`, `::ffff:0:0/96`, `::ffff:0:0:0/96`, `64:ff9b::/96`, `64:ff9b:1::/48`. [iana] IPv6 Global Unicast Address
 * Assignments
 */
const globalUnicast = new BlockList()
globalUnicast.addSubnet('2000::', 3, 'ipv6')

/** The special addresses among these. [iana] IPv6 Special-Purpose Address Registry */
const specialIpv6 = new BlockList()
for (const [address, prefix] of [
  // Protocol assignments, such as Teredo (2001::/32), which contains IPv4 addresses.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4, which contains IPv4 addresses.
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
] as const)
  specialIpv6.addSubnet(address, prefix, 'ipv6')

/** Whether an IP address is not that of a public server. Requests of strangers must not be sent to it. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return specialIpv4.check(address, 'ipv4')
  // Only addresses of the own network have a zone (`fe80::1%eth0`).
  if (family !== 6 || address.includes('%')) return true
  return !globalUnicast.check(address, 'ipv6') || specialIpv6.check(address, 'ipv6')
}

/**
 * Looks up a host name that must be public. The checked IP address is the one that is connected to, so the name cannot change in
 * between. Hosts that are IP addresses are not looked up: see {@link isPublic}.
 */
export const lookupPublicAddress: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, [])
    if (addresses.length === 0 || addresses.some(({ address }) => isPrivateAddress(address)))
      return callback(new NotPublicAddressError(hostname), [])
    return options.all === true
      ? callback(null, addresses)
      : callback(null, addresses[0]?.address ?? '', addresses[0]?.family)
  })
}

/** Whether the host of a URL is a public IP address, or a name, which {@link lookupPublicAddress} checks later. */
export function isPublic({ hostname }: Pick<URL, 'hostname'>): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isIP(host) === 0 || !isPrivateAddress(host)
}
