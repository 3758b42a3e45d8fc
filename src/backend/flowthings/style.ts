/** How elements are shown: as `{type, value}`, or as plain JSON. */
export type Style = 'typed' | 'plain'

/**
 * The style of a version of the API, such as `v0.1`. Versions from 4 on have plain elements. [flowthings] java-client: types
 * went with 4.0
 */
export function styleOf(version: string): Style {
  return Number.parseFloat(version.slice(1)) >= 4 ? 'plain' : 'typed'
}

/** What `hints` asks for; undefined where it says nothing. Clients write booleans in the words of their language. */
export function styleOfHints(hints: unknown): Style | undefined {
  const text = String(hints ?? '').toLowerCase()
  if (text === '0' || text === 'false') return 'plain'
  return text === '1' || text === 'true' ? 'typed' : undefined
}
