import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  type OperationTypeNode,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Context, OperationSender, RecordedReads } from '../context.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { CachedBody } from '../graphql/cached-body.ts'
import type { CallPrediction } from '../graphql/call-cost.ts'
import type { Limits } from '../graphql/document-limits.ts'
import { createDocuments, type Document } from '../graphql/documents.ts'
import type { EqualResults } from '../graphql/equal-results.ts'
import { maskError } from '../graphql/error-mask.ts'
import type { Executor } from '../graphql/executor.ts'
import { createIntrospections } from '../graphql/introspection.ts'
import type { DocumentParams, PersistedDocuments } from '../graphql/persisted-documents.ts'
import type { ResponseCache } from '../graphql/response-cache.ts'
import { expectRootField } from '../graphql/subscription-rules.ts'
import type { FanOut, LiveOperation } from '../subscriptions/fan-out.ts'
import type { Logger } from '../telemetry/log.ts'
import type { RequestHead } from '../traffic/client-address.ts'
import type { JsonType } from './negotiation.ts'
import type { OperationLog } from './operation-log.ts'
import { requestErrorStatus } from './status.ts'

/** The context that Yoga executes an operation with. */
export interface HttpContext {
  /** Undefined for a request of a method that brings no operation. */
  readonly operation: EngineOperation | undefined
  /** The media type of the response. */
  readonly responseType: JsonType
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
}

/** An operation of a document without problems. */
export interface EngineOperation {
  readonly kind: OperationTypeNode
  readonly document: Document
  readonly operationName: string | undefined
  readonly variables: Readonly<Record<string, unknown>>
  readonly context: Context
}

/** The response to a query or mutation as JSON. */
export interface Answer {
  readonly body: string | CachedBody
  /** Whether it has no errors. */
  readonly isWhole: boolean
  /** Set when it has no `data`: the errors that kept the operation from being executed. */
  readonly errors?: readonly GraphQLError[] | undefined
}

/** Parses, checks and executes operations, in the same way for every transport. Its errors are masked. */
export interface Engine {
  /**
   * Finds the text of a document, by itself or by its hash; undefined when the parameters name none.
   *
   * @throws GatewayError for a hash that is not known, or that is not the hash of the text
   */
  find(params: DocumentParams): string | undefined
  /**
   * @param request what brought the text; parsing a document that is not known yet is charged to its IP address
   * @throws GraphQLError for a text that is not a document, exceeds a limit, or is not trusted
   */
  parse(text: string, request: RequestHead): Document
  /** @throws GraphQLError for a malformed credential */
  createContext(sender: OperationSender): Context
  /** Executes a query or a mutation. */
  execute(operation: EngineOperation): Promise<ExecutionResult>
  /** A result as JSON, which may be cached. */
  toText(result: ExecutionResult): string
  /** Executes a query or a mutation, or returns the cached response of the same principal. */
  answer(operation: EngineOperation): Promise<Answer>
  /** Opens a subscription. @returns the reasons why it cannot run, as a result with errors */
  subscribe(operation: EngineOperation): Promise<LiveOperation | ExecutionResult>
  /** Responds by Yoga, in every way that GraphQL over HTTP specifies. */
  respond(request: IncomingMessage, response: ServerResponse, context: HttpContext): Promise<void>
  /** An error as clients may see it. */
  mask(error: unknown): GraphQLError
}

export interface EngineOptions {
  readonly schema: GraphQLSchema
  readonly executor: Executor
  readonly persisted: PersistedDocuments
  readonly createContext: (sender: OperationSender) => Context
  readonly live: FanOut
  readonly limits: Limits
  /** Whether introspection is allowed. */
  readonly introspection: boolean
  /**
   * Called before a document that is not known yet is parsed.
   *
   * @returns what is called with the CPU time that parsing took, in milliseconds
   * @throws GatewayError `RATE_LIMITED` to reject the document
   */
  readonly beginDocument: (request: RequestHead) => (cpuMs: number) => void
  readonly operationLog: OperationLog
  readonly equalResults: EqualResults<RecordedReads>
  /** Undefined where responses are not cached. */
  readonly responseCache: ResponseCache | undefined
  readonly log: Logger
}

