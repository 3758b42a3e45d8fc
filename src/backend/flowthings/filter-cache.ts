import { compileFilter, type Evaluator } from './filter/evaluate.ts'
import type { SubjectKind } from './filter/subject.ts'
import { readFilter } from './find-params.ts'

/** Compiled filters of flows and tracks, by their texts. Each drop is held against some of them. */
export interface FilterCache {
  /** @param text of a stored filter; null for none */
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
      // The one that was compiled first goes.
      if (filters.size >= maxFilters) filters.delete(filters.keys().next().value ?? '')
      filters.set(key, evaluator)
      return evaluator
    },
  }
}
