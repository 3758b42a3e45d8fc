import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLError,
  type GraphQLSchema,
  getOperationAST,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Caller, Context } from '../context.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { CallPrediction } from '../graphql/call-cost.ts'
import type { Limits } from '../graphql/document-limits.ts'
import { createDocuments, type Document } from '../graphql/documents.ts'
import { maskError, withCode } from '../graphql/error-mask.ts'
import type { Executor } from '../graphql/executor.ts'
import { createIntrospections } from '../graphql/introspection.ts'
import type { DocumentParams, PersistedDocuments } from '../graphql/persisted-documents.ts'
import type { ResponseCache } from '../graphql/response-cache.ts'
import { expectRootField } from '../graphql/subscription-rules.ts'
import type { FanOut, LiveOperation } from '../subscriptions/fan-out.ts'
import type { Logger } from '../telemetry/log.ts'
import type { RequestHead } from '../traffic/client-address.ts'
import { readExtensions } from './extensions.ts'
import type { JsonType } from './negotiation.ts'
import type { OperationLog } from './operation-log.ts'
import { requestErrorStatus } from './status.ts'

/** What goes with an operation that comes over HTTP. */
export interface HttpContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** The media type of the response, which the request accepts before all others. */
  readonly responseType: JsonType
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** The framework copies what it is given into an object of its own. */
interface FrameworkContext {
  readonly ours: Context
}

/** An operation of a document without problems. */
export interface EngineOperation {
  readonly document: Document
  readonly operationName: string | null | undefined
  readonly variables: Readonly<Record<string, unknown>>
  readonly context: Context
}

/** The response to a query or mutation as JSON. */
export interface Answer {
  readonly text: string
  /** Whether it has no errors. */
  readonly isWhole: boolean
  /** Set when it has no `data`: the errors that kept the operation from being executed. */
  readonly errors?: readonly GraphQLError[] | undefined
}

/**
 * Parses, checks and executes operations, the same way whichever transport brought them. Errors are as clients may see
 * them.
 */
export interface Engine {
  /**
   * The text of the document that is meant, by itself or by its hash; undefined when nothing names one.
   *
   * @throws GatewayError for a hash that is not known, or not one of the text
   */
  find(params: DocumentParams): string | undefined
  /**
   * @param request what brought the text; a document that is not known yet is charged to its IP address
   * @throws GraphQLError for a text that is no document, too long, or not among those that may be executed
   */
  parse(text: string, request: RequestHead): Document
  /** @throws GraphQLError for a credential that cannot be one */
  createContext(caller: Caller): Context
  /** Executes a query or a mutation. */
  execute(operation: EngineOperation): Promise<ExecutionResult>
  /** A result as JSON, which may have been made for an earlier one. */
  toText(result: ExecutionResult): string
  /** The same as JSON, which may have been made for an earlier one of the same caller. */
  answer(operation: EngineOperation): Promise<Answer>
  /** Begins a subscription. Answers why it cannot run, as a result with errors. */
  subscribe(operation: EngineOperation): Promise<LiveOperation | ExecutionResult>
  /** Answers a request over HTTP in every way the specification knows. */
  respond(request: IncomingMessage, response: ServerResponse, context: HttpContext): Promise<void>
}

export interface EngineOptions {
  readonly schema: GraphQLSchema
  readonly executor: Executor
  readonly persisted: PersistedDocuments
  readonly createContext: (caller: Caller) => Context
  readonly live: FanOut
  readonly limits: Limits
  /** Whether the schema may be asked for. */
  readonly introspection: boolean
  /**
   * Called before a document is parsed that is not known yet, with what brought it.
   *
   * @returns what hears how much time of the processor it took, in milliseconds
   * @throws GatewayError `RATE_LIMITED` to leave it alone
   */
  readonly beginDocument: (request: RequestHead) => (cpuMs: number) => void
  readonly operationLog: OperationLog
  /** Undefined where every answer is made anew. */
  readonly responseCache: ResponseCache | undefined
  /** How many calls to the upstream fields take. */
  readonly log: Logger
}

