import { badRequest } from './things-error.ts'

export const maxPathCharacters = 128

/**
 * The key of a path, for comparisons: the path without a slash at its end. Upper case and repeated slashes are significant,
 * because programs use them. [flowthings] chat example
 */
export function pathKey(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/** Whether a path is equal to another or below it: `/a` covers `/a/b`, but not `/ab`. Both are keys. */
export function covers(parent: string, key: string): boolean {
  return key === parent || (key.startsWith(parent) && (key[parent.length] === '/' || parent === '/'))
}

/** The first segment of a path in lower case. It may be the name of an account. */
export function firstSegment(path: string): string {
  return (path.split('/', 2)[1] ?? '').toLowerCase()
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
const unprintable = /[\x00-\x1f\x7f]/

/**
 * Parses the path of a new flow or device. [flowthings] flow object overview
 *
 * @throws ThingsError 400 when it does not begin with a slash, has only one segment, or is too long
 */
export function checkPath(path: unknown): string {
  if (typeof path !== 'string' || path === '')
    throw badRequest('Expected "path" to be a text such as "/account/flow"')
  if (!path.startsWith('/')) throw badRequest(`Expected the path "${shown(path)}" to begin with a slash`)
  if (path.length > maxPathCharacters)
    throw badRequest(`Expected the path "${shown(path)}" to have at most ${maxPathCharacters} characters`)
  if (unprintable.test(path) || !path.isWellFormed())
    throw badRequest('Expected the path to have no control characters')
  if (path.split('/').filter((segment) => segment !== '').length < 2)
    throw badRequest(
      `Expected the path "${shown(path)}" to name an account and a flow, such as "/account/flow"`,
    )
  return path
}

function shown(path: string): string {
  return path.slice(0, maxPathCharacters)
}
