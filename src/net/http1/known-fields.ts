/** A field name that requests often have. */
export interface KnownField {
  /** In lower case. */
  readonly name: string
  /** Whether it must not be repeated, because it determines the end of the message or the sender of the request. */
  readonly isSingle: boolean
}

const singles = words(`
  host content-length transfer-encoding content-encoding content-type expect upgrade
  authorization x-auth-token x-auth-account sec-websocket-key sec-websocket-version
`)
const others = words(`
  accept accept-encoding accept-language cache-control connection cookie dnt from if-match if-none-match origin pragma priority
  range referer te user-agent via sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site
  sec-websocket-extensions sec-websocket-protocol last-event-id keep-alive forwarded x-forwarded-for x-forwarded-host
  x-forwarded-port x-forwarded-proto x-real-ip x-request-id traceparent tracestate baggage sentry-trace x-requested-with
  graphql-require-preflight apollographql-client-name apollographql-client-version apollo-require-preflight
  flowdock-act-as flowdock-page x-gateway-client x-gateway-key x-graphql-event-stream-token
`)

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}

/** A power of two. With this many slots, few names share one. */
const slots = 1024

interface Entry extends KnownField {
  /** The bytes of the name. Each is a lower-case letter, a digit or a hyphen. */
  readonly bytes: Uint8Array
}

const table: readonly (readonly Entry[])[] = makeTable()

function makeTable(): Entry[][] {
  const made: Entry[][] = Array.from({ length: slots }, () => [])
  for (const [names, isSingle] of [
    [singles, true],
    [others, false],
  ] as const)
    for (const name of names) {
      const bytes = Buffer.from(name, 'latin1')
      made[bytes.reduce(addToHash, 0) & (slots - 1)]?.push({ name, isSingle, bytes })
    }
  return made
}

/** Adds a byte to the hash of a name. Letters have the same hash in both cases. */
export function addToHash(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + (byte | 0x20)) | 0
}

/** Finds a name without making a string of it. @param hash of the bytes from `start` to `end`, which are token characters */
export function findKnownField(
  bytes: Uint8Array,
  start: number,
  end: number,
  hash: number,
): KnownField | undefined {
  const entries = table[hash & (slots - 1)] as readonly Entry[]
  for (const entry of entries) if (matches(entry.bytes, bytes, start, end)) return entry
  return undefined
}

function matches(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false
  for (let at = 0; at < name.length; at += 1)
    // The bit makes a capital a small letter. No other token character becomes a letter, digit or hyphen by it.
    if (((bytes[start + at] as number) | 0x20) !== name[at]) return false
  return true
}