export function createEngine(options: EngineOptions): Engine {
  const { schema, executor, persisted, live, limits, operationLog, log, responseCache, equalResults } =
    options
  const documents = createDocuments({
    schema,
    limits,
    isOpen: options.introspection,
  })
  const introspections = createIntrospections()
  const mask = (error: unknown) =>
    maskError(error, (unexpected) => log.error({ err: unexpected }, 'Operation failed unexpectedly'))

  /** @throws GatewayError `COST_EXCEEDED` for more calls than are allowed */
  function expectAffordable({ calls, fields }: CallPrediction, maxCalls: number, what: string): void {
    if (calls <= maxCalls) return
    const [dearest = ['', 0]] = Object.entries(fields).sort(([, a], [, b]) => b - a)
    throw new GatewayError(
      'COST_EXCEEDED',
      `${what} may cause ${calls} calls to the upstream, ${dearest[1]} of them for ${dearest[0]}; at most ${maxCalls} are allowed. Ask for shorter lists, or for fewer lists inside of lists`,
    )
  }

  function toArgs({ document, operationName, variables, context }: EngineOperation): ExecutionArgs {
    return {
      schema,
      document: document.node,
      operationName,
      variableValues: variables,
      contextValue: context,
    }
  }

  async function run(operation: EngineOperation): Promise<ExecutionResult> {
    const { document, variables, context } = operation
    const end = operationLog.begin(operation)
    try {
      context.bound({ deadline: performance.now() + limits.maxOperationMs, maxCalls: limits.maxCalls })
      const fields = document.cost(variables)
      const predicted = document.predict(operation.operationName, variables)
      if (context.wantsExplanation) {
        end([])
        return explain(predicted)
      }
      expectAffordable(predicted, limits.maxCalls, 'The operation')
      const result = await executeOnce(operation)
      const errors = result.errors?.map(mask)
      end(errors ?? [])
      const answer =
        errors === undefined ? result : { errors, ...('data' in result ? { data: result.data } : {}) }
      const changeId = operation.kind === 'mutation' ? context.changeId() : undefined
      if (!context.wantsCost) return changeId === undefined ? answer : { ...answer, extensions: { changeId } }
      const cost = {
        fields,
        predicted: predicted.calls,
        actual: context.callCount(),
        saved: context.savedCount(),
      }
      return { ...answer, extensions: { cost, ...(changeId === undefined ? {} : { changeId }) } }
    } catch (error) {
      const errors = [mask(error)]
      end(errors)
      return { errors }
    }
  }

  /**
   * An operation that selects only introspection fields is executed once for all clients, and a query once for those whose reads
   * are equal.
   */
  function executeOnce(operation: EngineOperation): ExecutionResult | Promise<ExecutionResult> {
    const { kind, document, operationName, variables, context } = operation
    const execute = () => executor.execute(toArgs(operation))
    const key = document.introspection(operationName)
    if (key !== undefined) return introspections.find(key, variables, execute)
    // A trace has the fields of each execution.
    const isShared = kind === 'query' && document.mayHaveMessages && !document.isVolatile
    if (!isShared || context.trace !== undefined) return execute()
    return equalResults.find(parametersOf(operation), context, (contextValue) =>
      executor.execute({ ...toArgs(operation), contextValue }),
    )
  }

  const bodyOf = (result: ExecutionResult) => introspections.bodyOf(result) ?? equalResults.bodyOf(result)
  const toText = (result: ExecutionResult) => bodyOf(result)?.text() ?? JSON.stringify(result)

  const toAnswer = (result: ExecutionResult, body: Answer['body']): Answer => ({
    body,
    isWhole: result.errors === undefined,
    errors: 'data' in result ? undefined : result.errors,
  })

  async function answer(operation: EngineOperation): Promise<Answer> {
    const { context } = operation
    const version = isCacheable(operation) ? context.version() : undefined
    if (responseCache === undefined || version === undefined) {
      const result = await run(operation)
      return toAnswer(result, bodyOf(result) ?? JSON.stringify(result))
    }
    const key = keyOf(operation)
    const known = responseCache.find(key, version)
    if (known !== undefined) {
      operationLog.begin(operation)([])
      return { body: known, isWhole: true }
    }
    const result = await run(operation)
    const text = toText(result)
    // An event during the execution may be in the result, or not.
    if (result.errors === undefined && context.version() === version) responseCache.store(key, version, text)
    return toAnswer(result, text)
  }

  /** Whether the same operation of the same principal has the same result until the next event. */
  function isCacheable({ kind, document, context }: EngineOperation): boolean {
    if (responseCache === undefined || document.isVolatile || context.wantsCost || context.wantsExplanation)
      return false
    return kind === 'query'
  }

  const engine: Omit<Engine, 'respond'> = {
    mask,
    find: (params) => persisted.find(params),
    parse(text, request) {
      try {
        persisted.check(text)
        const document = documents.parse(text, () => options.beginDocument(request))
        if (document.problems.length > 0) operationLog.refused('GRAPHQL_VALIDATION_FAILED')
        return document
      } catch (error) {
        const masked = mask(error)
        operationLog.refused(masked.extensions['code'] as ErrorCode)
        throw masked
      }
    },
    createContext(sender) {
      try {
        return options.createContext(sender)
      } catch (error) {
        throw mask(error)
      }
    },
    execute: run,
    toText,
    answer,
    async subscribe(operation) {
      const end = operationLog.begin(operation)
      const { document, operationName, variables, context } = operation
      try {
        context.bound({ deadline: performance.now() + limits.maxOperationMs, maxCalls: limits.maxCalls })
        document.cost(variables)
        // The prediction is for one event: the fields are resolved for each.
        const predicted = document.predict(operationName, variables)
        if (context.wantsExplanation) {
          end([])
          return explain(predicted)
        }
        const node = getOperationAST(document.node, operationName)
        if (node != null) expectRootField(schema, document.node, node, variables)
        expectAffordable(predicted, limits.maxEventCalls, 'An event of the subscription')
        const begun = await live.subscribe(toArgs(operation), predicted.unshared, context.wantsPosition)
        // A replay may take longer than an operation.
        context.bound({ deadline: Number.POSITIVE_INFINITY, maxCalls: Number.POSITIVE_INFINITY })
        end('start' in begun ? [] : (begun.errors ?? []))
        return begun
      } catch (error) {
        const errors = [mask(error)]
        end(errors)
        return { errors }
      }
    },
  }

  /** Yoga gets an operation that was parsed and checked before: it brings the document again, and executes it here. */
  const phases: Plugin<HttpContext> = {
    onParse({ setParseFn, context: { operation } }) {
      setParseFn(() => operation?.document.node)
    },
    onValidate({ setResult }) {
      setResult([])
    },
    onExecute({ setExecuteFn }) {
      setExecuteFn(async ({ contextValue }: ExecutionArgs) => {
        const { operation, responseType } = contextValue as HttpContext
        if (operation === undefined) throw new Error('There is no operation to execute')
        const result = await run(operation)
        if (result.errors === undefined || 'data' in result) return result
        // Yoga reads the status from here, and leaves it out of the body.
        const status = requestErrorStatus(responseType, result.errors[0]?.extensions['code'])
        return { ...result, extensions: { http: { status } } }
      })
    },
  }

  // Few requests need Yoga, and the gateway starts faster without it.
  let yoga: ReturnType<typeof loadYoga> | undefined

  async function loadYoga() {
    const { createYoga } = await import('graphql-yoga')
    return createYoga<HttpContext>({
      schema,
      plugins: [phases],
      maskedErrors: { maskError: mask },
      parserAndValidationCache: false,
      graphqlEndpoint: '/graphql',
      graphiql: false,
      landingPage: false,
      cors: false,
      batching: false,
      multipart: false,
      logging: false,
    })
  }

  return {
    ...engine,
    async respond(request, response, context) {
      yoga ??= loadYoga()
      const handle = await yoga
      await handle(request, response, context)
    },
  }
}

function explain({ calls, fields }: CallPrediction): ExecutionResult {
  return { data: null, extensions: { explain: { calls, fields } } }
}

/** The key of a cached response: principal (a hash), parameters and document. */
function keyOf(operation: EngineOperation): string {
  return `${operation.context.principal} ${parametersOf(operation)}`
}

function parametersOf({ document, operationName, variables }: EngineOperation): string {
  return `${JSON.stringify([operationName ?? null, variables])} ${document.node.loc?.source.body}`
}
