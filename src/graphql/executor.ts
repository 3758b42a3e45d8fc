import {
  type ASTNode,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  getOperationAST,
  getVariableValues,
  isAbstractType,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type VariableDefinitionNode,
  type VariableNode,
  visit,
} from 'graphql'
import type { CompiledQuery } from 'graphql-jit'
import type { BackgroundQueue } from './background-queue.ts'
import { foldDocument, fragmentsOf } from './document-walk.ts'

/** Executes operations of valid documents. */
export interface Executor {
  execute(args: ExecutionArgs): ExecutionResult | Promise<ExecutionResult>
}

export interface ExecutorOptions {
  readonly schema: GraphQLSchema
  /**
   * After how many executions an operation is compiled; `defaultInterpretations` by default. With 0 it is compiled before
   * the first one: tests compare compiled code with graphql-js so.
   */
  readonly interpretations?: number | undefined
  /** The queue that compiles operations. */
  readonly background: BackgroundQueue
  /** Further errors of an execution, from its context, such as those of incomplete lists. They are added to its result. */
  readonly errorsOf?: ((context: unknown) => readonly Error[]) | undefined
}

/**
 * Compiling takes 1 to 4 ms, and ten times as long in a process that just started. It pays off after a few executions of a query
 * for a page of messages, and after 200 to 500 executions of a subscription's event. This number lies between the two, so that
 * documents that are used once or twice are never compiled.
 */
export const defaultInterpretations = 20

/** An operation of one document. */
interface Operation {
  readonly node: OperationDefinitionNode
  uses: number
  /** Null for an operation that is not compiled. */
  compiled: Compiled | null | undefined
  /** Whether it is in the queue. */
  isQueued: boolean
}

interface Compiled {
  readonly query: CompiledQuery['query']
  /** Variables inside of lists and objects, where compiled code treats null like any other value. */
  readonly inner: ReadonlySet<string>
}

/** The most fields of an operation that is compiled, each counted for every type that it may be selected of. */
const maxCompiledFields = 3000
/** A scalar that accepts any value. */
const anyType = 'JSON'

/**
 * Interprets operations with graphql-js until they were used often, then compiles them in the background and executes the
 * compiled code. The results are those of graphql-js, which still reads the variables. It also executes operations that compiled
 * code would execute differently or not much faster: mutations, documents with directives, and variables without a value.
 */
export function createExecutor({
  schema,
  interpretations = defaultInterpretations,
  background,
  errorsOf = () => [],
}: ExecutorOptions): Executor {
  const documents = new WeakMap<DocumentNode, Map<string, Operation>>()
  // The gateway starts faster without it.
  let compiler: typeof import('graphql-jit') | undefined
  let loading: Promise<void> | undefined

  function loadCompiler(): Promise<void> {
    loading ??= import('graphql-jit').then((loaded) => {
      compiler = loaded
    })
    return loading
  }

  function find(document: DocumentNode, name: string | null | undefined): Operation | undefined {
    const operations = documents.get(document) ?? new Map<string, Operation>()
    documents.set(document, operations)
    const known = operations.get(name ?? '')
    if (known !== undefined) return known
    const node = getOperationAST(document, name)
    if (node == null) return undefined
    const operation = { node, uses: 0, compiled: undefined, isQueued: false }
    operations.set(name ?? '', operation)
    return operation
  }

  function compile(
    { compileQuery, isCompiledQuery }: typeof import('graphql-jit'),
    document: DocumentNode,
    { node }: Operation,
  ): Compiled | null {
    if (node.operation === 'mutation' || expandedFields(schema, document, node) > maxCompiledFields)
      return null
    const definitions = [takeAnyVariables(node), ...fragmentsOf(document).values()]
    const compiled = compileQuery(schema, { ...document, definitions }, node.name?.value ?? '', {
      disablingCapturingStackErrors: true,
    })
    return isCompiledQuery(compiled) ? { query: compiled.query, inner: innerVariables(document) } : null
  }

  function run(
    args: ExecutionArgs,
    { node: { variableDefinitions = [] }, compiled }: Operation,
  ): ExecutionResult | Promise<ExecutionResult> {
    if (compiled == null) return execute(args)
    const { document, variableValues, rootValue, contextValue } = args
    if (variableDefinitions.length === 0) return finish(compiled.query(rootValue, contextValue, {}), document)
    const { coerced = {}, errors } = getVariableValues(schema, variableDefinitions, variableValues ?? {})
    const isKnown = ({ variable: { name } }: VariableDefinitionNode) =>
      name.value in coerced && (coerced[name.value] !== null || !compiled.inner.has(name.value))
    if (errors !== undefined || !variableDefinitions.every(isKnown)) return execute(args)
    return finish(compiled.query(rootValue, contextValue, coerced), document)
  }

  /** Compiling blocks the event loop, so no request or event waits for it. */
  function compileLater(document: DocumentNode, operation: Operation): void {
    if (compiler === undefined) return void loadCompiler()
    const loaded = compiler
    operation.isQueued = background.add({
      priority: () => operation.uses,
      run() {
        operation.isQueued = false
        try {
          operation.compiled = compile(loaded, document, operation)
        } catch {
          // graphql-js executes what the compiler does not support.
          operation.compiled = null
        }
      },
    })
  }

  function complete(result: ExecutionResult, context: unknown): ExecutionResult {
    const added = errorsOf(context)
    if (added.length === 0) return result
    const errors = added.map((error) => new GraphQLError(error.message, { originalError: error }))
    return { ...result, errors: [...(result.errors ?? []), ...errors] }
  }

  return {
    execute(args) {
      const { document, operationName, contextValue } = args
      const operation = find(document, operationName)
      if (operation === undefined) return execute(args)
      operation.uses += 1
      if (operation.compiled === undefined && interpretations === 0) {
        if (compiler === undefined) return loadCompiler().then(() => this.execute(args))
        operation.compiled = compile(compiler, document, operation)
      } else if (operation.compiled === undefined && operation.uses > interpretations && !operation.isQueued)
        compileLater(document, operation)
      const result = run(args, operation)
      return 'then' in result
        ? result.then((settled) => complete(settled, contextValue))
        : complete(result, contextValue)
    },
  }
}

