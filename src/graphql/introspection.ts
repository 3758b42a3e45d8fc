import {
  type DocumentNode,
  type ExecutionResult,
  getOperationAST,
  Kind,
  OperationTypeNode,
  print,
  type SelectionSetNode,
} from 'graphql'
import { LRUCache } from 'lru-cache'
import { CachedBody } from './cached-body.ts'
import { fragmentsOf } from './document-walk.ts'

/** Results of operations with introspection fields only, which are the same for all clients. */
export interface Introspections {
  /** @param execute called unless the result is cached */
  find(
    key: string,
    variables: Readonly<Record<string, unknown>>,
    execute: () => ExecutionResult | Promise<ExecutionResult>,
  ): ExecutionResult | Promise<ExecutionResult>
  /** The JSON of a cached result. */
  bodyOf(result: ExecutionResult): CachedBody | undefined
}

const maxResults = 16
const maxCharacters = 16 * 1024 * 1024

/** Caches the latest results with their JSON. */
export function createIntrospections(): Introspections {
  const results = new LRUCache<string, ExecutionResult>({ max: maxResults, maxSize: maxCharacters })
  const bodies = new WeakMap<ExecutionResult, CachedBody>()
  return {
    find(key, variables, execute) {
      const whole = `${JSON.stringify(variables)} ${key}`
      const known = results.get(whole)
      if (known !== undefined) return known
      const result = execute()
      // graphql-js executes introspection at once. Errors have locations in one document.
      if ('then' in result || result.errors !== undefined) return result
      const text = JSON.stringify(result)
      bodies.set(result, new CachedBody(text))
      results.set(whole, result, { size: text.length + whole.length })
      return result
    },
    bodyOf: (result) => bodies.get(result),
  }
}

/**
 * The text of an operation without its name, with its fragments, if all its root fields are `__schema`, `__type` and
 * `__typename`; undefined otherwise.
 */
export function introspectionKey(
  document: DocumentNode,
  operationName: string | null | undefined,
): string | undefined {
  const operation = getOperationAST(document, operationName)
  if (operation?.operation !== OperationTypeNode.QUERY) return undefined
  const fragments = fragmentsOf(document)
  const visited = new Set<string>()

  function asksSchemaAlone({ selections }: SelectionSetNode): boolean {
    return selections.every((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value.startsWith('__')
      if (selection.kind === Kind.INLINE_FRAGMENT) return asksSchemaAlone(selection.selectionSet)
      const { value } = selection.name
      if (visited.has(value)) return true
      visited.add(value)
      const fragment = fragments.get(value)
      return fragment !== undefined && asksSchemaAlone(fragment.selectionSet)
    })
  }

  if (!asksSchemaAlone(operation.selectionSet)) return undefined
  const { name: _, ...nameless } = operation
  return print({ ...document, definitions: [nameless, ...fragments.values()] })
}
