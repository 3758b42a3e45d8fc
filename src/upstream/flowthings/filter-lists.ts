import type { ThingsFilter } from './filter-text.ts'

/** The longest filter of a compatible server, in characters. */
export const maxFilterCharacters = 16_384

/** The longest filter of a subscription: beside it there must be room for ids of drops. */
export const maxSubscriptionFilter = maxFilterCharacters - 1384

/** The longest filter in a URL, in characters of the URL: servers limit its length. */
export const maxUrlFilterCharacters = 6000

/** The length of a text in a URL. */
export function lengthInUrl(text: string): number {
  return encodeURIComponent(text).length
}

/**
 * Splits values into as few filters as have at most `maxLength` each, because long lists exceed the limits of the upstream. A value
 * that is longer than that has a filter of its own.
 */
export function filtersOf(
  member: string,
  values: readonly string[],
  maxLength: number,
  lengthOf = (text: string) => text.length,
): ThingsFilter[] {
  const lists: string[][] = []
  let left = 0
  for (const value of values) {
    const length = lengthOf(`${JSON.stringify(value)},`)
    if (length > left || lists.length === 0) {
      lists.push([])
      left = maxLength - lengthOf(`(${member} IN [])`)
    }
    lists.at(-1)?.push(value)
    left -= length
  }
  return lists.map((list) => ({ in: { member, values: list } }))
}
