/** How elements are shown: as `{type, value}`, or as plain JSON. */
export type Style = 'typed' | 'plain'

/** The style of a version of the API, such as `v0.1`. From version 4 on, elements are plain JSON. [flowthings] java-client */
export function styleOf(version: string): Style {
  return Number.parseFloat(version.slice(1)) >= 4 ? 'plain' : 'typed'
}

/** The style that `hints` requests; undefined without a valid value. Clients write booleans in different ways, such as `True`. */
export function styleOfHints(hints: unknown): Style | undefined {
  const text = String(hints ?? '').toLowerCase()
  if (text === '0' || text === 'false') return 'plain'
  return text === '1' || text === 'true' ? 'typed' : undefined
}
