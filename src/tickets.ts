import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/**
 * Values in URLs that only gateways with the same key can make, read and change. A gateway does not store its tickets, so each of
 * these gateways can open them.
 */
export interface Tickets {
  /**
   * @param expiresAt in milliseconds, at most a month from now
   * @returns the same text for the same value and expiry, so that URLs can be cached
   */
  seal(kind: TicketKind, value: string, expiresAt: number): string
  /** Undefined for a ticket that has expired or was changed, and for one of another kind or key. */
  open(kind: TicketKind, ticket: string): OpenTicket | undefined
}

/** What a ticket is for. It cannot be used for anything else. */
export type TicketKind = 'file' | 'upload' | 'stream' | 'connection'

export interface OpenTicket {
  readonly value: string
  readonly expiresAt: number
}

const version = 1
/** The version, and the expiry in seconds. */
const headerBytes = 5
const nonceBytes = 12
const tagBytes = 16
const longestMs = 31 * 24 * 3600_000
const hourSeconds = 3600
/** Keys of the kinds, for the hours in which tickets expire. */
const maxDerived = 200

/**
 * A ticket is its header, a nonce, and the value encrypted with AES-256-GCM. Each kind and each hour of expiry has keys of its own,
 * derived by HKDF. The nonce is the HMAC of header and value: two values of one hour would have to have the same 96 bits for
 * a nonce to be used twice.
 *
 * @param secrets the first one seals, all open: two while one is replaced by another
 */
export function createTickets(
  secrets: readonly [string, ...string[]],
  now: () => number = Date.now,
): Tickets {
  const derived = new LRUCache<string, DerivedKeys>({ max: maxDerived })

  function keysOf(index: number, kind: TicketKind, expirySeconds: number): DerivedKeys {
    const hour = Math.floor(expirySeconds / hourSeconds)
    const name = `${index} ${kind} ${hour}`
    let keys = derived.get(name)
    if (keys === undefined) {
      const info = `flowdock-gateway ticket ${kind} ${hour}`
      const bytes = Buffer.from(hkdfSync('sha256', secrets[index] as string, '', info, 64))
      keys = { encryption: bytes.subarray(0, 32), nonces: bytes.subarray(32) }
      derived.set(name, keys)
    }
    return keys
  }

  return {
    seal(kind, value, expiresAt) {
      const header = Buffer.alloc(headerBytes)
      header.writeUInt8(version)
      // A ticket is valid for as long as was said, and no second less.
      const expirySeconds = Math.ceil(expiresAt / 1000)
      header.writeUInt32BE(expirySeconds, 1)
      const keys = keysOf(0, kind, expirySeconds)
      const nonce = createHmac('sha256', keys.nonces)
        .update(header)
        .update(value)
        .digest()
        .subarray(0, nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', keys.encryption, nonce).setAAD(header)
      const sealed = [header, nonce, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()]
      return Buffer.concat(sealed).toString('base64url')
    },
    open(kind, ticket) {
      const bytes = Buffer.from(ticket, 'base64url')
      if (bytes.length < headerBytes + nonceBytes + tagBytes || bytes[0] !== version) return undefined
      // One ticket has one spelling.
      if (bytes.toString('base64url') !== ticket) return undefined
      const expirySeconds = bytes.readUInt32BE(1)
      const expiresAt = expirySeconds * 1000
      // Such keys are not derived.
      if (expiresAt <= now() || expiresAt > now() + longestMs) return undefined
      for (const index of secrets.keys()) {
        const value = decrypt(bytes, keysOf(index, kind, expirySeconds).encryption)
        if (value !== undefined) return { value, expiresAt }
      }
      return undefined
    },
  }
}

interface DerivedKeys {
  readonly encryption: Buffer
  readonly nonces: Buffer
}

/** @returns undefined for a key that did not encrypt it, and for changed bytes */
function decrypt(bytes: Buffer, key: Buffer): string | undefined {
  const content = headerBytes + nonceBytes
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(headerBytes, content), {
    authTagLength: tagBytes,
  })
  decipher.setAAD(bytes.subarray(0, headerBytes)).setAuthTag(bytes.subarray(-tagBytes))
  const value = decipher.update(bytes.subarray(content, -tagBytes))
  try {
    return Buffer.concat([value, decipher.final()]).toString('utf8')
  } catch {
    // The only error of `final` here: the tag is not that of the bytes.
    return undefined
  }
}
