import { randomUUID } from 'node:crypto'
import { badRequest } from './things-error.ts'

/** The kinds of resources, as in URLs, with the first letter of their ids. [flowthings] java-client: ids */
export const letters = {
  flow: 'f',
  drop: 'd',
  track: 't',
  identity: 'i',
  group: 'g',
  device: 'v',
  'api-task': 'q',
  mqtt: 'm',
  rss: 'r',
  share: 's',
  token: 'k',
} as const

export type Kind = keyof typeof letters
/** The kinds that are stored as objects. */
export type ObjectKind = Exclude<Kind, 'flow' | 'drop'>

const idPattern = /^[a-z][0-9a-f]{24}$/

/** A new id: the letter, the time in seconds and 16 random digits. Later ids are greater. */
export function makeId(kind: Kind, now: number): string {
  const seconds = Math.floor(now / 1000)
    .toString(16)
    .padStart(8, '0')
  // All of these digits of a UUID are random. Node.js makes many UUIDs at once, which takes less time than random bytes.
  const uuid = randomUUID()
  return `${letters[kind]}${seconds}${uuid.slice(0, 8)}${uuid.slice(-8)}`
}

export function isId(value: unknown, kind?: Kind): value is string {
  if (typeof value !== 'string' || !idPattern.test(value)) return false
  return kind === undefined || value.startsWith(letters[kind])
}

/** @throws ThingsError 400 when it is not an id of this kind */
export function checkId(value: unknown, kind: Kind): string {
  if (isId(value, kind)) return value
  throw badRequest(
    `Expected the id of a ${kind} to be the letter "${letters[kind]}" and 24 hexadecimal digits, got ${JSON.stringify(value)?.slice(0, 60)}`,
  )
}
