import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  parse,
} from 'graphql'
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga'
import type { Caller, Context } from '../context.ts'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { maskError, withCode } from './error-mask.ts'
import { checkDocumentSize, checkLimits, isTokenLimitError, type Limits } from './limits.ts'

/** What transports hand to the engine with an operation. */
export interface ServerContext {
  readonly req: IncomingMessage
  readonly res?: ServerResponse
  /** Sockets bring these in place of headers. */
  readonly connectionParams?: Readonly<Record<string, unknown>>
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

export type Engine = YogaServerInstance<ServerContext, Context>

export interface EngineOptions {
  readonly schema: GraphQLSchema
  readonly createContext: (caller: Caller) => Context
  readonly limits: Limits
  readonly log: Logger
}

/**
 * Parses, checks and executes operations, the same way whichever transport brought them: all rules are hooks of
 * these phases, because hooks of the HTTP request would not run for sockets.
 */
export function createEngine({ schema, createContext, limits, log }: EngineOptions): Engine {
  const onUnexpected = (error: unknown) => log.error({ err: error }, 'Operation failed unexpectedly')
  return createYoga<ServerContext, Context>({
    schema,
    context: (initial) => {
      const { req, connectionParams, signal, params } = initial
      return createContext({
        request: req,
        signal,
        wantsCost: params.extensions?.['cost'] === true,
        ...(connectionParams === undefined ? {} : { connectionParams }),
      })
    },
    plugins: [rules(limits, onUnexpected), freshContextPerEvent(onUnexpected)],
    maskedErrors: { maskError: (error) => maskError(error, onUnexpected) },
    graphqlEndpoint: '/graphql',
    graphiql: false,
    landingPage: false,
    cors: false,
    batching: false,
    multipart: false,
    logging: false,
  })
}

/** The limits, and codes on what parsing and validation find. */
function rules(limits: Limits, onUnexpected: (error: unknown) => void): Plugin {
  /** What is wrong with the size of an operation, now that its variables are known. */
  function refuse({ document, variableValues }: ExecutionArgs): GraphQLError | undefined {
    try {
      checkLimits(document, variableValues ?? {}, limits)
      return undefined
    } catch (error) {
      return maskError(error, onUnexpected)
    }
  }

  return {
    onParse({ setParseFn }) {
      setParseFn((source, options) => {
        checkDocumentSize(typeof source === 'string' ? source : source.body, limits)
        try {
          return parse(source, { ...options, maxTokens: limits.maxTokens })
        } catch (error) {
          if (isTokenLimitError(error))
            throw new GatewayError('LIMIT_EXCEEDED', `The document has more than ${limits.maxTokens} tokens`)
          throw error instanceof GraphQLError ? withCode(error, 'GRAPHQL_PARSE_FAILED') : error
        }
      })
      return ({ result, replaceParseResult }) => {
        if (result === null || result instanceof Error) return
        try {
          checkLimits(result, {}, { ...limits, maxCost: Number.POSITIVE_INFINITY })
        } catch (error) {
          replaceParseResult(error as Error)
        }
      }
    },
    onValidate() {
      return ({ result, setResult }) => {
        // A few are enough to mend a document; hundreds of them would be an answer larger than any document.
        setResult(result.slice(0, 5).map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED')))
      }
    },
    onExecute({ args, setResultAndStopExecution }) {
      const refusal = refuse(args)
      if (refusal !== undefined) {
        setResultAndStopExecution({ errors: [refusal] })
        return
      }
      const context = (args as ExecutionArgs).contextValue as Context
      if (!context.wantsCost) return
      const fields = checkLimits(args.document, args.variableValues ?? {}, limits)
      return {
        onExecuteDone({ result, setResult }) {
          if (Symbol.asyncIterator in result) return
          const cost = { fields, upstreamCalls: context.callCount() }
          setResult({ ...result, extensions: { ...result.extensions, cost } })
        },
      }
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const refusal = refuse(args)
      if (refusal !== undefined) setResultAndStopExecution({ errors: [refusal] })
    },
  }
}

/**
 * Executes each event of a subscription with a context that remembers nothing of the last one, and ends a
 * subscription whose source fails with an error result instead of an exception, which would close a whole socket.
 */
function freshContextPerEvent(onUnexpected: (error: unknown) => void): Plugin {
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(async (args: ExecutionArgs) => {
        const source = await createSourceEventStream(args)
        if (!(Symbol.asyncIterator in source)) return source
        return executeEach(source, args, onUnexpected)
      })
    },
  }
}

function executeEach(
  source: AsyncIterable<unknown>,
  args: ExecutionArgs,
  onUnexpected: (error: unknown) => void,
): AsyncIterableIterator<ExecutionResult> {
  const events = source[Symbol.asyncIterator]()
  let ended = false
  return {
    async next() {
      if (ended) return { done: true, value: undefined }
      try {
        const { done, value } = await events.next()
        if (done === true) return { done, value: undefined }
        const contextValue = (args.contextValue as Context).refresh()
        return { done: false, value: await execute({ ...args, rootValue: value, contextValue }) }
      } catch (error) {
        ended = true
        return { done: false, value: { errors: [maskError(error, onUnexpected)] } }
      }
    },
    // Not a generator: leaving takes effect at once, also while an event is awaited.
    async return() {
      ended = true
      await events.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
