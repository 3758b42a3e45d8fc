import { lengthProblem, maxCharacters } from '../bounds.ts'
import { invalid } from '../http/errors.ts'
import type { Params } from '../http/params.ts'

/** What is wrong with a value for which `isWebUrl` is false, as text after the name of the parameter. */
export const webUrlProblem = `must be a URL that begins with http:// or https:// and has at most ${maxCharacters.url} characters`

/**
 * Whether clients may show a value as a link or an image. Every URL that a client of the API gives passes through here: a
 * `javascript:` URL would run in the page of a user who clicks it.
 */
export function isWebUrl(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length <= maxCharacters.url &&
    URL.canParse(value) &&
    /^https?:$/.test(new URL(value).protocol)
  )
}

/**
 * A parameter that clients show as a link or an image. A blank one is null.
 *
 * @param owner the object that the parameter is in; the error is reported for it
 * @throws 400
 */
export function webUrl(params: Params, name: string, owner?: string): string | null | undefined {
  const value = params.string(name)?.trim()
  if (value === undefined) return undefined
  if (value === '') return null
  if (!isWebUrl(value)) {
    const problem = lengthProblem('url', value) ?? webUrlProblem
    throw invalid(owner === undefined ? { [name]: [problem] } : { [owner]: [`${name} ${problem}`] })
  }
  return value
}