function finish(
  result: ReturnType<CompiledQuery['query']>,
  document: DocumentNode,
): ExecutionResult | Promise<ExecutionResult> {
  const answer = result as ExecutionResult | Promise<ExecutionResult>
  return 'then' in answer
    ? answer.then((settled) => withLocations(settled, document))
    : withLocations(answer, document)
}

/** The same operation with variables of any type, which graphql-js has checked. */
function takeAnyVariables(node: OperationDefinitionNode): OperationDefinitionNode {
  const type = { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: anyType } } as const
  const variableDefinitions = node.variableDefinitions?.map(({ kind, variable }) => ({
    kind,
    variable,
    type,
  }))
  return { ...node, ...(variableDefinitions === undefined ? {} : { variableDefinitions }) }
}

/** The variables inside of lists and objects. */
function innerVariables(document: DocumentNode): Set<string> {
  const names = new Set<string>()
  const collect = (value: ASTNode) => {
    visit(value, { Variable: ({ name }: VariableNode) => void names.add(name.value) })
    return false
  }
  visit(document, { VariableDefinition: () => false, ObjectValue: collect, ListValue: collect })
  return names
}

/** Errors of compiled code have lines and columns; errors of graphql-js have offsets. */
function withLocations(result: ExecutionResult, { loc }: DocumentNode): ExecutionResult {
  if (result.errors === undefined || loc === undefined) return result
  const starts = [0]
  for (const { index } of loc.source.body.matchAll(/\r\n|[\n\r]/g))
    starts.push(index + (loc.source.body.startsWith('\r\n', index) ? 2 : 1))
  const errors = result.errors.map(
    ({ message, path, originalError, locations = [] }) =>
      new GraphQLError(message, {
        path: path ?? null,
        originalError: originalError ?? null,
        source: loc.source,
        positions: locations.map(({ line, column }) => (starts[line - 1] ?? 0) + column - 1),
      }),
  )
  return { ...result, errors }
}

/**
 * How many fields the compiled code of an operation has. It has a copy of a fragment wherever the fragment is spread, and
 * one of the fields of an abstract type for each of its object types. Takes time linear in the length of the document.
 * Infinite with directives, and for introspection, whose code is long and rarely used.
 */
function expandedFields(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): number {
  const hasDirectives = ({ directives = [] }: SelectionNode) => directives.length > 0
  return foldDocument<number>(schema, document, {
    empty: 0,
    field(node, inside, definition) {
      const isLongIntrospection = node.name.value.startsWith('__') && node.selectionSet !== undefined
      if (hasDirectives(node) || isLongIntrospection) return Number.POSITIVE_INFINITY
      const type = definition && getNamedType(definition.type)
      return 1 + inside * (isAbstractType(type) ? schema.getPossibleTypes(type).length : 1)
    },
    fragment: (node, inside) => (hasDirectives(node) ? Number.POSITIVE_INFINITY : inside),
    sum: (parts) => parts.reduce((total, part) => total + part, 0),
  })(operation)
}
