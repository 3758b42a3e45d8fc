import { ValidationError } from '../errors.ts'

/** The parts of a global id: a type, and the key of the object in the upstream. */
export interface GlobalId {
  readonly typename: string
  readonly id: string
}

/** Global ids are opaque to clients and stable across restarts. */
export function encodeGlobalId(typename: string, id: string): string {
  return Buffer.from(`${typename}:${id}`).toString('base64url')
}

/** @param path the path of the input @throws ValidationError when `text` is not a global id */
export function decodeGlobalId(text: string, path?: readonly string[]): GlobalId {
  const [, typename, id] = /^([A-Za-z]+):(.+)$/s.exec(Buffer.from(text, 'base64url').toString('utf8')) ?? []
  if (typename === undefined || id === undefined || encodeGlobalId(typename, id) !== text)
    throw new ValidationError(
      `Expected a global id, the id of an object of this API; got "${text.slice(0, 80)}"`,
      [],
      { inputPath: path },
    )
  return { typename, id }
}

/**
 * The key inside a global id of the given type.
 *
 * @param path the path of the input
 * @throws ValidationError for a text that is not a global id, or that of another type
 */
export function expectId(typename: string, text: string, path: readonly string[]): string {
  const decoded = decodeGlobalId(text, path)
  if (decoded.typename !== typename)
    throw new ValidationError(
      `Expected ${path.join('.')} to be the id of a ${typename}, got that of a ${decoded.typename}`,
      [],
      { inputPath: path },
    )
  return decoded.id
}

/** The global id of an object inside a flow: the keys of both, of which the last has no colon. */
export function encodeInFlow(typename: string, flowId: string, id: string | number): string {
  return encodeGlobalId(typename, `${flowId}:${id}`)
}

/** Splits the key of an object inside a flow. @throws ValidationError for any other text */
export function splitInFlow(
  key: string,
  path?: readonly string[],
): { readonly flowId: string; readonly id: string } {
  const colon = key.lastIndexOf(':')
  if (colon <= 0 || colon === key.length - 1)
    throw new ValidationError('Expected a global id of this API', [], { inputPath: path })
  return { flowId: key.slice(0, colon), id: key.slice(colon + 1) }
}

/** Splits the key of a message. @throws ValidationError for any other text */
export function splitMessageKey(
  key: string,
  path?: readonly string[],
): { readonly channel: string; readonly id: number } {
  const { flowId: channel, id } = splitInFlow(key, path)
  if (!/^\d{1,15}$/.test(id) || (channel.startsWith('@') && !/^@\d{1,15}$/.test(channel)))
    throw new ValidationError('Expected the global id of a message', [], { inputPath: path })
  return { channel, id: Number(id) }
}
