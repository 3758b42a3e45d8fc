/** A query string without its question mark, and its pairs. */
export interface QueryString {
  readonly search: string
  readonly query: URLSearchParams
}

/** A target that begins with one slash and has nothing that a parser of URLs would change or leave out. */
const plainTarget = /^\/(?:[!"$-.0-[\]-~][!"$-~]*)?$/

/**
 * The query string of a request's target; undefined for a target that is no path of a URL.
 *
 * @param origin a valid scheme and host
 */
export function readTarget(target: string, origin: string): QueryString | undefined {
  if (plainTarget.test(target)) {
    const mark = target.indexOf('?')
    const search = mark === -1 ? '' : target.slice(mark)
    return { search: search.slice(1), query: new URLSearchParams(search) }
  }
  if (!target.startsWith('/') || !URL.canParse(target, origin)) return undefined
  const url = new URL(target, origin)
  return { search: url.search.slice(1), query: url.searchParams }
}
