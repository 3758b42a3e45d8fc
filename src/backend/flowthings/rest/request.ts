import { describeInvalidJson, hasTooManyValues, maxRestValues } from '../../../json-values.ts'
import type { Query } from '../find-params.ts'
import { parseWithLongs } from '../long.ts'
import type { ThingsPrincipal } from '../principal.ts'
import type { Style } from '../style.ts'
import { badRequest, notFound } from '../things-error.ts'

/** A request with a valid credential. */
export interface RestRequest {
  readonly method: string
  /** The path segments after the account. */
  readonly path: readonly string[]
  readonly query: Query
  /** The parsed body; undefined without one. */
  readonly body: unknown
  readonly principal: ThingsPrincipal
  /** The style of the version of the API. */
  readonly style: Style
}

/** The parts of a request target. */
export interface Target {
  /** The decoded path segments, without empty ones. */
  readonly segments: readonly string[]
  readonly query: Query
}

/** @throws ThingsError 404 for a path that cannot be decoded */
export function parseTarget(target: string): Target {
  const question = target.indexOf('?')
  const path = question === -1 ? target : target.slice(0, question)
  try {
    const segments = path
      .split('/')
      .filter((segment) => segment !== '')
      .map(decodeURIComponent)
    return { segments, query: parseQuery(question === -1 ? '' : target.slice(question + 1)) }
  } catch {
    throw notFound('resource at this URL')
  }
}

const maxPairs = 100

/** Parses a query string. If a name is repeated, the first value is used. @throws ThingsError 400 for more than 100 pairs */
function parseQuery(text: string): Query {
  if (text === '') return {}
  const pairs = [...new URLSearchParams(text)]
  if (pairs.length > maxPairs) throw badRequest(`Expected at most ${maxPairs} query parameters`)
  return Object.fromEntries(pairs.toReversed())
}

/**
 * Parses a JSON body. Ignores the content type, because clients send different ones, and curl sends that of forms.
 *
 * @returns undefined for an empty body
 * @throws ThingsError 400
 */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw badRequest('Expected the body to be UTF-8')
  }
  if (text.trim() === '') return undefined
  if (hasTooManyValues(text, maxRestValues))
    throw badRequest(`Expected the body to have at most ${maxRestValues} values`)
  try {
    return parseWithLongs(text)
  } catch (error) {
    if (error instanceof RangeError) throw badRequest(error.message)
    throw badRequest(`Expected the body to be JSON: ${describeInvalidJson(text, error)}`)
  }
}
