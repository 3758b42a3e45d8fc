import { type DocumentNode, type FieldNode, Kind, type SelectionSetNode } from 'graphql'
import { fragmentsOf } from './document-walk.ts'

/** Visiting a field takes about a tenth of comparing two. */
const pairSteps = 10

/** The fields of merged selection sets, by the name they have in the response. */
interface Merged {
  readonly fields: Map<string, FieldNode[]>
  readonly fragments: Set<string>
}

/**
 * Counts the comparisons that validation makes to find out whether fields of the same response name can be merged: each
 * pair of them in a selection set with its fragments, once more for each argument, and the same for their merged selection
 * sets. Validation does that work for each pair, so its time grows with the square of the repetitions. Fields that are visited
 * on the way count a tenth, because a fragment is visited wherever it is spread: so counting takes no longer than `max` allows.
 *
 * @returns some number above `max` if there are more
 */
export function countFieldPairs(document: DocumentNode, max: number): number {
  const fragments = fragmentsOf(document)
  const visited = new Set<SelectionSetNode>()
  const maxSteps = max * pairSteps
  let steps = 0

  function collect({ selections }: SelectionSetNode, merged: Merged): void {
    for (const selection of selections) {
      steps += 1
      if (steps > maxSteps) return
      if (selection.kind === Kind.FIELD) {
        const name = selection.alias?.value ?? selection.name.value
        const fields = merged.fields.get(name)
        if (fields === undefined) merged.fields.set(name, [selection])
        else fields.push(selection)
      } else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet, merged)
      else if (!merged.fragments.has(selection.name.value)) {
        merged.fragments.add(selection.name.value)
        const fragment = fragments.get(selection.name.value)
        if (fragment !== undefined) collect(fragment.selectionSet, merged)
      }
    }
  }

  function compare(sets: readonly SelectionSetNode[]): void {
    const merged: Merged = { fields: new Map(), fragments: new Set() }
    for (const set of sets) collect(set, merged)
    steps += pairsOf(merged.fragments.size) * pairSteps
    for (const fields of merged.fields.values()) {
      if (steps > maxSteps) return
      const most = Math.max(...fields.map((field) => field.arguments?.length ?? 0))
      steps += pairsOf(fields.length) * (1 + most) * pairSteps
      const inner = fields.flatMap(({ selectionSet }) => selectionSet ?? [])
      const [only] = inner
      if (only === undefined || steps > maxSteps) continue
      if (inner.length > 1) compare(inner)
      else if (!visited.has(only)) {
        visited.add(only)
        compare(inner)
      }
    }
  }

  for (const definition of document.definitions)
    if (definition.kind === Kind.OPERATION_DEFINITION || definition.kind === Kind.FRAGMENT_DEFINITION)
      compare([definition.selectionSet])
  return Math.ceil(steps / pairSteps)
}

function pairsOf(count: number): number {
  return (count * (count - 1)) / 2
}
