import { compileFilter, type Evaluator } from './filter/evaluate.ts'
import type { SubjectKind } from './filter/subject.ts'
import { readFilter } from './find-params.ts'

/** Compiled filters of flows and tracks, by their texts. */
export interface FilterCache {
  /** @param text a stored filter; null if there is none */
  get(text: string | null | undefined, kind: SubjectKind): Evaluator
}

const maxFilters = 2000

export function createFilterCache(): FilterCache {
  const filters = new Map<string, Evaluator>()
  return {
    get(text, kind) {
      const key = `${kind} ${text ?? ''}`
      const known = filters.get(key)
      if (known !== undefined) return known
      const evaluator = compileFilter(readFilter(text), kind)
      // Removes the filter that was compiled first.
      if (filters.size >= maxFilters) filters.delete(filters.keys().next().value ?? '')
      filters.set(key, evaluator)
      return evaluator
    },
  }
}
