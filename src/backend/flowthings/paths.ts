import { badRequest } from './things-error.ts'

export const maxPathCharacters = 128

/**
 * A path as it is compared: without a slash at its end. Anything else is significant: programs have used capitals and
 * doubled slashes. [flowthings] chat example
 */
export function pathKey(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/** Whether a path lies at or below another: `/a` covers `/a/b`, and not `/ab`. Both as they are compared. */
export function covers(parent: string, key: string): boolean {
  return key === parent || (key.startsWith(parent) && (key[parent.length] === '/' || parent === '/'))
}

/** The first segment of a path, in lower case: the account that it names, where there is one. */
export function firstSegment(path: string): string {
  return (path.split('/', 2)[1] ?? '').toLowerCase()
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const unprintable = /[\x00-\x1f\x7f]/

/**
 * A path of a new flow or device. [flowthings] flow object overview
 *
 * @throws ThingsError 400 for what does not begin with a slash, has one segment only, or is too long
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
