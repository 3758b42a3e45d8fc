import { NotFoundError } from '../errors.ts'

/** Parameters of a query string. Those that are undefined are left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>

/**
 * Each part becomes exactly one encoded segment.
 *
 * @throws NotFoundError for `.`, `..` and blank parts, which would name something else
 */
export function buildUrl(base: string, path: readonly string[], query: Query): URL {
  const segments = path.map((part) => {
    if (part === '' || part === '.' || part === '..')
      throw new NotFoundError(`There is nothing called "${part}"`)
    return encodeURIComponent(part.toWellFormed())
  })
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  )
  // Setting each parameter of a URL would parse it each time.
  const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`
  return new URL(`${base}/${segments.join('/')}${search}`)
}
