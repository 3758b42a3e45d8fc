import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ExecutionArgs, GraphQLError, type GraphQLSchema, parse } from 'graphql'
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga'
import type { Caller, Context } from '../context.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { maskError, withCode } from './error-mask.ts'
import { checkDocumentSize, checkLimits, isTokenLimitError, type Limits } from './limits.ts'
import type { Live, LiveOperation } from './live.ts'

/** What transports hand to the engine with an operation. */
export interface ServerContext {
  readonly req: IncomingMessage
  readonly res?: ServerResponse
  /** Sockets bring these in place of headers. */
  readonly connectionParams?: Readonly<Record<string, unknown>>
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** The last event a client had that comes back. */
  readonly lastEventId?: string
  /** Takes a subscription over; transports without it have none. */
  readonly onLive?: (operation: LiveOperation) => void
}

export type Engine = YogaServerInstance<ServerContext, Context>

export interface EngineOptions {
  readonly schema: GraphQLSchema
  readonly createContext: (caller: Caller) => Context
  readonly live: Live
  readonly limits: Limits
  readonly log: Logger
}

/**
 * Parses, checks and executes operations, the same way whichever transport brought them: all rules are hooks of
 * these phases, because hooks of the HTTP request would not run for sockets.
 */
export function createEngine({ schema, createContext, live, limits, log }: EngineOptions): Engine {
  const onUnexpected = (error: unknown) => log.error({ err: error }, 'Operation failed unexpectedly')
  return createYoga<ServerContext, Context>({
    schema,
    context: (initial) => {
      const { req, connectionParams, signal, params, lastEventId } = initial
      return createContext({
        request: req,
        signal,
        wantsCost: params.extensions?.['cost'] === true,
        ...(lastEventId === undefined ? {} : { lastEventId }),
        ...(connectionParams === undefined ? {} : { connectionParams }),
      })
    },
    plugins: [rules(limits, onUnexpected), liveSubscriptions(live)],
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

/** Subscriptions are run by `Live`; the transport that brought one takes it over. */
function liveSubscriptions(live: Live): Plugin {
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(async (args: ExecutionArgs) => {
        const { onLive } = args.contextValue as ServerContext
        if (onLive === undefined) return { errors: [needsTransport()] }
        const begun = await live.subscribe(args)
        if ('errors' in begun) return begun
        if ('start' in begun) onLive(begun)
        return {}
      })
    },
  }
}

function needsTransport(): GraphQLError {
  return new GraphQLError(
    'A subscription needs a WebSocket, or Accept to be text/event-stream or multipart/mixed;subscriptionSpec="1.0"',
    { extensions: { code: 'BAD_USER_INPUT' satisfies ErrorCode } },
  )
}