export function createEngine(options: EngineOptions): Engine {
  const { schema, executor, persisted, live, limits, operationLog, log, responseCache: kept } = options
  const documents = createDocuments({
    ...{ schema, limits },
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
      `${what} may cause ${calls} calls to the upstream, ${dearest[1]} of them for ${dearest[0]}; at most ${maxCalls} are allowed. Ask for shorter lists, or for fewer of them inside of lists`,
    )
  }

  function toArgs({ document, operationName, variables, context }: EngineOperation): ExecutionArgs {
    return {
      schema,
      document: document.node,
      operationName: operationName ?? null,
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
      if (!context.wantsCost) return answer
      const cost = {
        fields,
        predicted: predicted.calls,
        actual: context.callCount(),
        saved: context.savedCount(),
      }
      return { ...answer, extensions: { cost } }
    } catch (error) {
      const errors = [mask(error)]
      end(errors)
      return { errors }
    }
  }

  /** An operation that asks the schema alone is executed once for everybody. */
  function executeOnce(operation: EngineOperation): ExecutionResult | Promise<ExecutionResult> {
    const { document, operationName, variables } = operation
    const execute = () => executor.execute(toArgs(operation))
    const key = document.introspection(operationName)
    return key === undefined ? execute() : introspections.find(key, variables, execute)
  }

  const toText = (result: ExecutionResult) => introspections.textOf(result) ?? JSON.stringify(result)

  const toAnswer = (result: ExecutionResult): Answer => ({
    text: toText(result),
    isWhole: result.errors === undefined,
    errors: 'data' in result ? undefined : result.errors,
  })

  async function answer(operation: EngineOperation): Promise<Answer> {
    const { context } = operation
    const mark = isKeepable(operation) ? context.mark() : undefined
    if (kept === undefined || mark === undefined) {
      const result = await run(operation)
      return toAnswer(result)
    }
    const key = keyOf(operation)
    const known = kept.find(key, mark)
    if (known !== undefined) {
      operationLog.begin(operation)([])
      return { text: known, isWhole: true }
    }
    const result = await run(operation)
    const fresh = toAnswer(result)
    // What happened meanwhile may be in it, or not.
    if (fresh.isWhole && context.mark() === mark) kept.keep(key, mark, fresh.text)
    return fresh
  }

  /** Whether the same question of the same caller has the same answer until something happens. */
  function isKeepable({ document, operationName, context }: EngineOperation): boolean {
    if (kept === undefined || document.isVolatile || context.wantsCost || context.wantsExplanation)
      return false
    return getOperationAST(document.node, operationName)?.operation === 'query'
  }

  const engine: Omit<Engine, 'respond'> = {
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
    createContext(caller) {
      try {
        return options.createContext(caller)
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
        // For one event: its fields are resolved again for each.
        const predicted = document.predict(operationName, variables)
        if (context.wantsExplanation) {
          end([])
          return explain(predicted)
        }
        const node = getOperationAST(document.node, operationName)
        if (node != null) expectRootField(schema, document.node, node, variables)
        expectAffordable(predicted, limits.maxEventCalls, 'An event of the subscription')
        const begun = await live.subscribe(toArgs(operation), predicted.unshared, context.wantsPosition)
        // What its reader missed is listed page by page, for as long as that takes.
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

  /** What the framework brings is parsed, checked and executed here. */
  const phases: Plugin<FrameworkContext & HttpContext> = {
    onParse({ setParseFn, context: { req } }) {
      setParseFn((source) => engine.parse(typeof source === 'string' ? source : source.body, req).node)
    },
    onValidate({ setResult, params: { documentAST } }) {
      // The framework writes into errors it is given; these are kept for others.
      setResult(
        documents.of(documentAST).problems.map((problem) => withCode(problem, 'GRAPHQL_VALIDATION_FAILED')),
      )
    },
    onExecute({ setExecuteFn }) {
      setExecuteFn(async (args: ExecutionArgs) => {
        const { ours, responseType } = args.contextValue as FrameworkContext & HttpContext
        const result = await run({
          document: documents.of(args.document),
          operationName: args.operationName,
          variables: args.variableValues ?? {},
          context: ours,
        })
        if (result.errors === undefined || 'data' in result) return result
        // The framework takes the status from here, and leaves it out of the body.
        const status = requestErrorStatus(responseType, result.errors[0]?.extensions['code'])
        return { ...result, extensions: { http: { status } } }
      })
    },
  }

  // Few requests need it, and a start is sooner over without it.
  let framework: ReturnType<typeof loadFramework> | undefined

  async function loadFramework() {
    const { createYoga } = await import('graphql-yoga')
    return createYoga<HttpContext, FrameworkContext>({
      schema,
      context: ({ req, signal, params }) => ({
        ours: options.createContext({
          request: req,
          authorization: req.headers.authorization,
          departure: { signal },
          ...readExtensions(params.extensions),
        }),
      }),
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
      framework ??= loadFramework()
      const handle = await framework
      await handle(request, response, context)
    },
  }
}

function explain({ calls, fields }: CallPrediction): ExecutionResult {
  return { data: null, extensions: { explain: { calls, fields } } }
}

/** The same for the same question of the same caller, who is a hash. */
function keyOf({ document, operationName, variables, context }: EngineOperation): string {
  const asked = JSON.stringify([operationName ?? null, variables])
  return `${context.caller} ${asked} ${document.node.loc?.source.body}`
}
