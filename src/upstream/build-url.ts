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
  const url = new URL(`${base}/${segments.join('/')}`)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, String(value))
  return url
}
