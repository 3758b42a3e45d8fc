import { filterText, type ThingsFilter } from './filter-text.ts'

/** A part of a list of resources by creation date. */
export interface Find {
  /** The filters. Results must match all of them. */
  readonly filters: readonly ThingsFilter[]
  readonly order: 'asc' | 'desc'
  readonly limit: number
}

/**
 * Builds the parameters of a find. [flowthings] HTTP API, query parameters
 *
 * @throws ValidationError for a filter that cannot be written as a text
 */
export function findParams({ filters, order, limit }: Find): Readonly<Record<string, string | number>> {
  const texts = filters.map((filter) => filterText(filter, ['filter']))
  return {
    ...(texts.length === 0 ? {} : { filter: texts.join(' && ') }),
    ...{ sort: 'creationDate', order, limit },
  }
}
